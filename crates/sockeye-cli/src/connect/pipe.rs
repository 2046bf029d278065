//! The client as a filter: a line of standard input is a message, a message is a line of standard output.

use std::future::pending;

use sockeye::CloseCode;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::end::End;
use super::goal::{Goal, Verdict};
use super::link::{Incoming, Link, Outgoing};
use super::options::ConnectOptions;
use super::{Interruptions, Render, outgoing, until};
use crate::error::Failure;

/// Passes lines and messages until either side closes.
pub(super) async fn run(
    mut link: Link,
    options: &ConnectOptions,
    goal: &mut Goal,
    interruptions: &mut Interruptions,
) -> Result<End, Failure> {
    let render = Render::of(options);
    let outgoing = link.outgoing();
    let mut input = Some(tokio::spawn(send(outgoing.clone(), options.clone())));
    let mut closing = None;
    let mut last_sign = Instant::now();
    loop {
        let wait = options.wait().filter(|_| input.is_none() && closing.is_none());
        tokio::select! {
            incoming = link.next() => {
                let message = match incoming {
                    Incoming::Message(message) => message,
                    Incoming::Remark(remark) => {
                        if !options.client.quiet {
                            eprintln!("sockeye: {remark}");
                        }
                        continue;
                    }
                    Incoming::Ended(end) => return Ok(closing.unwrap_or(end)),
                };
                let verdict = goal.receive(&message);
                if verdict == Verdict::Ignore {
                    continue;
                }
                if !render.print(&message)? {
                    return Ok(End::ReaderGone);
                }
                last_sign = Instant::now();
                if verdict == Verdict::ShowAndClose {
                    closing = close(&outgoing, CloseCode::NORMAL, End::ByUs);
                }
            }
            sent = finished(&mut input) => {
                input = None;
                last_sign = Instant::now();
                sent?;
            }
            () = until(wait.map(|wait| last_sign + wait)) => {
                closing = close(&outgoing, CloseCode::NORMAL, End::ByUs);
            }
            () = until(interruptions.deadline), if closing.is_none() => {
                closing = close(&outgoing, CloseCode::NORMAL, End::TimedOut);
            }
            Some(()) = interruptions.ctrl_c.recv() => match closing {
                None => closing = close(&outgoing, CloseCode::GOING_AWAY, End::Interrupted),
                Some(_) => return Ok(End::Interrupted),
            },
        }
    }
}

async fn send(outgoing: Outgoing, options: ConnectOptions) -> Result<(), Failure> {
    outgoing::send_first(&outgoing, &options).await?;
    if options.reads_input() {
        outgoing::send_input(&outgoing, &options).await?;
    }
    Ok(())
}

/// Begins to close. What the server has sent before it answers still arrives.
fn close(outgoing: &Outgoing, code: CloseCode, end: End) -> Option<End> {
    // Fails when the connection is closing already, which is as good.
    let _ = outgoing.close(code, "");
    Some(end)
}

async fn finished(input: &mut Option<JoinHandle<Result<(), Failure>>>) -> Result<(), Failure> {
    match input {
        Some(task) => task.await.unwrap_or(Ok(())),
        None => pending().await,
    }
}
