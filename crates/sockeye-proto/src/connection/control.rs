//! Control frames that wait: to be answered, to be written, or for the rest of their bytes.

use std::fmt;

use crate::close::CloseFrame;
use crate::frame::MAX_CONTROL_PAYLOAD;

/// The payload of a control frame that outlives the buffer it was read from.
#[derive(Clone)]
pub(super) struct ControlPayload {
    len: u8,
    bytes: [u8; MAX_CONTROL_PAYLOAD],
}

impl ControlPayload {
    pub(super) const EMPTY: Self = Self {
        len: 0,
        bytes: [0; MAX_CONTROL_PAYLOAD],
    };

    /// A copy of `payload`, which no control frame lets be longer than 125 bytes.
    pub(super) fn new(payload: &[u8]) -> Self {
        let mut copy = Self::EMPTY;
        copy.extend(payload);
        copy
    }

    /// The body of a Close frame (RFC 6455 §5.5.1).
    pub(super) fn close(frame: Option<CloseFrame<'_>>) -> Self {
        let mut body = Self::EMPTY;
        if let Some(frame) = frame {
            body.extend(&frame.code().get().to_be_bytes());
            body.extend(frame.reason().as_bytes());
        }
        body
    }

    /// Appends bytes, as many as fit.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        let room = &mut self.bytes[usize::from(self.len)..];
        let len = bytes.len().min(room.len());
        room[..len].copy_from_slice(&bytes[..len]);
        self.len += len as u8;
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Debug for ControlPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

/// What is owed to the peer, and what its Pongs are compared with: nothing, on almost all connections at almost all times.
#[derive(Default, Debug)]
pub(super) struct Owed(Option<Box<Waiting>>);

#[derive(Default, Debug)]
struct Waiting {
    /// The payload of the newest Ping that was not answered yet.
    pong: Option<ControlPayload>,
    /// The Close frame that answers the peer's, or tells it of a failure.
    close: Option<ControlPayload>,
    /// The payload of the newest Ping that the application sent since the latest keepalive Ping.
    newest_ping: Option<ControlPayload>,
}

impl Owed {
    pub(super) fn owe_pong(&mut self, payload: &[u8]) {
        self.waiting().pong = Some(ControlPayload::new(payload));
    }

    pub(super) fn owe_close(&mut self, body: ControlPayload) {
        self.waiting().close = Some(body);
    }

    pub(super) fn remember_ping(&mut self, payload: &[u8]) {
        self.waiting().newest_ping = Some(ControlPayload::new(payload));
    }

    pub(super) fn owes_pong(&self) -> bool {
        self.0.as_ref().is_some_and(|waiting| waiting.pong.is_some())
    }

    pub(super) fn owes_close(&self) -> bool {
        self.0.as_ref().is_some_and(|waiting| waiting.close.is_some())
    }

    pub(super) fn take_pong(&mut self) -> Option<ControlPayload> {
        self.take(|waiting| &mut waiting.pong)
    }

    pub(super) fn take_close(&mut self) -> Option<ControlPayload> {
        self.take(|waiting| &mut waiting.close)
    }

    pub(super) fn forget_ping(&mut self) {
        self.take(|waiting| &mut waiting.newest_ping);
    }

    pub(super) fn newest_ping(&self) -> Option<&[u8]> {
        let ping = self.0.as_ref()?.newest_ping.as_ref()?;
        Some(ping.as_bytes())
    }

    /// Owes nothing any more.
    pub(super) fn discard(&mut self) {
        self.0 = None;
    }

    fn waiting(&mut self) -> &mut Waiting {
        self.0.get_or_insert_default()
    }

    /// Takes one of the things that wait, and frees the memory when nothing else does.
    fn take(
        &mut self,
        which: impl FnOnce(&mut Waiting) -> &mut Option<ControlPayload>,
    ) -> Option<ControlPayload> {
        let waiting = self.0.as_mut()?;
        let taken = which(waiting).take();
        if let Waiting {
            pong: None,
            close: None,
            newest_ping: None,
        } = **waiting
        {
            self.0 = None;
        }
        taken
    }
}
