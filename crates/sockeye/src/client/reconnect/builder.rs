//! What a client that comes back can be told.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sockeye_proto::{Config, Delivery, Keepalive};

use super::backoff::Backoff;
use super::cause::{Cause, HookError};
use super::handle::Reconnecting;
use super::queue::{Capacity, Promise, Queue, WhenFull};
use super::shared::Shared;
use super::target::Target;
use super::task::{Limits, Plan, Task};
use crate::client::Client;
use crate::error::{Error, Result};
use crate::websocket::WebSocket;

pub(super) type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;
pub(super) type Refresh = Box<dyn FnMut(Target) -> Pending<Result<Target, HookError>> + Send>;
pub(super) type Connect = Box<dyn FnMut(Target) -> Pending<Result<WebSocket>> + Send>;
pub(super) type OnOpen = Box<dyn FnMut(WebSocket, u64) -> Pending<Result<WebSocket, HookError>> + Send>;
pub(super) type GiveUpWhen = Box<dyn FnMut(&Cause) -> bool + Send>;
pub(super) type Random = Box<dyn FnMut() -> f64 + Send>;

/// Builds a [`Reconnecting`] client.
///
/// ```no_run
/// use std::time::Duration;
/// use sockeye::reconnect::{Backoff, Cause, Reconnecting};
///
/// # async fn new_token() -> Result<String, std::io::Error> { Ok(String::new()) }
/// # fn main() -> sockeye::Result<()> {
/// let client = Reconnecting::builder("wss://example.org/feed")
///     .backoff(Backoff { first: Duration::from_secs(1), ..Backoff::default() })
///     .refresh(|target| async move {
///         Ok(target.header("Authorization", format!("Bearer {}", new_token().await?)))
///     })
///     .give_up_when(|cause| match cause {
///         Cause::Closed(info) if info.code == 4003 => true,
///         other => other.is_final(),
///     })
///     .start()?;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct ReconnectBuilder {
    target: Target,
    /// Without one given, a client whose keepalive notices a dead peer.
    client: Option<Client>,
    refresh: Option<Refresh>,
    connect: Option<Connect>,
    on_open: Option<OnOpen>,
    give_up_when: Option<GiveUpWhen>,
    random: Random,
    backoff: Backoff,
    limits: Limits,
    promise: Promise,
    capacity: Capacity,
    when_full: WhenFull,
}

impl std::fmt::Debug for ReconnectBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReconnectBuilder")
            .field("target", &self.target)
            .field("backoff", &self.backoff)
            .field("limits", &self.limits)
            .field("promise", &self.promise)
            .field("capacity", &self.capacity)
            .field("when_full", &self.when_full)
            .finish_non_exhaustive()
    }
}

impl ReconnectBuilder {
    pub(super) fn new(url: String) -> Self {
        Self {
            target: Target::new(Client::default(), url),
            client: None,
            refresh: None,
            connect: None,
            on_open: None,
            give_up_when: None,
            random: Box::new(rand::random::<f64>),
            backoff: Backoff::default(),
            limits: Limits::default(),
            promise: Promise::default(),
            capacity: Capacity::default(),
            when_full: WhenFull::default(),
        }
    }

    /// The client that connects: headers, subprotocols, TLS, limits, timeouts. Default: one with a keepalive of 30 s and
    /// a timeout of 10 s for the answer.
    ///
    /// Give yours a [keepalive](Config::keepalive) too: without, a connection whose peer is gone without a word is
    /// noticed only when something is sent, and late.
    pub fn client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// A hook before each attempt, the first included, that may change the URL and set header fields, for instance to
    /// fetch a new token. Default: none.
    ///
    /// It is given the same [`Target`] each time. If it fails, the attempt has failed; [`HookError::give_up`] ends the
    /// client.
    pub fn refresh<F, Fut>(mut self, mut hook: F) -> Self
    where
        F: FnMut(Target) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Target, HookError>> + Send + 'static,
    {
        self.refresh = Some(Box::new(move |target| Box::pin(hook(target))));
        self
    }

    /// Opens the connection in another way than [`Target::connect`], for instance with [`Target::handshake`] over a
    /// tunnel.
    ///
    /// ```no_run
    /// # #[cfg(unix)]
    /// # fn example() -> sockeye::Result<()> {
    /// use sockeye::reconnect::Reconnecting;
    /// use tokio::net::UnixStream;
    ///
    /// let chat = Reconnecting::builder("ws://localhost/chat")
    ///     .connect_with(|target| async move {
    ///         target.handshake(UnixStream::connect("/run/chat.sock").await?).await
    ///     })
    ///     .start()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn connect_with<F, Fut>(mut self, mut connect: F) -> Self
    where
        F: FnMut(Target) -> Fut + Send + 'static,
        Fut: Future<Output = Result<WebSocket>> + Send + 'static,
    {
        self.connect = Some(Box::new(move |target| Box::pin(connect(target))));
        self
    }

