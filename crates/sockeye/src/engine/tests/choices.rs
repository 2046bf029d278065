//! What is agreed on for each WebSocket, and chosen for each message.

use sockeye_proto::deflate::Deflate;
use sockeye_proto::{Compress, Message, Prepared};

use super::super::{CloseEvent, Handler, Socket};
use super::fake::Stage;
use super::obedient::Diary;
use super::*;
use crate::driver::Key;
use crate::server::Route;
use crate::{CloseCode, MessageRef};

const SHORT: &str = "short";

fn long() -> String {
    "a text that says the same again. ".repeat(10)
}

/// Sends and publishes as it is told, and notes what its WebSockets say of themselves.
#[derive(Clone, Default)]
struct Chooser {
    diary: Diary,
}

impl Chooser {
    fn note(&self, socket: &Socket<'_, ()>) {
        let (state, protocol) = (socket.state(), socket.subprotocol());
        let compresses = socket.is_compressing();
        self.diary.note(format!("{state:?} {protocol:?} {compresses}"));
    }
}

impl Handler for Chooser {
    type Data = ();

    fn open(&self, socket: &mut Socket<'_, ()>) {
        self.note(socket);
        socket.subscribe("t").unwrap();
    }

    fn message(&self, socket: &mut Socket<'_, ()>, message: MessageRef<'_>) {
        let prepared = Prepared::new(Message::Text(&long()));
        match message.as_bytes() {
            b"send" => {
                socket.send(SHORT);
                socket.send(long());
                socket.send_with(SHORT, Compress::Always);
                socket.send_with(long(), Compress::Never);
                socket.send_prepared(&prepared);
            }
            b"publish" => {
                socket.publish_to_all("t", SHORT, Compress::Auto).unwrap();
                socket.publish_to_all("t", long(), Compress::Auto).unwrap();
                socket.publish_to_all("t", SHORT, Compress::Always).unwrap();
                socket.publish_to_all("t", long(), Compress::Never).unwrap();
            }
            b"prepared" => socket.publish_prepared("t", &prepared).unwrap(),
            _ => {
                socket.close(CloseCode::NORMAL, "").unwrap();
                self.note(socket);
            }
        }
    }

    fn close(&self, socket: &mut Socket<'_, ()>, _: CloseEvent<'_>) {
        self.note(socket);
    }
}

fn stage() -> (Stage, Diary) {
    let handler = Chooser::default();
    let diary = handler.diary.clone();
    let deflate = Deflate {
        threshold: 100,
        ..Deflate::default()
    };
    let route = Route::handler(handler).subprotocols(["a"]).compression(deflate);
    let server = Server::builder().route_with("/", route).bind("127.0.0.1:0");
    (Stage::of(server), diary)
}

/// A WebSocket whose client sent these headers too.
fn open_with(stage: &mut Stage, headers: &str) -> Key {
    let key = stage.accept();
    let request = String::from_utf8(REQUEST.to_vec()).unwrap();
    let request = request.replacen("Host: x\r\n", &format!("Host: x\r\n{headers}"), 1);
    stage.receive(key, request.as_bytes());
    assert!(stage.sent(key).starts_with(b"HTTP/1.1 101 "));
    key
}

const OFFERS: &str = "Sec-WebSocket-Protocol: b, a\r\nSec-WebSocket-Extensions: permessage-deflate\r\n";

/// The first byte of each frame, and whether it has the length of the message as it is.
fn kinds(stage: &mut Stage, key: Key) -> Vec<(u8, bool)> {
    let sent = stage.sent(key);
    let as_it_is = |payload: &[u8]| payload == SHORT.as_bytes() || payload == long().as_bytes();
    frames(&sent)
        .into_iter()
        .map(|(first, payload)| (first, as_it_is(&payload)))
        .collect()
}

#[test]
fn a_socket_tells_how_far_it_is_and_what_was_agreed_on() {
    let (mut stage, diary) = stage();
    let key = open_with(&mut stage, OFFERS);
    stage.receive(key, &text("close"));
    stage.receive(key, &close(1000, ""));
    assert_eq!(
        diary.read(),
        [
            "Open Some(\"a\") true",
            "Closing Some(\"a\") false",
            "Closed Some(\"a\") false"
        ]
    );
    open_with(&mut stage, "");
    assert_eq!(diary.read(), ["Open None false"]);
}

#[test]
fn compression_is_chosen_for_each_message_and_by_its_length() {
    let (mut stage, _) = stage();
    let (compressing, plain) = (open_with(&mut stage, OFFERS), open_with(&mut stage, ""));
    const PLAIN: (u8, bool) = (0x81, true);
    const COMPRESSED: (u8, bool) = (0xC1, false);
    let chosen = [PLAIN, COMPRESSED, COMPRESSED, PLAIN];
    stage.receive(compressing, &text("send"));
    assert_eq!(kinds(&mut stage, compressing)[..4], chosen);
    stage.receive(compressing, &text("publish"));
    assert_eq!(kinds(&mut stage, compressing), chosen);
    assert_eq!(kinds(&mut stage, plain), [PLAIN; 4]);
}

#[test]
fn a_prepared_message_is_sent_and_published() {
    let (mut stage, _) = stage();
    let (compressing, plain) = (open_with(&mut stage, OFFERS), open_with(&mut stage, ""));
    stage.receive(compressing, &text("send"));
    stage.receive(plain, &text("send"));
    assert_eq!(kinds(&mut stage, compressing)[4], (0xC1, false));
    assert_eq!(kinds(&mut stage, plain)[4], (0x81, true));
    stage.receive(plain, &text("prepared"));
    assert_eq!(kinds(&mut stage, compressing), [(0xC1, false)]);
    // Not to itself.
    assert_eq!(kinds(&mut stage, plain), []);
}
