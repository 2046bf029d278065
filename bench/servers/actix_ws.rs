//! The peer of this name, after its `chat` example, on actix-web with one worker.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use actix_ws::{AggregatedMessage, AggregatedMessageStream, Session};
use anyhow::Result;
use clap::Parser;
use contract::{LARGEST_MESSAGE, Options, Topics};

#[actix_web::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let topics: web::Data<Topics<Arc<AggregatedMessage>>> = web::Data::new(Topics::default());
    let server = HttpServer::new(move || {
        App::new()
            .app_data(topics.clone())
            .default_service(web::get().to(upgraded))
    })
    .workers(1);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{}", listener.local_addr()?.port());
    let server = match options.tls()? {
        None => server.listen(listener)?,
        Some(config) => server.listen_rustls_0_23(listener, config)?,
    };
    server.tcp_nodelay(true).run().await?;
    Ok(())
}

async fn upgraded(
    request: HttpRequest,
    body: web::Payload,
    topics: web::Data<Topics<Arc<AggregatedMessage>>>,
) -> actix_web::Result<HttpResponse> {
    let (response, session, stream) = actix_ws::handle(&request, body)?;
    let stream = stream
        .max_frame_size(LARGEST_MESSAGE)
        .aggregate_continuations()
        .max_continuation_size(LARGEST_MESSAGE);
    let path = request.path().to_owned();
    actix_web::rt::spawn(async move {
        // How a connection ends is of no interest.
        if path == contract::ECHO {
            drop(echo(session, stream).await);
        } else {
            drop(member(session, stream, &path, &topics).await);
        }
    });
    Ok(response)
}

async fn echo(mut session: Session, mut stream: AggregatedMessageStream) -> Result<()> {
    while let Some(message) = stream.recv().await.transpose()? {
        send(&mut session, &message).await?;
    }
    Ok(())
}

async fn send(session: &mut Session, message: &AggregatedMessage) -> Result<()> {
    match message {
        AggregatedMessage::Text(text) => session.text(text.clone()).await?,
        AggregatedMessage::Binary(bytes) => session.binary(bytes.clone()).await?,
        _ => {}
    }
    Ok(())
}

async fn member(
    mut session: Session,
    mut stream: AggregatedMessageStream,
    path: &str,
    topics: &Topics<Arc<AggregatedMessage>>,
) -> Result<()> {
    let (publish, mut deliveries) = topics.join(path);
    loop {
        tokio::select! {
            message = stream.recv() => match message.transpose()? {
                // Fails only without subscribers, and this connection is one.
                Some(message) => drop(publish.send(Arc::new(message))),
                None => return Ok(()),
            },
            delivery = deliveries.recv() => send(&mut session, &*delivery?).await?,
        }
    }
}
