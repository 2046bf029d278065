//! The checks, in their order.

use std::time::Duration;

use sockeye::{CloseCode, Message, WebSocket};
use tokio::time::{Instant, timeout};

use super::latency::{Latency, milliseconds};
use super::messages::{noise, peculiar, size_text, sizes};
use super::options::EchoTestOptions;
use super::report::{Outcome, Report};
use super::session::{Session, Trouble, expect};
use crate::client::Handshake;
use crate::error::Failure;
use crate::payload;

/// Messages that are on their way at once in the check of their order.
const WINDOW: usize = 64;

/// Bytes of the messages that are timed.
const TIMED_SIZE: usize = 20;

/// Most pings that are timed. Servers close on a flood of them.
const MAX_PINGS: u32 = 100;

/// Most characters of a greeting that are shown.
const GREETING_SHOWN: usize = 120;

/// Runs all checks. Fails only when there is no connection to check.
pub(super) async fn run(
    mut session: Session<'_>,
    options: &EchoTestOptions,
    report: &mut Report,
) -> Result<(), Failure> {
    report.group("Handshake");
    let took = session.connect().await?;
    handshake(&mut session, options, report, took).await?;
    if !greeting(&mut session, report).await {
        return Ok(());
    }
    report.group("Messages");
    messages(&mut session, report).await?;
    report.group("Fragments");
    fragments(&mut session, report).await?;
    report.group("Sizes");
    largest(&mut session, options, report).await?;
    report.group("Round trips");
    latency(&mut session, options, report).await?;
    report.group("Close");
    close(&mut session, report).await
}

async fn handshake(
    session: &mut Session<'_>,
    options: &EchoTestOptions,
    report: &mut Report,
    took: Duration,
) -> Result<(), Failure> {
    let socket = session.take().await?;
    let handshake = Handshake::of(&socket.sender());
    let status = crate::client::status_text(handshake.status);
    report.check(
        "opening handshake",
        Outcome::passed(format!("{status} in {:.2} ms", milliseconds(took))),
    );
    match (&handshake.subprotocol, options.client.subprotocols.as_slice()) {
        (Some(name), _) => report.check("subprotocol", Outcome::passed(payload::one_line(name))),
        (None, []) => {}
        (None, _) => report.check(
            "subprotocol",
            Outcome::unsupported("none of those offered was chosen"),
        ),
    }
    if options.client.compress {
        report.check(
            "compression",
            if handshake.extensions.is_empty() {
                Outcome::unsupported("permessage-deflate was not accepted")
            } else {
                Outcome::passed(payload::one_line(&handshake.extensions))
            },
        );
    }
    report.handshake(handshake);
    session.give_back(socket);
    Ok(())
}

/// Whether it is an echo server at all.
async fn greeting(session: &mut Session<'_>, report: &mut Report) -> bool {
    match session.greeting().await {
        Ok(greetings) => {
            for greeting in &greetings {
                report.greeting(shown(greeting));
            }
            report.check("echo", Outcome::passed("the first message came back"));
            true
        }
        Err(trouble) => {
            report.check("echo", Outcome::failed(trouble.describe()));
            false
        }
    }
}

fn shown(message: &Message) -> String {
    match message {
        Message::Text(text) => payload::one_line(&text.chars().take(GREETING_SHOWN).collect::<String>()),
        Message::Binary(bytes) => format!("{} bytes", bytes.len()),
    }
}

async fn messages(session: &mut Session<'_>, report: &mut Report) -> Result<(), Failure> {
    for (name, message) in peculiar() {
        let outcome = session.echo(&message).await?;
        report.check(name, came_back(outcome));
    }
    if session.socket().await?.negotiated_extensions().is_empty() {
        return Ok(());
    }
    let message = Message::text("The salmon swims both ways. ".repeat(2000));
    let outcome = session.echo(&message).await?;
    report.check("text that compresses well", came_back(outcome));
    Ok(())
}

fn came_back(outcome: Result<Duration, Trouble>) -> Outcome {
    match outcome {
        Ok(took) => Outcome::passed(format!("{:.2} ms", milliseconds(took))),
        Err(trouble) => Outcome::failed(trouble.describe()),
    }
}

async fn fragments(session: &mut Session<'_>, report: &mut Report) -> Result<(), Failure> {
    let parts = ["The salmon ", "", "swims 両 ", "ways."];
    let outcome = exchange(session, async |socket, patience| {
        for (index, part) in parts.iter().enumerate() {
            socket
                .sender()
                .send_fragment(*part, index + 1 == parts.len())
                .await?;
        }
        expect(socket, &Message::text(parts.concat()), patience).await
    });
    report.check("text in 4 fragments, one of them empty", outcome.await?);

    let bytes: Vec<u8> = (0..100).collect();
    let outcome = exchange(session, async |socket, patience| {
        for (index, byte) in bytes.iter().enumerate() {
            let last = index + 1 == bytes.len();
            socket.sender().send_fragment(&[*byte][..], last).await?;
        }
        expect(socket, &Message::binary(bytes.clone()), patience).await
    });
    report.check("binary in 100 fragments", outcome.await?);

    let outcome = exchange(session, async |socket, patience| {
        let sender = socket.sender();
        sender.send_fragment("one, ", false).await?;
        sender.start_ping(b"between fragments").await?;
        sender.send_fragment("two", true).await?;
        expect(socket, &Message::text("one, two"), patience).await
    });
    report.check("a ping between fragments", outcome.await?);

    let outcome = exchange(session, async |socket, patience| {
        let sent: Vec<_> = (0..WINDOW)
            .map(|n| Message::text(format!("message {n}")))
            .collect();
        for message in &sent {
            socket.send(message).await?;
        }
        for message in &sent {
            expect(socket, message, patience).await?;
        }
        Ok(())
    });
    report.check("64 messages at once, in their order", outcome.await?);
    Ok(())
}

