//! A WebSocket as callbacks see it.

use std::fmt;
use std::future::Future;
use std::io;

use sockeye_proto::{CloseFrame, Compress, Prepared, ReasonTooLong, SendError, State};

use super::mailbox::SocketHandle;
use super::session::Lent;
use crate::CloseCode;
use crate::hub::{PublishError, SubscribeError, Topic};
use crate::message::AsMessage;
use crate::server::Address;

/// What became of a message that was sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Sent {
    /// It is on its way: it leaves when the callback returns, if not already.
    Sent,
    /// It will be sent, but [`QueueLimits::high_water`](crate::QueueLimits::high_water) bytes and more wait for the peer:
    /// better hold back what can be, until [`Handler::drain`](super::Handler::drain).
    Buffered,
    /// It will not be sent, because [`QueueLimits::send`](crate::QueueLimits::send) bytes and more wait for the peer; or
    /// because the WebSocket is closing, or in the middle of a fragmented message.
    Dropped,
}

/// A WebSocket, lent to a [callback](super::Handler) for as long as that runs.
///
/// Nothing here waits. What is sent by a callback leaves in one write when it returns, sooner only if it is much.
pub struct Socket<'s, Data> {
    pub(super) lent: Lent<'s>,
    pub(super) data: &'s mut Data,
}

