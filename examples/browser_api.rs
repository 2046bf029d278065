//! The WebSocket that browsers have, line by line: states, listeners, text, file and bytes, the four events.
//!
//! ```text
//! cargo run -p sockeye-examples --example browser_api -- ws://localhost:3000/echo README.md
//! ```

use sockeye::web::{Blob, CloseEvent, Environment, Event, EventLoop, MessageEvent, WebSocket};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("usage: browser_api URL FILE")?;
    let file = Blob::from_file(arguments.next().ok_or("which file?")?).await?;
    let page = EventLoop::new();
    let environment = Environment::builder().event_loop(page.clone());
    let ws = WebSocket::new_in(&environment.build()?, url, ())?;
    println!("readyState {}", ws.ready_state() as u16);

    let socket = ws.clone();
    ws.set_on_open(move |_| socket.send("hello server").unwrap());
    let socket = ws.clone();
    ws.add_event_listener("open", move |_: &Event| {
        socket.send(&file).unwrap();
        socket.send(vec![0; 320 * 200]).unwrap();
        println!("open, bufferedAmount {}", socket.buffered_amount());
    });
    ws.set_on_message(|event| println!("message {:?}", event.data()));
    ws.add_event_listener("message", |event: &MessageEvent| {
        let bytes = event.data().to_bytes().unwrap_or_default();
        if bytes.len() == 320 * 200 {
            event.target().unwrap().close(1000, "done").unwrap();
        }
    });
    ws.set_on_error(|_| println!("error"));
    ws.add_event_listener("error", |_: &Event| println!("failed"));
    ws.set_on_close(|event| println!("close {} {:?}", event.code(), event.reason()));
    ws.add_event_listener("close", |event: &CloseEvent| {
        println!("wasClean {}", event.was_clean());
    });
    while ws.ready_state() != WebSocket::CLOSED {
        page.turn().await;
    }
    println!("readyState {}", ws.ready_state() as u16);
    Ok(())
}
