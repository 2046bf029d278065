//! A client that outlives its servers: it places three orders, and stays until each is confirmed.
//!
//! ```text
//! cargo run --package sockeye-examples --example reconnecting [URL]
//! ```
//!
//! URL is `ws://localhost:3000/echo` unless given: with the example `echo_server`, the echo of an order confirms it. Stop
//! the server and start it again, as often as you like.

use std::time::Duration;

use sockeye::CloseCode;
use sockeye::reconnect::{Backoff, Event, Promise, Reconnecting};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "ws://localhost:3000/echo".to_owned());
    let mut shop = Reconnecting::builder(url)
        .promise(Promise::AtLeastOnce)
        .backoff(Backoff {
            first: Duration::from_millis(500),
            ..Backoff::default()
        })
        .start()?;

    let mut events = shop.events();
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            match event {
                Event::Open { connection, .. } => println!("connection {connection}"),
                Event::Failed { cause, .. } | Event::Lost { cause, .. } => println!("no connection: {cause}"),
                _ => {}
            }
        }
    });

    let sender = shop.sender();
    for _ in 0..3 {
        sender.send_with(|number| format!("order {number}")).await?;
    }
    let mut confirmed = 0;
    while confirmed < 3
        && let Some(echo) = shop.recv().await?
    {
        let number = echo
            .as_text()
            .and_then(|text| text.strip_prefix("order ")?.parse().ok());
        // After a reconnection an order may be confirmed twice. It counts once.
        if number.is_some_and(|number| sender.acknowledge(number)) {
            println!("confirmed: {echo:?}");
            confirmed += 1;
        }
    }
    shop.close(CloseCode::NORMAL, "done").await?;
    Ok(())
}
