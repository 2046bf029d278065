//! The engine as a whole: on a driver without a system, where the test decides what happens and what time it is, and with
//! real sockets.

mod behind;
mod choices;
mod clock;
mod conversation;
mod cost;
mod door;
mod ending;
mod fake;
mod handles;
mod large;
mod mailbox;
mod obedient;
mod pausing;
#[cfg(feature = "tls")]
mod sealed;
#[cfg(feature = "tls")]
mod tls;
mod topics;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use super::Handler;
use fake::{End, Stage};
use obedient::{Diary, Obedient};

use crate::server::{Server, ServerBuilder};
use crate::upgrade::Settings;
use crate::{Config, QueueLimits};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A server with this handler at `/`, which accepts by itself nowhere.
fn server(handler: impl Handler, settings: Settings) -> ServerBuilder {
    Server::builder()
        .handle("/", handler)
        .limits((*settings.config).clone())
        .queues(settings.queues)
        .compression(settings.compression)
        .bind("127.0.0.1:0")
}

/// A frame as a client sends it. The mask is zero, so that the payload can be read.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..=125 => frame.push(0x80 | len as u8),
        len @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

fn text(text: &str) -> Vec<u8> {
    frame(0x81, text.as_bytes())
}

fn binary(payload: &[u8]) -> Vec<u8> {
    frame(0x82, payload)
}

fn close(code: u16, reason: &str) -> Vec<u8> {
    frame(0x88, &close_body(code, reason))
}

fn close_body(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// The frames of a server: the first byte and the payload of each.
fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let [first, len, rest @ ..] = bytes {
        let (len, rest) = match len {
            126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            127 => (
                u64::from_be_bytes(rest[..8].try_into().unwrap()) as usize,
                &rest[8..],
            ),
            len => (usize::from(*len), rest),
        };
        frames.push((*first, rest[..len].to_vec()));
        bytes = &rest[len..];
    }
    frames
}

/// A stage with the obedient handler, and its diary.
fn stage(settings: Settings) -> (Stage, Diary) {
    let handler = Obedient::default();
    let diary = handler.diary.clone();
    (Stage::new(handler, settings), diary)
}

fn with_config(config: Config) -> Settings {
    Settings {
        config: Arc::new(config),
        ..Settings::default()
    }
}

fn with_queues(queues: QueueLimits) -> Settings {
    Settings {
        queues,
        ..Settings::default()
    }
}

/// An open WebSocket on a stage, and its diary from here on.
fn opened(settings: Settings) -> (Stage, crate::driver::Key, Diary) {
    let (mut stage, diary) = stage(settings);
    let key = stage.open();
    assert_eq!(diary.read(), ["open Open"]);
    (stage, key, diary)
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
