//! Chat rooms, with a page to chat on: routes with a parameter, an upgrade hook that asks who is there, messages from
//! one to many, pages served by axum beside the WebSockets, a graceful end.
//!
//! ```text
//! cargo run --package sockeye-examples --example chat_server [ADDRESS]
//! ```
//!
//! ADDRESS is `127.0.0.1:3000` unless given. Open the page it prints, in two windows. Ctrl-C closes everybody with
//! 1001 and then ends the program.

mod pages;
mod rooms;

use std::sync::Arc;
use std::time::Duration;

use sockeye::server::{Accept, Drain, Rejection, Route, UpgradeRequest};
use sockeye::{CloseCode, HandlerResult, Message, Server, WebSocket};
use tokio::sync::broadcast::error::RecvError;

use rooms::{Name, Rooms};

#[tokio::main]
async fn main() -> sockeye::Result<()> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let rooms = Arc::new(Rooms::default());
    let room = Route::new(move |ws, request| chat(ws, request, Arc::clone(&rooms))).on_upgrade(admit);

    let server = Server::builder()
        .route_with("/rooms/{room}", room)
        .fallback(pages::router())
        .drain(Drain {
            spread: Duration::from_secs(1),
            ..Drain::default()
        })
        .bind(address)
        .listen()
        .await?;
    println!("http://{}/", server.addresses()[0]);

    let handle = server.handle();
    let stop = async {
        if tokio::signal::ctrl_c().await.is_ok() {
            handle.shutdown();
        }
    };
    tokio::join!(stop, server.serve());
    Ok(())
}

/// Lets in who has a proper name: `/rooms/lobby?name=Ada`.
async fn admit(request: UpgradeRequest) -> Result<Accept, Rejection> {
    let name = request.query_value("name").unwrap_or_default();
    match Name::new(&name) {
        Some(name) => Ok(Accept::new().data(name)),
        None => Err(Rejection::forbidden("A name has 1 to 20 letters or digits.")),
    }
}

/// Serves one member of a room until they leave.
async fn chat(mut ws: WebSocket, request: UpgradeRequest, rooms: Arc<Rooms>) -> HandlerResult {
    let name = ws.data().get::<Name>().cloned().ok_or("the hook gave no name")?;
    let mut member = rooms.join(request.param("room").unwrap_or_default());
    member.say(format!("* {name} came in"));
    loop {
        // Both branches are cancel safe: what is not taken in this turn is taken in the next.
        tokio::select! {
            message = ws.recv() => match message {
                Ok(Some(Message::Text(text))) => member.say(format!("{name}: {text}")),
                Ok(Some(Message::Binary(_))) => {
                    ws.close(CloseCode::UNSUPPORTED_DATA, "this is a chat of text").await?;
                    break;
                }
                Ok(None) | Err(_) => break,
            },
            heard = member.hear() => match heard {
                Ok(line) => ws.send(line).await?,
                // Somebody who reads more slowly than the room talks must not make the server remember it all.
                Err(RecvError::Lagged(_)) => {
                    ws.close(CloseCode::TRY_AGAIN_LATER, "you cannot keep up with this room").await?;
                    break;
                }
                Err(RecvError::Closed) => break,
            },
        }
    }
    member.say(format!("* {name} left"));
    Ok(())
}
