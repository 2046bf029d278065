//! Handlers with callbacks: what an application is asked about its WebSockets.

use sockeye_proto::Chunk;

use super::Socket;
use crate::server::{Accept, Decline, UpgradeRequest};
use crate::{Error, MessageRef};

/// What serves the WebSockets of a route, by callbacks that run where the bytes arrive.
///
/// This is the fast way: a message is lent from the buffer that it was received into, what is sent is framed straight
/// into the buffer that it leaves from, and all answers to what a read brought leave in one write. The other way, an async
/// function of a [`WebSocket`](crate::WebSocket), is [`AsyncHandler`](crate::server::AsyncHandler).
///
/// One value serves all WebSockets of its route, on all workers at once; what belongs to one WebSocket is its
/// [`Data`](Self::Data). A WebSocket never leaves its worker, so its data need not be [`Send`].
///
/// A callback must not block: the other WebSockets of the worker wait for it. What takes long goes into a task
/// ([`Socket::spawn`]), which sends through a [handle](Socket::handle).
///
/// Each WebSocket that was [opened](Self::open) is [closed](Self::close) exactly once, and nothing is called for it
/// after that. A callback that panics closes its own WebSocket with 1011, and harms no other.
///
/// ```
/// use sockeye::MessageRef;
/// use sockeye::server::{Handler, Socket};
///
/// struct Echo;
///
/// impl Handler for Echo {
///     type Data = ();
///
///     fn message(&self, socket: &mut Socket<'_, ()>, message: MessageRef<'_>) {
///         socket.send(message);
///     }
/// }
/// ```
#[expect(
    unused_variables,
    reason = "callbacks that do nothing by default name what they are given"
)]
pub trait Handler: Send + Sync + 'static {
    /// What is kept with each WebSocket. It begins as its default, and [`upgrade`](Self::upgrade) may fill it.
    type Data: Default + 'static;

    /// A client asks for a WebSocket: accept it, on which terms, or turn it down. Default: accepts it as the route is
    /// configured.
    ///
    /// # Errors
    /// The answer for a client that is turned down, a [`Rejection`](crate::server::Rejection), or
    /// [`Decline::Next`] to leave the client to the next route.
    fn upgrade(&self, request: &UpgradeRequest, data: &mut Self::Data) -> Result<Accept, Decline> {
        Ok(Accept::new())
    }

    /// The WebSocket is open.
    fn open(&self, socket: &mut Socket<'_, Self::Data>) {}

    /// A message came.
    fn message(&self, socket: &mut Socket<'_, Self::Data>, message: MessageRef<'_>);

    /// A piece of a message came, on routes that want their messages [in pieces](crate::Delivery::Chunks), or a frame, on
    /// those that want [frames](crate::Delivery::Frames). [`message`](Self::message) is not called there.
    fn fragment(&self, socket: &mut Socket<'_, Self::Data>, fragment: Chunk<'_>) {}

    /// A Ping came. It is answered by itself, unless the route's [limits](crate::Config::auto_pong) say otherwise.
    fn ping(&self, socket: &mut Socket<'_, Self::Data>, payload: &[u8]) {}

    /// A Pong came: the answer to a Ping of ours, the automatic ones included, or one that nobody asked for.
    fn pong(&self, socket: &mut Socket<'_, Self::Data>, payload: &[u8]) {}

    /// The peer has caught up: after a [`Sent::Buffered`](super::Sent::Buffered) or
    /// [`Sent::Dropped`](super::Sent::Dropped), no more than [`QueueLimits::low_water`](crate::QueueLimits::low_water)
    /// bytes wait for it now.
    fn drain(&self, socket: &mut Socket<'_, Self::Data>) {}

    /// A message was not sent because the peer is too far behind, and nobody was there to be told by
    /// [`Sent::Dropped`](super::Sent::Dropped): it was published to this topic; or, without one, sent through a
    /// [handle](super::SocketHandle), or dropped after it had waited ([`Overflow`](crate::Overflow)).
    fn dropped(&self, socket: &mut Socket<'_, Self::Data>, message: MessageRef<'_>, topic: Option<&str>) {}

    /// The WebSocket was subscribed to a topic, or unsubscribed, which has `new` subscribers now, on all workers, and
    /// had `old` before. Told when the callback that subscribed it has returned; and before [`close`](Self::close), for each topic
    /// that it leaves by closing.
    fn subscription(&self, socket: &mut Socket<'_, Self::Data>, topic: &str, new: usize, old: usize) {}

    /// The WebSocket is closed: nothing comes of it any more, and nothing can be sent to it.
    fn close(&self, socket: &mut Socket<'_, Self::Data>, end: CloseEvent<'_>) {}
}

/// How a WebSocket ended, for [`Handler::close`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CloseEvent<'a> {
    /// The peer's code if it closed, 1005 if it gave none. The code that the peer was told if the connection failed
    /// here, or was [closed without waiting](Socket::close_after_flush). 1006 if the connection was lost, or dropped without a word.
    pub code: u16,
    /// The reason that goes with the code; may be empty.
    pub reason: &'a str,
    /// Whether Close frames went both ways.
    pub was_clean: bool,
    /// Why, if the connection failed.
    pub error: Option<&'a Error>,
}
