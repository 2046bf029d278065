//! What a connection tells its caller.

use crate::close::CloseFrame;
use crate::frame::Frame;
use crate::message::{Message, MessageKind};

/// How far a connection is on its way from open to closed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// Messages flow both ways.
    Open,
    /// The closing handshake has begun, from either side, and is not complete.
    Closing,
    /// No frame will be received or sent any more.
    Closed,
}

/// What to do with the transport.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Shutdown {
    /// Keep it open.
    NotYet,
    /// Flush the output. Read on, and drop what is read, until the peer ends the transport or the deadline passes.
    ///
    /// A client waits here: RFC 6455 §7.1.1 has the server close TCP first, so that TIME_WAIT stays with it.
    AwaitPeer,
    /// Flush the output, what [`Connection::poll_output`](crate::Connection::poll_output) owes included, end the sending direction, then read on as
    /// with [`AwaitPeer`](Self::AwaitPeer).
    ///
    /// The connection failed and the peer may not know yet: dropping a TCP socket with unread input resets it, and
    /// the peer may never see our Close frame.
    Linger,
    /// Flush the output, end the sending direction and drop the transport: both Close frames were exchanged, so that
    /// nothing is unread.
    ///
    /// RFC 6455 §7.1.1: a server "SHOULD close the connection immediately"; waiting is for the client.
    AfterFlush,
    /// Drop it now.
    Now,
}

/// What [`Connection::receive`](crate::Connection::receive) found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Received<'a> {
    /// How many bytes of the input were used up. Pass the rest again.
    pub consumed: usize,
    /// What they amounted to, `None` if more bytes are needed.
    pub event: Option<Event<'a>>,
    /// Whether the event is a message, or a frame, that was gathered in the workspace and whose memory is too large to be kept
    /// there, or about as large as the message is: to have one of your own, drop the event and take it with [`Workspace::take_text`](crate::Workspace::take_text) or
    /// [`Workspace::take_binary`](crate::Workspace::take_binary) (frames of either kind too), which copies nothing.
    pub takeable: bool,
}

/// Something that the peer sent, lent from the input or the workspace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event<'a> {
    /// A whole message ([`Delivery::Messages`](crate::Delivery::Messages)).
    Message(Message<'a>),
    /// A piece of a message ([`Delivery::Chunks`](crate::Delivery::Chunks)).
    Chunk(Chunk<'a>),
    /// A whole data frame ([`Delivery::Frames`](crate::Delivery::Frames)). Control frames are told as themselves.
    Frame(Frame<'a>),
    /// A Ping. Its Pong is owed already: [`Connection::poll_output`](crate::Connection::poll_output) writes it. Without
    /// [`Config::auto_pong`](crate::Config::auto_pong) the application owes it.
    Ping(&'a [u8]),
    /// A Pong, asked for or not.
    Pong(&'a [u8]),
    /// The peer's Close frame. If it is the first one, the answer is owed already.
    Close(Option<CloseFrame<'a>>),
}

/// A piece of a message, as large as what arrived at once; may be empty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Chunk<'a> {
    /// The kind of the message.
    pub kind: MessageKind,
    /// The bytes, unmasked and inflated. Text is valid UTF-8 so far, and may be cut inside a code point.
    pub payload: &'a [u8],
    /// Whether this is the first piece of its message.
    pub starts_message: bool,
    /// Whether the frame that carried it ends here.
    pub ends_frame: bool,
    /// Whether the message ends here.
    pub ends_message: bool,
}