impl<Data> Socket<'_, Data> {
    /// Sends a message; compressed, if that was negotiated and the message is long enough.
    #[inline]
    pub fn send(&mut self, message: impl AsMessage) -> Sent {
        self.lent.send(message.as_message(), Compress::Auto)
    }

    /// Sends a message, with the choice whether to compress it.
    pub fn send_with(&mut self, message: impl AsMessage, compress: Compress) -> Sent {
        self.lent.send(message.as_message(), compress)
    }

    /// Sends a message that was framed ahead.
    pub fn send_prepared(&mut self, message: &Prepared) -> Sent {
        self.lent.send_prepared(message, Compress::Auto)
    }

    /// Sends a fragment of a message; `fin` marks the last. The first one decides about the kind of the message and its
    /// compression. No other message can be sent in between.
    pub fn send_fragment(&mut self, fragment: impl AsMessage, fin: bool) -> Sent {
        self.lent.send_fragment(fragment.as_message(), fin)
    }

    /// Subscribes this WebSocket to a topic, or to a pattern of topics where
    /// [`HubConfig::wildcards`](crate::hub::HubConfig::wildcards) allows it; gives whether it was not subscribed yet. What is
    /// published from now on is sent to it. [`Handler::subscription`](super::Handler::subscription) is told when this
    /// callback has returned.
    ///
    /// # Errors
    /// The topic has no valid name, there are as many subscriptions as
    /// [`HubConfig::max_subscriptions`](crate::hub::HubConfig::max_subscriptions) allows, or the WebSocket is closed.
    pub fn subscribe(&mut self, topic: &str) -> Result<bool, SubscribeError> {
        self.lent.subscribe(topic, 0)
    }

    /// Subscribes this WebSocket to a topic, and sends it the last messages that were published there, at most `history`:
    /// none is left out between those and what is published from now on, and none comes twice. The topic must be one
    /// whose messages are [kept](crate::hub::HubConfig::history).
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    pub fn subscribe_with_history(&mut self, topic: &str, history: usize) -> Result<bool, SubscribeError> {
        self.lent.subscribe(topic, history)
    }

    /// Ends a subscription; gives whether there was one. What was published before is still sent.
    pub fn unsubscribe(&mut self, topic: &str) -> bool {
        self.lent.unsubscribe(topic)
    }

    /// Whether this WebSocket is subscribed to this very topic, or pattern.
    pub fn is_subscribed(&self, topic: &str) -> bool {
        self.lent.is_subscribed(topic)
    }

    /// The topics and patterns that this WebSocket is subscribed to, in no certain order.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = &Topic> {
        self.lent.topics()
    }

    /// Publishes a message to all subscribers of a topic, on all workers, but this WebSocket. Subscribers get it when this
    /// callback has returned. It need not be subscribed itself.
    ///
    /// # Errors
    /// The topic has no valid name; or too much is on its way to other workers, see
    /// [`HubConfig::max_in_transit`](crate::hub::HubConfig::max_in_transit): then nobody gets the message.
    #[inline]
    pub fn publish(&mut self, topic: &str, message: impl AsMessage) -> Result<(), PublishError> {
        self.lent
            .publish(true, topic, message.as_message(), Compress::Auto)
    }

    /// Publishes a message to all subscribers of a topic, this WebSocket among them if it is one; with the choice
    /// whether to compress it.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn publish_to_all(
        &mut self,
        topic: &str,
        message: impl AsMessage,
        compress: Compress,
    ) -> Result<(), PublishError> {
        self.lent.publish(false, topic, message.as_message(), compress)
    }

    /// Publishes a message that was framed ahead, as [`publish`](Self::publish) does: what it was compressed to before, for
    /// whatever subscriber, is used again.
    ///
    /// # Errors
    /// As there.
    pub fn publish_prepared(&mut self, topic: &str, message: &Prepared) -> Result<(), PublishError> {
        self.lent.publish_prepared(topic, message)
    }

    /// How many WebSockets are subscribed to this very topic, on all workers.
    pub fn num_subscribers(&self, topic: &str) -> usize {
        self.lent.common.hub.num_subscribers(topic)
    }

    /// Sends a Ping.
    ///
    /// # Errors
    /// The WebSocket is closing, or the payload is longer than 125 bytes.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.lent
            .control(|connection, tail| connection.ping(payload, tail))
    }

    /// Sends a Pong that nobody asked for; or the answer to a Ping, on routes without
    /// [`Config::auto_pong`](crate::Config::auto_pong).
    ///
    /// # Errors
    /// The WebSocket is closing, or the payload is longer than 125 bytes.
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.lent
            .control(|connection, tail| connection.pong(payload, tail))
    }

    /// Starts the closing handshake behind all that was sent. Messages that the peer sent before it answers still come;
    /// [`Handler::close`](super::Handler::close) tells of its answer. Does nothing if the WebSocket is closing already.
    ///
    /// # Errors
    /// The reason is longer than 123 bytes.
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), ReasonTooLong> {
        let frame = CloseFrame::new(code, reason)?;
        self.lent.close(Some(frame));
        Ok(())
    }

    /// Closes the WebSocket without waiting for the peer: the Close frame leaves behind all that was sent, then the
    /// sending direction ends. Nothing is received any more, and [`Handler::close`](super::Handler::close) is called when
    /// this callback has returned.
    ///
    /// # Errors
    /// The reason is longer than 123 bytes.
    pub fn close_after_flush(&mut self, code: CloseCode, reason: &str) -> Result<(), ReasonTooLong> {
        let frame = CloseFrame::new(code, reason)?;
        self.lent.hang_up(frame);
        Ok(())
    }

    /// Drops the connection, without a Close frame and with whatever waits to be sent. The peer sees a reset.
    pub fn abort(&mut self) {
        self.lent.abort();
    }

    /// How many bytes wait for the peer here, those that may still be dropped too ([`Overflow`](crate::Overflow)); what waits
    /// in the system does not count.
    pub fn buffered_amount(&self) -> usize {
        self.lent.buffered_amount() + self.lent.backlog()
    }

    /// How far the WebSocket is.
    pub fn state(&self) -> State {
        self.lent.state()
    }

    /// Whether a message can be sent.
    pub fn is_open(&self) -> bool {
        self.state() == State::Open
    }

    /// The data of this WebSocket.
    pub fn data(&self) -> &Data {
        self.data
    }

    /// The data of this WebSocket, to change it.
    pub fn data_mut(&mut self) -> &mut Data {
        self.data
    }

    /// The subprotocol that was agreed on.
    pub fn subprotocol(&self) -> Option<&str> {
        self.lent.subprotocol()
    }

    /// Whether messages can be compressed: the client offered it, and the route wants it.
    pub fn is_compressing(&self) -> bool {
        self.lent.is_compressing()
    }

    /// The other end of the connection: the client, or a proxy. The system is asked for it, unless a proxy has told.
    ///
    /// # Errors
    /// The system's: the connection is lost already.
    pub fn peer_address(&self) -> io::Result<Address> {
        self.lent.peer_address()
    }

    /// Stops receiving: TCP holds the peer back, and its silence is not held against it. No message comes until
    /// [`resume`](Self::resume), here or through a [handle](Self::handle). A peer that closes, or leaves, behind messages
    /// that had been received is told of behind them.
    ///
    /// # Errors
    /// The system's: the connection is lost.
    pub fn pause(&mut self) -> io::Result<()> {
        self.lent.pause()
    }

    /// Receives again.
    pub fn resume(&mut self) {
        self.lent.resume();
    }

    /// Whether receiving is [paused](Self::pause).
    pub fn is_paused(&self) -> bool {
        self.lent.is_paused()
    }

    /// A handle to this WebSocket, for any thread and for as long as wished; it does not keep the connection open.
    pub fn handle(&mut self) -> SocketHandle {
        self.lent.handle()
    }

    /// Runs a future on the worker of this WebSocket. It need not be [`Send`], may use anything of tokio, and sends
    /// through a [handle](Self::handle).
    pub fn spawn<F>(&self, future: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        tokio::task::spawn_local(future)
    }
}

impl<Data> fmt::Debug for Socket<'_, Data> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("state", &self.state())
            .field("buffered_amount", &self.buffered_amount())
            .finish_non_exhaustive()
    }
}
