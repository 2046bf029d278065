//! A page: WebSockets on a loop that the test drives, and a log of their events.

use std::sync::{Arc, Mutex};

use sockeye::web::{
    CloseEvent, Environment, EnvironmentBuilder, Event, EventLoop, IntoProtocols, MessageData, MessageEvent,
    ReadyState, WebSocket,
};
use sockeye::{Client, ConnectTimeouts};

use crate::peer::{PATIENCE, Peer, Server, in_time};

/// What happened, in order.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn add(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

pub(crate) struct Page {
    pub(crate) event_loop: EventLoop,
    pub(crate) environment: Environment,
}

impl Page {
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub(crate) fn with(change: impl FnOnce(EnvironmentBuilder) -> EnvironmentBuilder) -> Self {
        let event_loop = EventLoop::new();
        // Without compression a test can read the frames.
        let builder = Environment::builder()
            .event_loop(event_loop.clone())
            .client(patient_client())
            .compression(None);
        Self {
            environment: change(builder).build().unwrap(),
            event_loop,
        }
    }

    pub(crate) fn socket(&self, url: &str, protocols: impl IntoProtocols) -> WebSocket {
        WebSocket::new_in(&self.environment, url, protocols).unwrap()
    }

    /// A WebSocket that has opened, and the peer it is open to.
    pub(crate) async fn open(&self) -> (WebSocket, Peer) {
        let server = Server::listen().await;
        let ws = self.socket(&server.url(), ());
        let mut peer = server.accept().await;
        peer.open("").await;
        self.reach(&ws, WebSocket::OPEN).await;
        (ws, peer)
    }

    /// Runs tasks until there is one more line in the log than there was.
    pub(crate) async fn next(&self, log: &Log) -> String {
        let before = log.lines().len();
        self.until(|| log.lines().len() > before).await;
        log.lines().pop().unwrap()
    }

    pub(crate) async fn until(&self, mut done: impl FnMut() -> bool) {
        while !done() {
            in_time(self.event_loop.turn()).await;
        }
    }

    pub(crate) async fn reach(&self, ws: &WebSocket, state: ReadyState) {
        self.until(|| ws.ready_state() >= state).await;
        assert_eq!(ws.ready_state(), state);
    }
}

/// A client that gives up later than the tests do: an attempt that ends before was ended by what is tested.
fn patient_client() -> Client {
    Client::builder()
        .timeouts(ConnectTimeouts::each(3 * PATIENCE))
        .build()
        .unwrap()
}

/// Logs all events of a WebSocket: `open`, `message …`, `error`, `close CODE clean|unclean REASON`.
pub(crate) fn listen(ws: &WebSocket) -> Log {
    let log = Log::default();
    let lines = log.clone();
    ws.add_event_listener("open", move |_: &Event| lines.add("open"));
    let lines = log.clone();
    ws.add_event_listener("message", move |event: &MessageEvent| {
        lines.add(format!("message {}", shown(event.data())));
    });
    let lines = log.clone();
    ws.add_event_listener("error", move |_: &Event| lines.add("error"));
    let lines = log.clone();
    ws.add_event_listener("close", move |event: &CloseEvent| {
        let clean = if event.was_clean() { "clean" } else { "unclean" };
        let line = format!("close {} {clean} {}", event.code(), event.reason());
        lines.add(line.trim_end());
    });
    log
}

pub(crate) fn shown(data: &MessageData) -> String {
    match data {
        MessageData::Null => "null".to_owned(),
        MessageData::Text(text) => format!("{text:?}"),
        MessageData::Blob(blob) => format!("blob {:?}", blob.in_memory().unwrap()),
        MessageData::ArrayBuffer(bytes) => format!("bytes {bytes:?}"),
    }
}
