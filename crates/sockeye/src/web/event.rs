//! Events (DOM Standard §2).

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{MessageData, WebSocket};
use crate::message::Utf8Bytes;

/// What happened: the base of [`MessageEvent`] and [`CloseEvent`], and all there is to `open` and `error`.
///
/// Cheap to clone; clones are the same event.
#[derive(Clone)]
pub struct Event(Arc<Inner>);

struct Inner {
    type_: Cow<'static, str>,
    init: EventInit,
    interface: Interface,
    time_stamp: Duration,
    flags: Mutex<Flags>,
}

/// Which interface an event has, and what that adds.
enum Interface {
    Event,
    Message(MessageEventInit),
    Close(CloseEventInit),
}

/// What changes in the life of an event.
#[derive(Default)]
struct Flags {
    target: Option<WebSocket>,
    dispatching: bool,
    trusted: bool,
    propagation_stopped: bool,
    immediately_stopped: bool,
    canceled: bool,
    in_passive_listener: bool,
}

/// How an event that a program makes behaves. Those that a WebSocket makes have all of these off.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EventInit {
    /// Whether the event would go on to the parents of its target. A WebSocket has none.
    pub bubbles: bool,
    /// Whether [`Event::prevent_default`] has an effect.
    pub cancelable: bool,
    /// Whether the event would leave a shadow tree.
    pub composed: bool,
}

/// Where an event is on its way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u16)]
pub enum EventPhase {
    /// It is not being dispatched.
    None = 0,
    /// On the way to the target. A WebSocket has no parents, so that this is never seen.
    Capturing = 1,
    /// At the target.
    AtTarget = 2,
    /// On the way back. Never seen, as before.
    Bubbling = 3,
}

impl Event {
    /// An event of the program's own, to be given to [`WebSocket::dispatch_event`].
    pub fn new(type_: impl Into<Cow<'static, str>>, init: EventInit) -> Self {
        Self::with_interface(type_.into(), init, Interface::Event, false)
    }

    /// An event of a WebSocket.
    pub(super) fn trusted(type_: &'static str) -> Self {
        Self::with_interface(type_.into(), EventInit::default(), Interface::Event, true)
    }

    fn with_interface(
        type_: Cow<'static, str>,
        init: EventInit,
        interface: Interface,
        trusted: bool,
    ) -> Self {
        Self(Arc::new(Inner {
            type_,
            init,
            interface,
            time_stamp: TIME_ORIGIN.elapsed(),
            flags: Mutex::new(Flags {
                trusted,
                ..Flags::default()
            }),
        }))
    }

    /// The type: `open`, `message`, `error`, `close`, or what the program called its own.
    #[must_use]
    pub fn type_(&self) -> &str {
        &self.0.type_
    }

    /// The WebSocket that the event is, or was, dispatched to.
    ///
    /// A listener that takes its WebSocket from here need not hold a handle of its own, which would keep the
    /// connection open.
    #[must_use]
    pub fn target(&self) -> Option<WebSocket> {
        self.flags().target.clone()
    }

    /// The WebSocket whose listeners are being called; `None` when the event is not being dispatched.
    #[must_use]
    pub fn current_target(&self) -> Option<WebSocket> {
        let flags = self.flags();
        flags.target.clone().filter(|_| flags.dispatching)
    }

    /// All targets on the event's way: the WebSocket while it is being dispatched, none otherwise.
    #[must_use]
    pub fn composed_path(&self) -> Vec<WebSocket> {
        self.current_target().into_iter().collect()
    }

    /// Where the event is on its way: [`EventPhase::AtTarget`] while it is being dispatched.
    #[must_use]
    pub fn event_phase(&self) -> EventPhase {
        if self.flags().dispatching {
            EventPhase::AtTarget
        } else {
            EventPhase::None
        }
    }

    /// Whether the event would go on to parents. `false` for events of a WebSocket.
    #[must_use]
    pub fn bubbles(&self) -> bool {
        self.0.init.bubbles
    }

    /// Whether [`prevent_default`](Self::prevent_default) has an effect. `false` for events of a WebSocket.
    #[must_use]
    pub fn cancelable(&self) -> bool {
        self.0.init.cancelable
    }

    /// Whether the event would leave a shadow tree. `false` for events of a WebSocket.
    #[must_use]
    pub fn composed(&self) -> bool {
        self.0.init.composed
    }

    /// Whether a WebSocket made the event, rather than the program.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        self.flags().trusted
    }

    /// When the event was made, counted from the first one of this program.
    #[must_use]
    pub fn time_stamp(&self) -> Duration {
        self.0.time_stamp
    }

    /// Keeps the event from listeners that come after the capturing ones.
    pub fn stop_propagation(&self) {
        self.flags().propagation_stopped = true;
    }

    /// Keeps the event from all listeners that were not called yet.
    pub fn stop_immediate_propagation(&self) {
        let mut flags = self.flags();
        flags.propagation_stopped = true;
        flags.immediately_stopped = true;
    }

    /// Cancels the event, if it is [cancelable](Self::cancelable) and the listener is not passive.
    pub fn prevent_default(&self) {
        let mut flags = self.flags();
        flags.canceled |= self.0.init.cancelable && !flags.in_passive_listener;
    }

    /// Whether the event was canceled.
    #[must_use]
    pub fn default_prevented(&self) -> bool {
        self.flags().canceled
    }

    // For the dispatch

    /// Sets out for `target`; gives whether the event was not on its way already.
    pub(super) fn set_out(&self, target: WebSocket, trusted: bool) -> bool {
        let mut flags = self.flags();
        if flags.dispatching {
            return false;
        }
        flags.target = Some(target);
        flags.dispatching = true;
        flags.trusted = trusted;
        true
    }

    /// Has arrived; gives whether it was canceled.
    pub(super) fn arrive(&self) -> bool {
        let mut flags = self.flags();
        flags.dispatching = false;
        flags.propagation_stopped = false;
        flags.immediately_stopped = false;
        flags.canceled
    }

    pub(super) fn is_propagation_stopped(&self) -> bool {
        self.flags().propagation_stopped
    }

    pub(super) fn is_immediately_stopped(&self) -> bool {
        self.flags().immediately_stopped
    }

    pub(super) fn set_in_passive_listener(&self, passive: bool) {
        self.flags().in_passive_listener = passive;
    }

    fn flags(&self) -> MutexGuard<'_, Flags> {
        self.0.flags.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What time stamps count from.
