//! Handlers that are `async` functions; topics are those of the contract.

use contract::Topics;
use sockeye::server::{ServerBuilder, UpgradeRequest};
use sockeye::{HandlerResult, Message, WebSocket};
use tokio::sync::broadcast::error::RecvError;

/// The routes of the contract.
pub(crate) fn routes(builder: ServerBuilder) -> ServerBuilder {
    let topics = Topics::default();
    builder
        .route(contract::ECHO, echo)
        .route("/{*topic}", move |ws: WebSocket, request: UpgradeRequest| {
            member(ws, request, topics.clone())
        })
}

async fn echo(mut ws: WebSocket) -> HandlerResult {
    while let Some(message) = ws.recv().await? {
        ws.send(message).await?;
    }
    Ok(())
}

async fn member(mut ws: WebSocket, request: UpgradeRequest, topics: Topics<Message>) -> HandlerResult {
    let (publish, mut deliveries) = topics.join(request.path());
    loop {
        tokio::select! {
            message = ws.recv() => match message? {
                // Fails only without subscribers, and this connection is one.
                Some(message) => drop(publish.send(message)),
                None => return Ok(()),
            },
            delivery = deliveries.recv() => match delivery {
                Ok(message) => ws.send(message).await?,
                Err(RecvError::Lagged(_) | RecvError::Closed) => return Ok(()),
            },
        }
    }
}
