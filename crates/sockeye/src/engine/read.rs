//! Received bytes to callbacks: the loop that every message passes through, made anew for each type of handler, so that
//! no call in it is an indirect one.

use sockeye_proto::{Chunk, Event, Frame, MessageKind, Opcode, Workspace};

use super::common::Stop;
use super::session::Rare;
use super::{Handler, Socket};

/// Hands out what `bytes` amount to. What comes behind a pause is kept for later, what comes behind the end dropped.
#[inline]
pub(super) fn read<H: Handler>(
    handler: &H,
    socket: &mut Socket<'_, H::Data>,
    bytes: &mut [u8],
    workspace: &mut Workspace,
) {
    let now = socket.lent.common.now;
    let mut at = 0;
    while at < bytes.len() {
        let lent = &mut socket.lent;
        if lent.flags.is_deaf() {
            return lent.keep_unread(&bytes[at..]);
        }
        let received = match lent.open.connection.receive(&mut bytes[at..], workspace, now) {
            Ok(received) => received,
            Err(error) => {
                lent.common.stop = Some(Stop::Failure(error));
                return;
            }
        };
        at += received.consumed;
        match received.event {
            Some(Event::Message(message)) => {
                let len = message.as_bytes().len();
                lent.common.tally.received(message.kind(), 1, len);
                handler.message(socket, message);
            }
            None => {}
            Some(event) => other(handler, socket, event),
        }
    }
}

/// Goes on with the message in whose memory `count` bytes were received.
pub(super) fn read_in_place<H: Handler>(
    handler: &H,
    socket: &mut Socket<'_, H::Data>,
    count: usize,
    workspace: &mut Workspace,
) {
    let lent = &mut socket.lent;
    let now = lent.common.now;
    match lent.open.connection.receive_in_room(count, workspace, now) {
        Ok(received) => {
            if let Some(Event::Message(message)) = received.event {
                let len = message.as_bytes().len();
                lent.common.tally.received(message.kind(), 1, len);
                handler.message(socket, message);
            }
        }
        Err(error) => lent.common.stop = Some(Stop::Failure(error)),
    }
}

/// All but whole messages.
#[inline(never)]
fn other<H: Handler>(handler: &H, socket: &mut Socket<'_, H::Data>, event: Event<'_>) {
    match event {
        Event::Message(_) => {}
        Event::Chunk(chunk) => fragment(handler, socket, chunk),
        Event::Frame(frame) => {
            let chunk = piece_of(socket, frame);
            fragment(handler, socket, chunk);
        }
        Event::Ping(payload) => {
            socket.lent.write_owed();
            handler.ping(socket, payload);
        }
        Event::Pong(payload) => handler.pong(socket, payload),
        Event::Close(frame) => {
            let (code, reason) = frame.map_or((1005, ""), |frame| (frame.code().get(), frame.reason()));
            socket.lent.common.stop = Some(Stop::Close(code, reason.to_owned()));
        }
    }
}

fn fragment<H: Handler>(handler: &H, socket: &mut Socket<'_, H::Data>, chunk: Chunk<'_>) {
    let messages = u64::from(chunk.ends_message);
    let len = chunk.payload.len();
    socket.lent.common.tally.received(chunk.kind, messages, len);
    handler.fragment(socket, chunk);
}

/// A frame as a piece of its message.
fn piece_of<'f, Data>(socket: &mut Socket<'_, Data>, frame: Frame<'f>) -> Chunk<'f> {
    let flags = &mut *socket.lent.flags;
    let starts_message = frame.opcode != Opcode::Continuation;
    if starts_message {
        let is_text = frame.opcode == Opcode::Text;
        flags.rare.set(Rare::FRAMES_ARE_TEXT, is_text);
    }
    Chunk {
        kind: if flags.rare.has(Rare::FRAMES_ARE_TEXT) {
            MessageKind::Text
        } else {
            MessageKind::Binary
        },
        payload: frame.payload,
        starts_message,
        ends_frame: true,
        ends_message: frame.fin,
    }
}
