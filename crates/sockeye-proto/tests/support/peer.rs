//! A peer that follows the script of a test: it sends frames made by hand and expects others.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sockeye_proto::deflate::Parameters;
use sockeye_proto::{Config, Connection, Error, Role};

use super::end::{End, Heard};
use super::frame::Frame;

/// What the peer masks its frames with when it plays the client.
pub(crate) const PEER_KEY: [u8; 4] = [0xA1, 0x5E, 0x00, 0x7F];
/// What the endpoint masks its frames with when it is the client.
pub(crate) const OWN_KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// One endpoint, which it derefs to, and the script of its peer.
#[derive(Debug)]
pub(crate) struct Peer {
    end: End,
    start: Instant,
    pub(crate) now: Instant,
}

impl Peer {
    /// The peer of a server with the default limits.
    pub(crate) fn of_server() -> Self {
        Self::of(Role::Server, Config::server(), None)
    }

    /// The peer of a client with the default limits.
    pub(crate) fn of_client() -> Self {
        Self::of(Role::Client, Config::client(), None)
    }

    pub(crate) fn of_server_with(config: Config) -> Self {
        Self::of(Role::Server, config, None)
    }

    /// The peer of an endpoint that plays `role`.
    pub(crate) fn of(role: Role, config: Config, parameters: Option<Parameters>) -> Self {
        let start = Instant::now();
        let config = Arc::new(config);
        let deflate = parameters.map(|parameters| super::deflate(role, parameters));
        let connection = match role {
            Role::Server => Connection::server(config, deflate, start),
            Role::Client => Connection::client(config, Box::new(|| OWN_KEY), deflate, start),
        };
        assert_eq!(connection.role(), role);
        Self {
            end: End::new(connection),
            start,
            now: start,
        }
    }

    /// Both roles, with the default limits of each.
    pub(crate) fn of_both() -> [Self; 2] {
        [Self::of_server(), Self::of_client()]
    }

    /// What the peer has to mask its frames with.
    pub(crate) fn key(&self) -> Option<[u8; 4]> {
        (self.connection.role() == Role::Server).then_some(PEER_KEY)
    }

    /// The bytes of frames from the peer.
    pub(crate) fn encode<'f>(&self, frames: impl IntoIterator<Item = &'f Frame>) -> Vec<u8> {
        frames
            .into_iter()
            .flat_map(|frame| frame.encode(self.key()))
            .collect()
    }

    /// The peer sends a frame.
    pub(crate) fn send(&mut self, frame: Frame) {
        self.send_all(&[frame]);
    }

    /// The peer sends frames that arrive in one read.
    pub(crate) fn send_all(&mut self, frames: &[Frame]) {
        let bytes = self.encode(frames);
        self.send_bytes(&bytes);
    }

    /// The peer sends bytes that arrive in one read.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.end.receive(bytes, self.now);
    }

    /// The peer sends a frame that arrives one byte at a time.
    pub(crate) fn send_bytewise(&mut self, frame: &Frame) {
        let bytes = frame.encode(self.key());
        self.end.receive_bytewise(&bytes, self.now);
    }

    /// The next frame that the endpoint has sent; its output counts as flushed.
    pub(crate) fn next_frame(&mut self) -> Option<Frame> {
        self.end.poll_output();
        self.end.connection.handle_flushed(self.now);
        if self.end.out.is_empty() {
            return None;
        }
        let (frame, key, len) = Frame::decode(&self.end.out).expect("a whole frame");
        // RFC 6455 §5.1: a client masks every frame, a server none.
        let client = self.connection.role() == Role::Client;
        assert_eq!(key, client.then_some(OWN_KEY), "masking of {frame:?}");
        self.end.out.drain(..len);
        Some(frame)
    }

    /// The endpoint has sent this frame next.
    #[track_caller]
    pub(crate) fn expect(&mut self, frame: Frame) {
        assert_eq!(self.next_frame(), Some(frame));
    }

    /// The endpoint has sent nothing more.
    #[track_caller]
    pub(crate) fn expect_nothing(&mut self) {
        assert_eq!(self.next_frame(), None);
    }

    /// The endpoint has heard exactly this since the last look.
    #[track_caller]
    pub(crate) fn expect_heard(&mut self, events: &[Heard]) {
        assert_eq!(self.end.take_heard(), events);
    }

    /// The endpoint has failed with this error, says so to its peer, and sends nothing more.
    #[track_caller]
    pub(crate) fn expect_failure(&mut self, error: impl Into<Error>) {
        let error = error.into();
        assert_eq!(self.end.error, Some(error));
        if let Some(code) = error.close_code() {
            self.expect(Frame::close(code.get(), error.to_string()));
        }
        self.expect_nothing();
        assert_eq!(self.connection.state(), sockeye_proto::State::Closed);
    }

    /// Time passes, and the endpoint acts on each deadline when it is reached.
    pub(crate) fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(deadline) = self.connection.poll_timeout()
            && deadline <= until
        {
            self.now = self.now.max(deadline);
            self.end.expire(self.now);
        }
        self.now = until;
    }

    /// Time passes until the next deadline, and the endpoint acts on it; gives how long that was.
    pub(crate) fn wait_for_deadline(&mut self) -> Option<Duration> {
        let time = self
            .connection
            .poll_timeout()?
            .saturating_duration_since(self.now);
        self.wait(time);
        Some(time)
    }

    /// How long the connection has existed.
    pub(crate) fn age(&self) -> Duration {
        self.now - self.start
    }
}

impl Deref for Peer {
    type Target = End;

    fn deref(&self) -> &End {
        &self.end
    }
}

impl DerefMut for Peer {
    fn deref_mut(&mut self) -> &mut End {
        &mut self.end
    }
}
