//! The listeners of a WebSocket, and how events reach them (DOM Standard §2.7 to §2.10).

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::abort::AbortSignal;
use super::event::Event;
use super::exception::Reporter;
use super::listener::{AddEventListenerOptions, Listener};

/// The event types that have an attribute: `onopen`, `onmessage`, `onerror`, `onclose`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Attribute {
    Open,
    Message,
    Error,
    Close,
}

impl Attribute {
    pub(super) fn of(event_type: &str) -> Option<Self> {
        [Self::Open, Self::Message, Self::Error, Self::Close]
            .into_iter()
            .find(|attribute| attribute.event_type() == event_type)
    }

    pub(super) const fn event_type(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Message => "message",
            Self::Error => "error",
            Self::Close => "close",
        }
    }
}

/// The list of listeners.
#[derive(Debug, Default)]
pub(super) struct EventTarget {
    listeners: Mutex<Vec<Arc<Registered>>>,
}

/// One entry of the list.
struct Registered {
    type_: Box<str>,
    callback: Callback,
    capture: bool,
    once: bool,
    passive: bool,
    removed: AtomicBool,
}

enum Callback {
    Listener(Listener),
    /// The attribute's value at the time of the call, so that replacing it keeps the place in the list (HTML Standard
    /// §8.1.8.1).
    Attribute(Attribute, Mutex<Listener>),
}

impl EventTarget {
    /// Adds a listener, unless it is there already with the same type and `capture`.
    pub(super) fn add(self: &Arc<Self>, type_: &str, listener: Listener, options: AddEventListenerOptions) {
        let AddEventListenerOptions {
            capture,
            once,
            passive,
            signal,
        } = options;
        if signal.as_ref().is_some_and(AbortSignal::aborted) {
            return;
        }
        let registered = Arc::new(Registered {
            type_: type_.into(),
            callback: Callback::Listener(listener.clone()),
            capture,
            once,
            passive,
            removed: AtomicBool::new(false),
        });
        {
            let mut listeners = self.lock();
            if listeners.iter().any(|entry| entry.is(type_, &listener, capture)) {
                return;
            }
            listeners.push(registered.clone());
        }
        if let Some(signal) = signal {
            let (target, registered) = (Arc::downgrade(self), Arc::downgrade(&registered));
            signal.on_abort(move |_| {
                if let (Some(target), Some(registered)) = (target.upgrade(), registered.upgrade()) {
                    target.take_out(&registered);
                }
            });
        }
    }

    /// Removes the listener with this type and `capture`.
    pub(super) fn remove(&self, type_: &str, listener: &Listener, capture: bool) {
        self.remove_where(|entry| entry.is(type_, listener, capture));
    }

    /// Sets an attribute, or removes it.
    pub(super) fn set_attribute(&self, attribute: Attribute, listener: Option<Listener>) {
        let Some(listener) = listener else {
            self.remove_where(|entry| entry.attribute(attribute).is_some());
            return;
        };
        let mut listeners = self.lock();
        let slot = listeners.iter().find_map(|entry| entry.attribute(attribute));
        if let Some(slot) = slot {
            let replaced = std::mem::replace(
                &mut *slot.lock().unwrap_or_else(PoisonError::into_inner),
                listener,
            );
            // As in `remove_where`: what it holds is dropped without the lock.
            drop(listeners);
            drop(replaced);
            return;
        }
        listeners.push(Arc::new(Registered {
            type_: attribute.event_type().into(),
            callback: Callback::Attribute(attribute, Mutex::new(listener)),
            capture: false,
            once: false,
            passive: false,
            removed: AtomicBool::new(false),
        }));
    }

    pub(super) fn attribute(&self, attribute: Attribute) -> Option<Listener> {
        let listeners = self.lock();
        let slot = listeners.iter().find_map(|entry| entry.attribute(attribute))?;
        Some(slot.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Whether there is a listener for one of these types.
    pub(super) fn listens_to(&self, types: &[&str]) -> bool {
        self.lock().iter().any(|entry| types.contains(&&*entry.type_))
    }

    /// Lets go of all listeners.
    pub(super) fn clear(&self) {
        self.remove_where(|_| true);
    }

    /// Calls the listeners for an event that has set out.
    pub(super) fn invoke(&self, event: &Event, reporter: &Reporter) {
        for capture in [true, false] {
            if event.is_propagation_stopped() {
                return;
            }
            // What is added from now on is not called for this event; what is removed is not called either.
            let entries: Vec<_> = self
                .lock()
                .iter()
                .filter(|entry| entry.capture == capture && *entry.type_ == *event.type_())
                .cloned()
                .collect();
            for entry in entries {
                if entry.removed.load(Ordering::Relaxed) {
                    continue;
                }
                if entry.once {
                    self.take_out(&entry);
                }
                event.set_in_passive_listener(entry.passive);
                let listener = entry.listener();
                let called = catch_unwind(AssertUnwindSafe(|| listener.call(event)));
                event.set_in_passive_listener(false);
                if let Err(panic) = called {
                    reporter.report(event.type_(), &*panic);
                }
                if event.is_immediately_stopped() {
                    return;
                }
            }
        }
    }

    fn take_out(&self, entry: &Arc<Registered>) {
        self.remove_where(|other| std::ptr::eq(other, &raw const **entry));
    }

    fn remove_where(&self, mut chosen: impl FnMut(&Registered) -> bool) {
        let mut removed = Vec::new();
        self.lock().retain(|entry| {
            let chosen = chosen(entry);
            if chosen {
                entry.removed.store(true, Ordering::Relaxed);
                removed.push(entry.clone());
            }
            !chosen
        });
        // What listeners hold is dropped without the lock: it may be a WebSocket, which looks at this list then.
        drop(removed);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Registered>>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registered {
    fn is(&self, type_: &str, listener: &Listener, capture: bool) -> bool {
        *self.type_ == *type_
            && self.capture == capture
            && matches!(&self.callback, Callback::Listener(own) if own.is(listener))
    }

    /// The value of the attribute, if this entry is its place.
    fn attribute(&self, attribute: Attribute) -> Option<&Mutex<Listener>> {
        match &self.callback {
            Callback::Attribute(own, listener) if *own == attribute => Some(listener),
            _ => None,
        }
    }

    fn listener(&self) -> Listener {
        match &self.callback {
            Callback::Listener(listener) => listener.clone(),
            Callback::Attribute(_, listener) => {
                listener.lock().unwrap_or_else(PoisonError::into_inner).clone()
            }
        }
    }
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registered")
            .field("type", &self.type_)
            .field("capture", &self.capture)
            .finish_non_exhaustive()
    }
}
