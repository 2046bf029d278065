//! The client as a filter: a line of standard input is a message, a message is a line of standard output.

use std::future::pending;
use std::io::{BufRead, ErrorKind, IsTerminal, Write};

use sockeye::{CloseCode, Message, Sender, WebSocket};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::{ConnectOptions, End, payload};
use crate::error::Failure;

/// Lines read ahead of what the connection takes.
const LINES_AHEAD: usize = 64;

/// Passes lines and messages until either side closes.
pub(super) async fn run(
    socket: WebSocket,
    options: &ConnectOptions,
    interrupts: &mut mpsc::Receiver<()>,
) -> Result<End, Failure> {
    let (sender, mut receiver) = socket.split();
    let mut input = Some(tokio::spawn(send_lines(
        sender.clone(),
        options.binary,
        options.raw,
    )));
    let mut received = 0;
    let mut closing = None;
    let mut last_sign = Instant::now();
    loop {
        let wait = options
            .wait
            .duration()
            .filter(|_| input.is_none() && closing.is_none());
        tokio::select! {
            incoming = receiver.recv() => {
                let message = match incoming {
                    Ok(Some(message)) => message,
                    Ok(None) => return Ok(closing.unwrap_or_else(|| End::Closed(receiver.close_info()))),
                    Err(error) => return Ok(closing.unwrap_or(End::Failed(error))),
                };
                if options.count.is_some_and(|count| received >= count) {
                    continue;
                }
                if !print(&message, options.raw)? {
                    return Ok(End::ReaderGone);
                }
                received += 1;
                last_sign = Instant::now();
                if options.count == Some(received) {
                    closing = close(&sender, End::ByUs);
                }
            }
            sent = finished(&mut input) => {
                input = None;
                last_sign = Instant::now();
                sent?;
            }
            () = until(wait.map(|wait| last_sign + wait)) => closing = close(&sender, End::ByUs),
            Some(()) = interrupts.recv() => match closing {
                None => closing = close(&sender, End::Interrupted),
                Some(_) => return Ok(End::Interrupted),
            },
        }
    }
}

/// Begins to close. What the server has sent before it answers still arrives.
fn close(sender: &Sender, end: End) -> Option<End> {
    // Fails when the connection is closing already, which is as good.
    let _ = sender.start_close(CloseCode::NORMAL, "");
    Some(end)
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

async fn finished(input: &mut Option<JoinHandle<Result<(), Failure>>>) -> Result<(), Failure> {
    match input {
        Some(task) => task.await.unwrap_or(Ok(())),
        None => pending().await,
    }
}

/// Writes a message as a line. `false` when nobody reads any more.
fn print(message: &Message, raw: bool) -> Result<bool, Failure> {
    let mut out = std::io::stdout().lock();
    let written = match message {
        // Only the input is a pipe.
        Message::Text(text) if out.is_terminal() => writeln!(out, "{}", payload::for_terminal(text.as_str())),
        Message::Text(text) => writeln!(out, "{}", text.as_str()),
        Message::Binary(bytes) if raw => out.write_all(bytes),
        Message::Binary(bytes) => writeln!(out, "{}", payload::to_hex(bytes)),
    };
    match written.and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::new(format!("cannot write to standard output: {error}"))),
    }
}

/// Sends every line of standard input, and waits until all is on its way. Ends early when the connection does.
async fn send_lines(sender: Sender, binary: bool, raw: bool) -> Result<(), Failure> {
    let mut lines = read_lines();
    let mut number = 0_u64;
    while let Some(line) = lines.recv().await {
        number += 1;
        let line = line.map_err(|error| Failure::new(format!("cannot read standard input: {error}")))?;
        let message = message(line, binary, raw)
            .map_err(|complaint| Failure::usage(format!("line {number}{complaint}")))?;
        if sender.send(message).await.is_err() {
            // Receiving tells why.
            return Ok(());
        }
    }
    // A server that takes nothing is one that has not received it: receiving tells of that too.
    let _ = sender.flush().await;
    Ok(())
}

/// The message that a line stands for.
fn message(line: Vec<u8>, binary: bool, raw: bool) -> Result<Message, String> {
    if binary && raw {
        return Ok(Message::binary(line));
    }
    let text =
        String::from_utf8(line).map_err(|_| " is not UTF-8: send bytes with --binary --raw".to_owned())?;
    if binary {
        payload::from_hex(&text)
            .map(Message::binary)
            .map_err(|complaint| format!(": {complaint}"))
    } else {
        Ok(Message::text(text))
    }
}

/// Standard input, line by line without the line feeds. A thread of its own reads: it may block for ever, and
/// must not keep the program from ending.
fn read_lines() -> mpsc::Receiver<std::io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel(LINES_AHEAD);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().split(b'\n') {
            let failed = line.is_err();
            if sender.blocking_send(line).is_err() || failed {
                return;
            }
        }
    });
    receiver
}