    /// A hook on each connection before anything that is queued goes out, for instance to log in and to subscribe.
    /// Default: none.
    ///
    /// It has the WebSocket for itself, to send and to receive, and gives it back; what it did not take of the received
    /// messages is there for [`recv`](Reconnecting::recv). The number is that of the connection, 1 for the first. If it
    /// fails, the WebSocket is closed and the attempt has failed; [`HookError::give_up`] ends the client.
    ///
    /// What the hook sends has no [`Receipt`](super::Receipt), and belongs to this connection alone.
    pub fn on_open<F, Fut>(mut self, mut hook: F) -> Self
    where
        F: FnMut(WebSocket, u64) -> Fut + Send + 'static,
        Fut: Future<Output = Result<WebSocket, HookError>> + Send + 'static,
    {
        self.on_open = Some(Box::new(move |ws, connection| Box::pin(hook(ws, connection))));
        self
    }

    /// How long to wait between attempts. Default: [`Backoff::default`].
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Where the chance of [`Jitter`](super::Jitter) comes from: numbers from 0 to 1. Default: the thread's generator.
    /// For simulations that have to repeat.
    pub fn random(mut self, random: impl FnMut() -> f64 + Send + 'static) -> Self {
        self.random = Box::new(random);
        self
    }

    /// After what another attempt is of no use, in place of [`Cause::is_final`]. What a hook
    /// [gives up](HookError::give_up), and what was [stopped](Cause::Stopped), is final in any case.
    pub fn give_up_when(mut self, rule: impl FnMut(&Cause) -> bool + Send + 'static) -> Self {
        self.give_up_when = Some(Box::new(rule));
        self
    }

    /// How many attempts in a row may be made without a connection that lasts for [`Backoff::reset_after`]. Default: no
    /// limit.
    pub fn max_attempts(mut self, attempts: impl Into<Option<u32>>) -> Self {
        self.limits.attempts = attempts.into();
        self
    }

    /// How long it may go on without a connection that lasts, from the start or from the loss of the last one that did.
    /// The last attempt begins when that time is over. Default: no limit.
    pub fn max_elapsed(mut self, elapsed: impl Into<Option<Duration>>) -> Self {
        self.limits.elapsed = elapsed.into();
        self
    }

    /// How long an attempt may take as a whole, both hooks included. Default: 60 s. The
    /// [timeouts](crate::ClientBuilder::timeouts) of its phases are the client's.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.limits.attempt = timeout;
        self
    }

    /// How long the peer may take to answer the Ping that [`network_changed`](Reconnecting::network_changed) sends.
    /// Default: 5 s.
    pub fn probe_timeout(mut self, timeout: Duration) -> Self {
        self.limits.probe = timeout;
        self
    }

    /// What is promised for messages. Default: [`Promise::AtMostOnce`].
    pub fn promise(mut self, promise: Promise) -> Self {
        self.promise = promise;
        self
    }

    /// How much may be queued. Default: [`Capacity::default`].
    pub fn capacity(mut self, capacity: Capacity) -> Self {
        self.capacity = capacity;
        self
    }

    /// What sending does when the queue is full. Default: [`WhenFull::Wait`].
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.when_full = when_full;
        self
    }

    /// Starts the client. It connects in the background: nothing has to be open for it to be sent to.
    ///
    /// # Errors
    ///
    /// Settings that contradict each other or cannot be meant ([`Error::is_config`]).
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn start(self) -> Result<Reconnecting> {
        let client = match self.client {
            Some(client) => client,
            None => patient_client()?,
        };
        let mistake = self.backoff.mistake().or_else(|| {
            if self.capacity.messages == 0 {
                Some("a queue holds at least one message")
            } else if self.promise == Promise::AtLeastOnce && self.when_full == WhenFull::DropOldest {
                Some("a message that is sent at least once cannot be dropped for another")
            } else if client.settings.config.delivery != Delivery::default() {
                Some("a client that comes back takes whole messages")
            } else {
                None
            }
        });
        if let Some(mistake) = mistake {
            return Err(Error::config(mistake));
        }
        let mut target = self.target;
        target.set_client(client);
        let shared = Arc::new(Shared::new(Queue::new(self.promise, self.capacity)));
        let plan = Plan {
            target,
            refresh: self.refresh,
            connect: self
                .connect
                .unwrap_or_else(|| Box::new(|target| Box::pin(target.connect()))),
            on_open: self.on_open,
            give_up_when: self.give_up_when,
            random: self.random,
            backoff: self.backoff,
            limits: self.limits,
        };
        tokio::spawn(Task::new(shared.clone(), plan).run());
        Ok(Reconnecting::new(shared, self.when_full))
    }
}

/// The client of those who bring none.
fn patient_client() -> Result<Client> {
    let keepalive = Keepalive {
        interval: Duration::from_secs(30),
        timeout: Duration::from_secs(10),
    };
    Client::builder()
        .limits(Config {
            keepalive: Some(keepalive),
            ..Config::client()
        })
        .build()
}
