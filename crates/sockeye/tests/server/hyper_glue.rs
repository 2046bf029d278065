//! `sockeye::hyper` on a bare hyper server.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use crate::peer::{Peer, TEXT, echo, frame, handshake};

async fn answer(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let run = request.uri().path() == "/run";
    Ok(match sockeye::hyper::upgrade(&mut request) {
        Ok((response, upgrading)) => {
            tokio::spawn(async move {
                if run {
                    upgrading.run(echo).await.unwrap();
                } else {
                    echo(upgrading.await.unwrap()).await.unwrap();
                }
            });
            response
        }
        Err(rejection) => sockeye::hyper::response(rejection),
    })
}

async fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let http = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service_fn(answer))
                .with_upgrades();
            tokio::spawn(http);
        }
    });
    address
}

#[tokio::test]
async fn both_ways_to_use_an_upgrade_make_a_websocket() {
    let address = serve().await;
    for path in ["/run", "/future"] {
        let mut peer = Peer::connect(address).await;
        let mut bytes = handshake(path, &[]).into_bytes();
        bytes.extend(frame(TEXT, b"behind the request"));
        peer.write(&bytes).await;
        assert_eq!(peer.response().await.status, 101);
        assert_eq!(peer.receive_text().await, "behind the request");
        peer.send_close(1000).await;
        assert_eq!(peer.receive_close().await.0, 1000);
    }
}

#[tokio::test]
async fn refusals_are_answered() {
    let address = serve().await;
    assert_eq!(
        Peer::ask(address, "/", &[("Origin", "https://evil.test")])
            .await
            .status,
        403
    );
    assert_eq!(
        Peer::ask(address, "/", &[("Content-Length", "3")]).await.status,
        400
    );
}
