//! Publish/subscribe: WebSockets of a server subscribe to topics, and what is published to a topic goes to all of them.
//!
//! Each worker has an index of its own sockets and their topics (`index`). What is published in a turn is gathered
//! (`batch`) and given to the subscribers when the callback has returned, or the turn is over (`local`,
//! `delivery`). Other workers get it by their mailboxes if they have subscribers (`registry`, `shared`).
//!
//! WebSockets of async handlers are subscribers too; no worker sees to them (`sessions`).
//!
//! # What is promised
//!
//! - A subscriber gets the messages that one publisher published to one topic in their order. On one worker it gets
//!   those of all publishers and topics in the order in which they were published.
//! - A message that was published before a WebSocket unsubscribed, or closed in good order, is sent to it; one that was
//!   published before it subscribed is not. Across workers "before" means: before it arrived there.
//! - What a socket's own handler sends and what is published keep their order, for as long as the socket is not behind.
//! - A WebSocket that is subscribed to a topic and to patterns that match it gets a message once.
//! - Nothing is lost silently: see [`PublishError`] and [`Overflow`](crate::Overflow).

mod backlog;
mod batch;
mod changes;
mod config;
mod delivery;
mod filters;
mod history;
mod index;
mod local;
mod metrics;
mod policy;
mod recipient;
mod registry;
mod sessions;
mod shared;
#[cfg(test)]
mod tests;
mod topic;

pub(crate) use backlog::{Backlog, Waiting};
pub use changes::{Change, Changes, Missed};
pub use config::{HubConfig, PublishError, SubscribeError, Topics};
pub(crate) use delivery::Dropped;
pub use history::History;
pub(crate) use local::Local;
pub(crate) use policy::Pressure;
pub(crate) use recipient::{Recipient, Recipients};
pub(crate) use sessions::Seat;
pub use shared::Publisher;
pub(crate) use shared::{Hub, Outlet, Post};
pub use topic::{Topic, TopicError};
