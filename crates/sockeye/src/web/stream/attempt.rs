//! Opening the connection: what a WebSocketStream is before it has streams.

use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use url::Url;

use super::conversation::Conversation;
use super::error::{StreamError, WebSocketError};
use super::handle::WebSocketOpenInfo;
use crate::client::Client;
use crate::error::{Error, Kind, Result};
use crate::web::{AbortSignal, connection};
use crate::websocket::WebSocket;

pub(super) struct Core {
    pub(super) url: Url,
    state: Mutex<State>,
    /// Tells that it is not connecting any more.
    settled: Notify,
}

enum State {
    Connecting,
    Open {
        conversation: Arc<Conversation>,
        /// Until somebody asks for it.
        info: Option<WebSocketOpenInfo>,
    },
    Failed(StreamError),
}

impl Core {
    pub(super) fn new(url: Url) -> Arc<Self> {
        Arc::new(Self {
            url,
            state: Mutex::new(State::Connecting),
            settled: Notify::new(),
        })
    }

    /// Waits until it is not connecting any more.
    pub(super) async fn opened(&self) -> Result<Arc<Conversation>, StreamError> {
        loop {
            // Before the look, or a change right after it would be missed.
            let settled = self.settled.notified();
            match &*self.lock() {
                State::Connecting => {}
                State::Open { conversation, .. } => return Ok(conversation.clone()),
                State::Failed(error) => return Err(error.clone()),
            }
            settled.await;
        }
    }

    /// The open connection, if there is one.
    pub(super) fn conversation(&self) -> Option<Arc<Conversation>> {
        match &*self.lock() {
            State::Open { conversation, .. } => Some(conversation.clone()),
            State::Connecting | State::Failed(_) => None,
        }
    }

    /// What the first caller is given of the open connection.
    pub(super) fn take_info(&self) -> Option<WebSocketOpenInfo> {
        match &mut *self.lock() {
            State::Open { info, .. } => info.take(),
            State::Connecting | State::Failed(_) => None,
        }
    }

    /// It could not be opened, or is not wanted any more.
    pub(super) fn fail(&self, error: StreamError) {
        self.settle(|| State::Failed(error));
    }

    pub(super) fn established(&self, ws: WebSocket) {
        let sender = ws.sender();
        let settled = self.settle(|| {
            let (conversation, info) = Conversation::new(ws);
            State::Open {
                conversation,
                info: Some(info),
            }
        });
        if !settled {
            // "_Fail the WebSocket Connection_": somebody gave it up at the last moment.
            sender.abort();
        }
    }

    /// Ends the attempt, unless it has ended; gives whether it had not.
    fn settle(&self, state: impl FnOnce() -> State) -> bool {
        let mut current = self.lock();
        if !matches!(*current, State::Connecting) {
            return false;
        }
        *current = state();
        drop(current);
        self.settled.notify_waiters();
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("WebSocketStream");
        debug.field("url", &self.url.host_str());
        match &*self.lock() {
            State::Connecting => debug.field("state", &"connecting"),
            State::Open { conversation, .. } => debug.field("state", conversation),
            State::Failed(error) => debug.field("state", error),
        };
        debug.finish_non_exhaustive()
    }
}

/// Opens the connection; stopped, it leaves an error to whoever waits.
pub(super) struct Attempt(Arc<Core>);

impl Attempt {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self(core)
    }

    pub(super) async fn run(self, client: Result<Client>, signal: Option<AbortSignal>) {
        tokio::select! {
            biased;
            reason = aborted(signal) => self.0.fail(reason),
            opened = connection::dial(&self.0.url, client) => match opened {
                Ok(ws) => self.0.established(ws),
                Err(error) => self.0.fail(WebSocketError::never_opened(error).into()),
            },
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.0
            .fail(WebSocketError::never_opened(Error::new(Kind::Aborted)).into());
    }
}

/// Waits for the signal; for ever if there is none.
async fn aborted(signal: Option<AbortSignal>) -> StreamError {
    match signal {
        Some(signal) => signal.cancelled().await.into(),
        None => pending().await,
    }
}
