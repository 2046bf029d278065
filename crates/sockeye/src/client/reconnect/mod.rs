//! A client that comes back: one WebSocket after the other to the same place, with a queue in front of them.
//!
//! ```no_run
//! use sockeye::reconnect::Reconnecting;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let mut feed = Reconnecting::builder("wss://example.org/feed")
//!     .on_open(|ws, _connection| async move {
//!         ws.send(r#"{"subscribe":"salmon"}"#).await?;
//!         Ok(ws)
//!     })
//!     .start()?;
//! feed.send(r#"{"order":7}"#).await?;
//! while let Some(message) = feed.recv().await? {
//!     println!("{message:?}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What becomes of a message
//!
//! WebSocket has no acknowledgements. When a connection is lost, nobody can tell which of the last messages the peer
//! has read; what can be told is which messages were never given to a connection at all. The promises are made of that.
//!
//! [`send`](Reconnecting::send) that returned `Ok` has put the message into the queue, and returned a [`Receipt`] for
//! it. From then on:
//!
//! - **Order.** Messages are given to connections in the order of their [numbers](Receipt::id), which is the order in
//!   which the calls of `send` began to wait for room. Within a connection, that is the order in which the peer reads
//!   them.
//! - **Nothing is forgotten.** Each message gets exactly one [`Fate`]. A message that was not given to a connection stays
//!   in the queue, in its place, for as many connections as it takes, unless the fate says otherwise. A connection that
//!   the peer is known to be closing is given nothing.
//! - **At most once**, the default ([`Promise::AtMostOnce`]). A message is given to one connection and no other. If that
//!   ends before the operating system has taken the whole message, the fate is [`Fate::Unknown`]: the peer may have
//!   read it or not, and it is not sent again. [`Fate::Sent`] says that the operating system has taken it, on which
//!   connection. It does not say that the peer has read it: if that connection is [lost](Event::Lost) soon after,
//!   what was sent last may be lost with it.
//! - **At least once**, by request ([`Promise::AtLeastOnce`]). The application says when the peer has acknowledged a
//!   message ([`Sender::acknowledge`]). Until then the message is kept, and given to each new connection again, all of
//!   them in order and before anything newer. The peer may read a message more than once, so it has to know it by
//!   something that the application puts into it; [`Sender::send_with`] lends the number for that. The fate is
//!   [`Fate::Acknowledged`], once.
//! - **The end.** When the client ends, by [`close`](Reconnecting::close), by giving up or because its handles were
//!   dropped, the fate of each message that was never given to a connection is [`Fate::Unsent`], and the peer has read
//!   nothing of it. Those that were, and are not acknowledged, are `Unknown`.
//!
//! The queue lives in memory. What has to survive the program has to be kept by the application, until its fate is told.
//!
//! Received messages are not lost here either: [`recv`](Reconnecting::recv) gives all that arrived, connection by
//! connection, also those of a connection that has ended meanwhile. What the peer sent while there was no connection
//! only the application can ask for; [`on_open`](ReconnectBuilder::on_open) is the place to do so.
//!
//! # When it tries again
//!
//! A connection that ends, and an attempt that fails, are followed by a wait of random length ([`Backoff`]), then by
//! another attempt, until [rules](Cause::is_final) or limits say that there is no use in it. [`Event`]s tell each step.
//!
//! # Cancel safety
//!
//! All async methods may be branches of `select!`. Dropping a `send` that has not returned has sent nothing.
//!
//! # Tasks
//!
//! One task runs the client, besides the one of its open connection. Both end with the client: when it is closed, gives
//! up, or all handles are dropped ([`Receipt`]s and [`Events`] are none).

mod backoff;
mod builder;
mod carry;
mod cause;
mod event;
mod handle;
mod queue;
mod shared;
mod target;
mod task;

pub use backoff::{Backoff, Jitter};
pub use builder::ReconnectBuilder;
pub use cause::{Cause, GaveUp, HookError, Why};
pub use event::{Event, Events};
pub use handle::{Receiver, Reconnecting, Sender};
pub use queue::{Capacity, Fate, Promise, Receipt, SendError, WhenFull};
pub use target::Target;
