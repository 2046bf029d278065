//! The browser's WebSocket API (feature `web`): the [WebSockets Standard](https://websockets.spec.whatwg.org) of the
//! WHATWG, behaviour for behaviour, in Rust's spelling.
//!
//! | script | here |
//! |---|---|
//! | `new WebSocket(url, protocols)` | [`WebSocket::new`], [`WebSocket::new_in`] an [`Environment`] |
//! | `ws.onmessage = event => …` | [`WebSocket::set_on_message`] |
//! | `ws.onmessage = null` | [`WebSocket::set_event_handler`]`("message", None)` |
//! | `ws.addEventListener("close", listener, { once: true })` | [`WebSocket::add_event_listener_with`] |
//! | `ws.send(data)` | [`WebSocket::send`]: anything that is [`Data`] |
//! | `ws.close(code, reason)` | [`WebSocket::close`] |
//! | `ws.readyState === WebSocket.OPEN` | [`WebSocket::ready_state`]`() == `[`WebSocket::OPEN`] |
//! | `ws.bufferedAmount`, `ws.binaryType` | [`WebSocket::buffered_amount`], [`WebSocket::set_binary_type`] |
//! | `new Blob(parts, { type })`, `file` | [`Blob::new`], [`Blob::from_file`] |
//! | `try { … } catch (e) { e.name }` | [`DomException::name`] |
//! | `new WebSocketStream(url, { protocols, signal })` | [`WebSocketStream::new`]; this one follows a proposal |
//!
//! # The loop
//!
//! State and events change in tasks of an [`EventLoop`], one at a time and in order. By default each WebSocket has a
//! loop that tokio runs. Listeners are functions that do not wait: one that takes long holds up the events behind it
//! and, once 64 KiB of them wait, the server; on a loop that tokio runs it also holds up that thread.
//!
//! # Dropping
//!
//! The standard says when a WebSocket may be garbage collected, and the last handle that is dropped stands for that:
//!
//! - It lives on while it is connecting with a listener for any event, while it is open with one for `message`, `error`
//!   or `close`, and while it is closing with one for `error` or `close`.
//! - Otherwise it is let go: while connecting, the attempt is given up; while open, what was sent is delivered, then
//!   the connection is closed with no code (the server sees 1005).
//!
//! Three things differ from a browser, all because handles are counted and not traced:
//!
//! - It happens at once, rather than when a collector runs.
//! - A handle that a listener holds counts, so a WebSocket whose only handles are in its own listeners stays open until
//!   it is closed. A listener that takes its WebSocket from [`Event::target`] needs none.
//! - After the `close` event all listeners are dropped, and with them the handles they hold. No event would come for
//!   them any more, but they do not hear what [`WebSocket::dispatch_event`] sends from then on.
//!
//! # What does not compile
//!
//! Some of what the standard forbids at run time is not a program here. No URL:
//!
//! ```compile_fail
//! let ws = sockeye::web::WebSocket::new();
//! ```
//!
//! An assignment to a constant, or to an attribute that can only be read:
//!
//! ```compile_fail
//! sockeye::web::WebSocket::OPEN = sockeye::web::ReadyState::Closed;
//! ```
//!
//! ```compile_fail
//! fn example(ws: sockeye::web::WebSocket) {
//!     ws.ready_state = sockeye::web::ReadyState::Closed;
//! }
//! ```
//!
//! Data that is neither text nor bytes, and a code that is no 16-bit number:
//!
//! ```compile_fail
//! fn example(ws: sockeye::web::WebSocket) {
//!     ws.send(7);
//! }
//! ```
//!
//! ```compile_fail
//! fn example(ws: sockeye::web::WebSocket) {
//!     ws.close(66_536, None);
//! }
//! ```
//!
//! # What else a program is told
//!
//! Scripts do not learn why a connection failed. Programs do: [`WebSocket::failure`].

mod abort;
mod blob;
mod connection;
mod core;
mod data;
mod dom_exception;
mod environment;
mod event;
mod event_loop;
mod event_target;
mod exception;
mod listener;
mod protocols;
mod stream;
mod url;
mod websocket;

pub use abort::{AbortController, AbortSignal};
pub use blob::{Blob, BlobPart};
pub use data::{BinaryType, Data, MessageData};
pub use dom_exception::DomException;
pub use environment::{Environment, EnvironmentBuilder};
pub use event::{CloseEvent, CloseEventInit, Event, EventInit, EventPhase, MessageEvent, MessageEventInit};
pub use event_loop::EventLoop;
pub use exception::Exception;
pub use listener::{AddEventListenerOptions, Already, FromEvent, HandleEvent, IntoListener, Listener};
pub use protocols::IntoProtocols;
pub use stream::{
    StreamError, WebSocketCloseInfo, WebSocketError, WebSocketOpenInfo, WebSocketReadable, WebSocketStream,
    WebSocketStreamOptions, WebSocketWritable,
};
pub use websocket::{ReadyState, WebSocket};
