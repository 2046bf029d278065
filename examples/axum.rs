//! WebSockets in an axum program: the extractor, state that handlers share, ordinary routes beside it.
//!
//! ```text
//! cargo run --package sockeye-examples --example axum [ADDRESS]
//! ```
//!
//! ADDRESS is `127.0.0.1:3000` unless given. `/count` is a WebSocket that answers each message with how many all
//! clients together have sent; `/` tells the number over HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{any, get};
use sockeye::WebSocket;
use sockeye::axum::WebSocketUpgrade;

/// What all handlers share.
#[derive(Default)]
struct Messages(AtomicU64);

async fn count(upgrade: WebSocketUpgrade, State(messages): State<Arc<Messages>>) -> Response {
    upgrade.on_upgrade(async move |mut ws: WebSocket| {
        while let Some(message) = ws.recv().await? {
            let number = messages.0.fetch_add(1, Ordering::Relaxed) + 1;
            ws.send(format!("{number}: {} bytes", message.len())).await?;
        }
        Ok(())
    })
}

async fn total(State(messages): State<Arc<Messages>>) -> String {
    format!("{} messages\n", messages.0.load(Ordering::Relaxed))
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let app = Router::new()
        .route("/", get(total))
        .route("/count", any(count))
        .with_state(Arc::<Messages>::default());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("ws://{}/count", listener.local_addr()?);
    axum::serve(listener, app).await
}