static TIME_ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// As scripts print it: `[object CloseEvent]`.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0.interface {
            Interface::Event => "[object Event]",
            Interface::Message(_) => "[object MessageEvent]",
            Interface::Close(_) => "[object CloseEvent]",
        })
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Event");
        debug.field("type", &self.0.type_);
        match &self.0.interface {
            Interface::Event => {}
            Interface::Message(message) => drop(debug.field("message", message)),
            Interface::Close(close) => drop(debug.field("close", close)),
        }
        debug.finish_non_exhaustive()
    }
}

/// A message: the event of [`WebSocket::set_on_message`].
///
/// A listener for this type that is called with another event sees the defaults of [`MessageEventInit`].
#[derive(Clone)]
pub struct MessageEvent(Event);

/// What a [`MessageEvent`] carries (HTML Standard §9.1).
#[derive(Clone, Debug, Default)]
pub struct MessageEventInit {
    /// Default: [`MessageData::Null`].
    pub data: MessageData,
    /// Default: empty.
    pub origin: Utf8Bytes,
    /// Default: empty. Events of a WebSocket have none.
    pub last_event_id: Utf8Bytes,
}

impl MessageEvent {
    /// An event of the program's own.
    pub fn new(type_: impl Into<Cow<'static, str>>, init: EventInit, message: MessageEventInit) -> Self {
        Self(Event::with_interface(
            type_.into(),
            init,
            Interface::Message(message),
            false,
        ))
    }

    /// An event of a WebSocket.
    pub(super) fn trusted(data: MessageData, origin: Utf8Bytes) -> Self {
        let message = MessageEventInit {
            data,
            origin,
            ..MessageEventInit::default()
        };
        let interface = Interface::Message(message);
        Self(Event::with_interface(
            "message".into(),
            EventInit::default(),
            interface,
            true,
        ))
    }

    /// The message.
    #[must_use]
    pub fn data(&self) -> &MessageData {
        &self.init().data
    }

    /// Where the message came from: scheme, host and port of the WebSocket's URL.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.init().origin
    }

    /// Empty for messages of a WebSocket.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.init().last_event_id
    }

    fn init(&self) -> &MessageEventInit {
        static NONE: MessageEventInit = MessageEventInit {
            data: MessageData::Null,
            origin: Utf8Bytes::from_static(""),
            last_event_id: Utf8Bytes::from_static(""),
        };
        match &self.0.0.interface {
            Interface::Message(message) => message,
            _ => &NONE,
        }
    }
}

/// How a connection ended: the event of [`WebSocket::set_on_close`].
///
/// A listener for this type that is called with another event sees the defaults of [`CloseEventInit`].
#[derive(Clone)]
pub struct CloseEvent(Event);

/// What a [`CloseEvent`] carries (WebSockets Standard §6).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CloseEventInit {
    /// Default: `false`.
    pub was_clean: bool,
    /// Default: 0.
    pub code: u16,
    /// Default: empty.
    pub reason: Utf8Bytes,
}

impl CloseEvent {
    /// An event of the program's own.
    pub fn new(type_: impl Into<Cow<'static, str>>, init: EventInit, close: CloseEventInit) -> Self {
        Self(Event::with_interface(
            type_.into(),
            init,
            Interface::Close(close),
            false,
        ))
    }

    /// An event of a WebSocket.
    pub(super) fn trusted(close: CloseEventInit) -> Self {
        let interface = Interface::Close(close);
        Self(Event::with_interface(
            "close".into(),
            EventInit::default(),
            interface,
            true,
        ))
    }

    /// Whether both sides sent a Close frame before the transport ended.
    #[must_use]
    pub fn was_clean(&self) -> bool {
        self.init().was_clean
    }

    /// The code of the peer's Close frame; 1005 if it had none, 1006 if no Close frame came or the connection failed.
    #[must_use]
    pub fn code(&self) -> u16 {
        self.init().code
    }

    /// The reason in the peer's Close frame, empty if there was none.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.init().reason
    }

    fn init(&self) -> &CloseEventInit {
        static NONE: CloseEventInit = CloseEventInit {
            was_clean: false,
            code: 0,
            reason: Utf8Bytes::from_static(""),
        };
        match &self.0.0.interface {
            Interface::Close(close) => close,
            _ => &NONE,
        }
    }
}

/// The base of both kinds, and conversions between an event and its kind.
macro_rules! kind_of_event {
    ($kind:ident) => {
        impl Deref for $kind {
            type Target = Event;

            fn deref(&self) -> &Event {
                &self.0
            }
        }

        impl From<$kind> for Event {
            fn from(event: $kind) -> Self {
                event.0
            }
        }

        /// The same event, whatever its kind is.
        impl From<&Event> for $kind {
            fn from(event: &Event) -> Self {
                Self(event.clone())
            }
        }

        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

kind_of_event!(MessageEvent);
kind_of_event!(CloseEvent);