/// Does something with the connection, and gives it up if that fails.
async fn exchange(
    session: &mut Session<'_>,
    work: impl AsyncFnOnce(&mut WebSocket, Duration) -> Result<(), Trouble>,
) -> Result<Outcome, Failure> {
    let patience = session.patience();
    let socket = session.socket().await?;
    let started = Instant::now();
    let result = work(socket, patience)
        .await
        .map_err(|trouble| trouble.explained(socket));
    if result.is_err() {
        session.give_up();
    }
    Ok(came_back(result.map(|()| started.elapsed())))
}

async fn largest(
    session: &mut Session<'_>,
    options: &EchoTestOptions,
    report: &mut Report,
) -> Result<(), Failure> {
    let mut too_big = None;
    for size in sizes(options.max_size.0) {
        let name = size_text(size);
        let outcome = match too_big {
            Some(limit) => Outcome::unsupported(format!("not tried: {} were too many", size_text(limit))),
            None => match session.echo(&noise(size)).await? {
                Ok(took) => Outcome::passed(format!("{:.2} ms", milliseconds(took))),
                Err(trouble) if trouble.is_too_big() => {
                    too_big = Some(size);
                    Outcome::unsupported(trouble.describe())
                }
                Err(trouble) => Outcome::failed(trouble.describe()),
            },
        };
        report.check(&name, outcome);
    }
    Ok(())
}

async fn latency(
    session: &mut Session<'_>,
    options: &EchoTestOptions,
    report: &mut Report,
) -> Result<(), Failure> {
    let message = Message::text("x".repeat(TIMED_SIZE));
    let mut times = Vec::with_capacity(options.count as usize);
    report.progress("messages", options.count);
    for _ in 0..options.count {
        match session.echo(&message).await? {
            Ok(took) => times.push(took),
            Err(trouble) => {
                report.check("messages", Outcome::failed(trouble.describe()));
                break;
            }
        }
        report.step();
    }
    if times.len() == options.count as usize
        && let Some(latency) = Latency::of(times)
    {
        report.messages(latency, TIMED_SIZE);
    }

    let count = options.count.min(MAX_PINGS);
    let mut times = Vec::with_capacity(count as usize);
    report.progress("pings", count);
    let patience = session.patience();
    for _ in 0..count {
        let socket = session.socket().await?;
        let trouble = match timeout(patience, socket.ping(b"sockeye echo-test")).await {
            Ok(Ok(took)) => {
                times.push(took);
                report.step();
                continue;
            }
            Ok(Err(error)) => Trouble::Failed(error).explained(socket),
            Err(_) => Trouble::Silence(patience),
        };
        report.check("pings", Outcome::failed(trouble.describe()));
        session.give_up();
        return Ok(());
    }
    if let Some(latency) = Latency::of(times) {
        report.pings(latency);
    }
    Ok(())
}

async fn close(session: &mut Session<'_>, report: &mut Report) -> Result<(), Failure> {
    let table = [
        ("close with 1000", CloseCode::NORMAL, ""),
        (
            "close with 4321 and a reason",
            application_code(),
            "thank you, good-bye",
        ),
    ];
    for (name, code, reason) in table {
        let mut socket = session.take().await?;
        let patience = session.patience();
        let started = Instant::now();
        let outcome = match timeout(patience, socket.close(code, reason)).await {
            Err(_) => Outcome::failed(Trouble::Silence(patience).describe()),
            Ok(Err(error)) => Outcome::failed(Trouble::Failed(error).describe()),
            Ok(Ok(info)) if !info.clean => Outcome::failed("the connection ended without a Close frame"),
            Ok(Ok(info)) if info.code != code.get() => {
                // RFC 6455 §5.5.1: "the endpoint typically echos the status code it received".
                Outcome::unsupported(format!("answered with {}", info.code))
            }
            Ok(Ok(_)) => Outcome::passed(format!("answered in {:.2} ms", milliseconds(started.elapsed()))),
        };
        report.check(name, outcome);
    }
    Ok(())
}

/// One of those that RFC 6455 §7.4.2 leaves to applications.
fn application_code() -> CloseCode {
    CloseCode::new(4321).unwrap_or(CloseCode::NORMAL)
}
