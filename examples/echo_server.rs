//! The smallest server: every message goes back to its sender.
//!
//! ```text
//! cargo run --package sockeye-examples --example echo_server [ADDRESS]
//! ```
//!
//! ADDRESS is `127.0.0.1:3000` unless given; port 0 lets the system choose. The program prints where it is.

use sockeye::{HandlerResult, Server, WebSocket};

async fn echo(mut ws: WebSocket) -> HandlerResult {
    while let Some(message) = ws.recv().await? {
        ws.send(message).await?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> sockeye::Result<()> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let server = Server::builder()
        .route("/echo", echo)
        .bind(address)
        .listen()
        .await?;
    println!("ws://{}/echo", server.addresses()[0]);
    server.serve().await;
    Ok(())
}
