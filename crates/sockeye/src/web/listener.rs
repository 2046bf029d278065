//! What is called with events.

use std::fmt;
use std::sync::Arc;

use super::abort::AbortSignal;
use super::event::{CloseEvent, Event, MessageEvent};

/// A function that is called with events. Clones are the same listener, which is how one that was added can be
/// removed.
///
/// ```
/// use sockeye::web::{CloseEvent, Listener};
///
/// # fn example(ws: sockeye::web::WebSocket) {
/// let listener = Listener::new(|event: &CloseEvent| println!("closed with {}", event.code()));
/// ws.add_event_listener("close", &listener);
/// ws.remove_event_listener("close", &listener, false);
/// # }
/// ```
///
/// Listeners are `Fn` rather than `FnMut`, since one may be called while it runs, by
/// [`dispatch_event`](super::WebSocket::dispatch_event): what it changes is in an atomic, a mutex or a channel.
#[derive(Clone)]
pub struct Listener(Arc<dyn Fn(&Event) + Send + Sync>);

impl Listener {
    /// A listener for events, messages or closes, by the type of its argument.
    pub fn new<E: FromEvent>(listener: impl Fn(&E) + Send + Sync + 'static) -> Self {
        Self(Arc::new(move |event| E::with(event, &listener)))
    }

    /// An object whose method is called (`handleEvent` of scripts). The object stays the caller's too.
    pub fn object(object: Arc<impl HandleEvent>) -> Self {
        Self(Arc::new(move |event| object.handle_event(event)))
    }

    /// Whether both are the same listener.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(super) fn call(&self, event: &Event) {
        (self.0)(event);
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").finish_non_exhaustive()
    }
}

/// An object that listens.
pub trait HandleEvent: Send + Sync + 'static {
    /// Is called with each event.
    fn handle_event(&self, event: &Event);
}

/// The types that a listener can take: [`Event`], [`MessageEvent`] and [`CloseEvent`].
pub trait FromEvent: sealed::Sealed + 'static {
    /// Calls `listener` with the event as this type.
    #[doc(hidden)]
    fn with(event: &Event, listener: &dyn Fn(&Self));
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Event {}
    impl Sealed for super::MessageEvent {}
    impl Sealed for super::CloseEvent {}
}

impl FromEvent for Event {
    fn with(event: &Event, listener: &dyn Fn(&Self)) {
        listener(event);
    }
}

impl FromEvent for MessageEvent {
    fn with(event: &Event, listener: &dyn Fn(&Self)) {
        listener(&event.into());
    }
}

impl FromEvent for CloseEvent {
    fn with(event: &Event, listener: &dyn Fn(&Self)) {
        listener(&event.into());
    }
}

/// What can be added as a listener: a [`Listener`], or a function whose argument says which events it takes, such as
/// `|event: &MessageEvent| …`.
pub trait IntoListener<E> {
    /// The listener.
    fn into_listener(self) -> Listener;
}

/// Marks what is a listener already.
#[derive(Debug)]
pub struct Already(());

impl<E: FromEvent, F: Fn(&E) + Send + Sync + 'static> IntoListener<E> for F {
    fn into_listener(self) -> Listener {
        Listener::new(self)
    }
}

impl IntoListener<Already> for Listener {
    fn into_listener(self) -> Listener {
        self
    }
}

impl IntoListener<Already> for &Listener {
    fn into_listener(self) -> Listener {
        self.clone()
    }
}

/// How a listener is added.
#[derive(Clone, Debug, Default)]
pub struct AddEventListenerOptions {
    /// Calls it before those that do not capture. Default: `false`.
    pub capture: bool,
    /// Removes it before it is called for the first time. Default: `false`.
    pub once: bool,
    /// The listener promises not to cancel events; if it tries, nothing happens. Default: `false`.
    pub passive: bool,
    /// Removes it when the signal is given. Default: none.
    pub signal: Option<AbortSignal>,
}
