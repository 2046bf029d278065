//! Topics of the WebSockets of async handlers.

use super::{Sender, WebSocket};
use crate::hub::{PublishError, SubscribeError, Topic};
use crate::message::AsMessage;

/// Topics of WebSockets that a [`Server`](crate::Server) serves, those of its fallback too; and of those that were given
/// topics ([`Publisher::new`](crate::hub::Publisher::new)).
impl Sender {
    /// Subscribes this WebSocket to a topic, or to a pattern of topics where
    /// [`HubConfig::wildcards`](crate::hub::HubConfig::wildcards) allows it; gives whether it was not subscribed yet. What is
    /// published from now on is sent to the client, without the handler seeing it.
    ///
    /// What is published does not wait for a client that is behind, as [`send`](Self::send) does: once
    /// [`QueueLimits::send`](crate::QueueLimits::send) bytes wait,
    /// [`QueueLimits::overflow`](crate::QueueLimits::overflow) says what becomes of it, and [`missed`](Self::missed)
    /// counts what was dropped. While a message is sent [in fragments](Self::send_fragment) or
    /// [piece by piece](Self::message_writer), what is published waits for its end, up to half of that.
    ///
    /// # Errors
    /// The topic has no valid name; there are as many subscriptions as
    /// [`HubConfig::max_subscriptions`](crate::hub::HubConfig::max_subscriptions) allows; the WebSocket is closing or
    /// closed; or it is not one of a [`Server`](crate::Server), and was given no topics.
    pub fn subscribe(&self, topic: &str) -> Result<bool, SubscribeError> {
        self.subscribe_with_history(topic, 0)
    }

    /// Subscribes this WebSocket to a topic, and sends it the last messages that were published there, at most `history`:
    /// none is left out between those and what is published from now on, and none comes twice. The topic must be one
    /// whose messages are [kept](crate::hub::HubConfig::history).
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    pub fn subscribe_with_history(&self, topic: &str, history: usize) -> Result<bool, SubscribeError> {
        let hub = self.hub().ok_or(SubscribeError::NoServer)?;
        hub.subscribe_session(&self.shared(), topic, history)
    }

    /// Ends a subscription; gives whether there was one. What was published before is still sent.
    pub fn unsubscribe(&self, topic: &str) -> bool {
        let hub = self.hub();
        hub.is_some_and(|hub| hub.unsubscribe_session(&self.shared(), topic))
    }

    /// The topics and patterns that this WebSocket is subscribed to, in no certain order.
    pub fn topics(&self) -> Vec<Topic> {
        let hub = self.hub();
        hub.map_or_else(Vec::new, |hub| hub.topics_of_session(&self.shared()))
    }

    /// Publishes a message to all subscribers of a topic but this WebSocket, of whatever handler they are and on whatever
    /// worker. It need not be subscribed itself.
    ///
    /// # Errors
    /// The topic has no valid name; or too much is on its way to workers, see
    /// [`HubConfig::max_in_transit`](crate::hub::HubConfig::max_in_transit); or this is not a WebSocket of a
    /// [`Server`](crate::Server), and was given no topics. Nobody gets the message then.
    pub fn publish(&self, topic: &str, message: impl AsMessage) -> Result<(), PublishError> {
        let hub = self.hub().ok_or(PublishError::NoServer)?;
        hub.publish_from_session(&self.shared(), topic, message.as_message().into())
    }

    /// How many published messages were dropped because this WebSocket's client was too far behind.
    pub fn missed(&self) -> u64 {
        self.lock().missed
    }
}

/// Topics, as [`Sender`] has them.
impl WebSocket {
    /// Subscribes this WebSocket to a topic: what is published there is sent to the client. See [`Sender::subscribe`].
    ///
    /// ```
    /// use sockeye::{HandlerResult, WebSocket};
    ///
    /// async fn chat(mut ws: WebSocket) -> HandlerResult {
    ///     ws.subscribe("lobby")?;
    ///     while let Some(message) = ws.recv().await? {
    ///         // To all others.
    ///         ws.publish("lobby", message)?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// As there.
    pub fn subscribe(&self, topic: &str) -> Result<bool, SubscribeError> {
        self.sender.subscribe(topic)
    }

    /// Subscribes this WebSocket to a topic, and sends it messages of before. See [`Sender::subscribe_with_history`].
    ///
    /// # Errors
    /// As there.
    pub fn subscribe_with_history(&self, topic: &str, history: usize) -> Result<bool, SubscribeError> {
        self.sender.subscribe_with_history(topic, history)
    }

    /// Ends a subscription; gives whether there was one. What was published before is still sent.
    pub fn unsubscribe(&self, topic: &str) -> bool {
        self.sender.unsubscribe(topic)
    }

    /// The topics and patterns that this WebSocket is subscribed to, in no certain order.
    pub fn topics(&self) -> Vec<Topic> {
        self.sender.topics()
    }

    /// Publishes a message to all subscribers of a topic but this WebSocket. See [`Sender::publish`].
    ///
    /// # Errors
    /// As there.
    pub fn publish(&self, topic: &str, message: impl AsMessage) -> Result<(), PublishError> {
        self.sender.publish(topic, message)
    }

    /// How many published messages were dropped because this WebSocket's client was too far behind.
    pub fn missed(&self) -> u64 {
        self.sender.missed()
    }
}
