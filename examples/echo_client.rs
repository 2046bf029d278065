//! The smallest client: sends one message and prints what comes back.
//!
//! ```text
//! cargo run -p sockeye-examples --example echo_client -- ws://localhost:3000/echo
//! ```

#[tokio::main]
async fn main() -> sockeye::Result<()> {
    let url = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "ws://localhost:3000/echo".to_owned());
    let mut ws = sockeye::connect(url).await?;
    ws.send("Hello, sockeye!").await?;
    if let Some(message) = ws.recv().await? {
        println!("{message:?}");
    }
    ws.close(sockeye::CloseCode::NORMAL, "done").await?;
    Ok(())
}
