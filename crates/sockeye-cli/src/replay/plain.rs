//! Playing without looking at the answers: they are written to standard output.

use sockeye::{CloseCode, Sender, WebSocket};
use tokio::time::Instant;

use super::{Clock, Next, Played, ReplayOptions, act};
use crate::connect::{Render, closed, until};
use crate::error::{Failure, chain};
use crate::record::{Event, Recording, Side};
use crate::status;

/// Plays one connection.
pub(super) async fn play(
    socket: WebSocket,
    first: Vec<Event>,
    recording: &mut Recording,
    clock: Clock,
    options: &ReplayOptions,
) -> Result<Played, Failure> {
    let render = Render::plain();
    let (sender, mut receiver) = socket.split();
    let mut feed = std::pin::pin!(feed(&sender, first, recording, clock));
    let mut fed = None;
    let mut by_us = false;
    let mut last_sign = Instant::now();
    loop {
        let wait = options.wait.duration().filter(|_| fed.is_some() && !by_us);
        tokio::select! {
            result = &mut feed, if fed.is_none() => {
                let fed = fed.insert(result?);
                last_sign = Instant::now();
                if fed.closed || fed.again.is_some() {
                    by_us = true;
                    // Does nothing if the recording closed.
                    let _ = sender.start_close(CloseCode::NORMAL, "");
                }
            }
            incoming = receiver.recv() => {
                let end = match incoming {
                    Ok(Some(message)) => {
                        last_sign = Instant::now();
                        if !render.print(&message)? {
                            return Ok(Played::Done(0));
                        }
                        continue;
                    }
                    Ok(None) => Ok(receiver.close_info()),
                    Err(error) => Err(error),
                };
                if let Some(again) = fed.as_mut().and_then(|fed| fed.again.take()) {
                    return Ok(Played::OpenAgain(again));
                }
                let (text, mut status) = match end {
                    Ok(_) if by_us => return Ok(Played::Done(0)),
                    Ok(info) => (closed(&info), status::of_code(Some(info.code))),
                    Err(error) => (chain(&error), status::of_code(Some(error.close_code().map_or(1006, |code| code.get())))),
                };
                if fed.is_none() {
                    eprintln!("sockeye: {text}, before the end of the recording");
                    status = status.max(1);
                } else if status != 0 || options.client.verbose {
                    eprintln!("sockeye: {text}");
                }
                return Ok(Played::Done(status));
            }
            () = until(wait.map(|wait| last_sign + wait)) => {
                by_us = true;
                let _ = sender.start_close(CloseCode::NORMAL, "");
            }
        }
    }
}

/// What came after the last thing that was sent on a connection.
struct Fed {
    /// The recording closed.
    closed: bool,
    /// The recording opened another connection.
    again: Option<Next>,
}

/// Sends everything that belongs to one connection, each thing when it is due.
async fn feed(
    sender: &Sender,
    first: Vec<Event>,
    recording: &mut Recording,
    clock: Clock,
) -> Result<Fed, Failure> {
    let mut closed = false;
    // What was sent behind the end of this connection was for the next one.
    let mut ended = false;
    let mut waiting = Vec::new();
    for event in &first {
        act(sender, event, recording).await?;
    }
    while let Some(entry) = recording.next()? {
        match (entry.from, &entry.event) {
            (_, Event::Open { .. }) => {
                let again = Some(Next {
                    at_us: entry.at_us,
                    first: waiting,
                });
                return Ok(Fed { closed, again });
            }
            (Side::Server, event) => ended |= event.is_end(),
            (Side::Client, _) if ended => waiting.push(entry.event),
            (Side::Client, event) => {
                clock.wait_for(entry.at_us).await;
                closed |= matches!(event, Event::Close { .. });
                act(sender, event, recording).await?;
            }
        }
    }
    Ok(Fed { closed, again: None })
}
