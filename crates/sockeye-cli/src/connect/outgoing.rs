//! What is sent: the messages of the command line, then standard input.

use std::io::BufRead;
use std::path::Path;

use sockeye::Message;
use tokio::sync::mpsc;

use super::command::Reading;
use super::link::Outgoing;
use super::options::ConnectOptions;
use crate::error::Failure;

/// Lines read ahead of what the connection takes.
const LINES_AHEAD: usize = 64;

/// Sends what the command line names.
pub(super) async fn send_first(outgoing: &Outgoing, options: &ConnectOptions) -> Result<(), Failure> {
    let reading = Reading::of(options);
    for text in &options.messages {
        let message = reading
            .message(text.clone().into_bytes())
            .map_err(|complaint| Failure::usage(format!("--message: {complaint}")))?;
        // When the connection has ended, receiving tells why.
        let _ = outgoing.send(message).await;
    }
    for file in &options.files {
        let message = read_file(reading, file)
            .await
            .map_err(|complaint| Failure::usage(format!("--file: {complaint}")))?;
        let _ = outgoing.send(message).await;
    }
    Ok(())
}

/// The content of a file as a message.
pub(super) async fn read_file(reading: Reading, path: &Path) -> Result<Message, String> {
    let path = path.to_owned();
    let read = tokio::task::spawn_blocking(move || reading.file(&path));
    read.await
        .unwrap_or_else(|_| Err("the file cannot be read".to_owned()))
}

/// Sends every line of standard input, and waits until all is on its way. Ends early when the connection does.
pub(super) async fn send_input(outgoing: &Outgoing, options: &ConnectOptions) -> Result<(), Failure> {
    let reading = Reading::of(options);
    let mut lines = read_lines(if options.null { 0 } else { b'\n' });
    let mut number = 0_u64;
    while let Some(line) = lines.recv().await {
        number += 1;
        let line = line.map_err(|error| Failure::new(format!("cannot read standard input: {error}")))?;
        // The line at the end of a file of JSON is often empty.
        if reading.json && line.trim_ascii().is_empty() {
            continue;
        }
        let message = reading
            .message(line)
            .map_err(|complaint| Failure::usage(format!("line {number}: {complaint}")))?;
        if outgoing.send(message).await.is_err() {
            // Receiving tells why.
            return Ok(());
        }
    }
    // A server that takes nothing is one that has not received it: receiving tells of that too.
    outgoing.flush().await;
    Ok(())
}

/// Standard input, piece by piece without what ends them. A thread of its own reads: it may block for ever, and
/// must not keep the program from ending.
fn read_lines(end: u8) -> mpsc::Receiver<std::io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel(LINES_AHEAD);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().split(end) {
            let failed = line.is_err();
            if sender.blocking_send(line).is_err() || failed {
                return;
            }
        }
    });
    receiver
}
