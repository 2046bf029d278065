//! Telling something that is going on that its result is not wanted any more (DOM Standard §3).

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::DomException;

/// Makes an [`AbortSignal`] and gives it.
///
/// ```
/// use sockeye::web::AbortController;
///
/// let controller = AbortController::new();
/// let signal = controller.signal();
/// controller.abort(None);
/// assert_eq!(signal.reason().unwrap().name(), "AbortError");
/// ```
#[derive(Clone, Debug, Default)]
pub struct AbortController {
    signal: AbortSignal,
}

impl AbortController {
    /// A controller with a signal of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The signal, to be handed to what is to be aborted.
    #[must_use]
    pub fn signal(&self) -> AbortSignal {
        self.signal.clone()
    }

    /// Gives the signal, with a reason or an `AbortError`. Only the first time counts.
    pub fn abort(&self, reason: impl Into<Option<DomException>>) {
        self.signal
            .trigger(reason.into().unwrap_or_else(DomException::abort));
    }
}

/// A signal that is given once, or never.
///
/// [`AddEventListenerOptions`](super::AddEventListenerOptions) take one to remove a listener by. Cheap to clone.
#[derive(Clone)]
pub struct AbortSignal {
    reason: Arc<watch::Sender<Option<DomException>>>,
    algorithms: Arc<Mutex<Vec<Algorithm>>>,
}

/// What runs when the signal is given.
type Algorithm = Box<dyn FnOnce(&DomException) + Send>;

impl AbortSignal {
    /// A signal that was given already, with a reason or an `AbortError`.
    pub fn abort(reason: impl Into<Option<DomException>>) -> Self {
        let signal = Self::default();
        signal.trigger(reason.into().unwrap_or_else(DomException::abort));
        signal
    }

    /// A signal that is given after a while, with a `TimeoutError`.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, which has the clock.
    pub fn timeout(after: Duration) -> Self {
        let signal = Self::default();
        let later = signal.clone();
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            later.trigger(DomException::new("the time is up", "TimeoutError"));
        });
        signal
    }

    /// A signal that is given when the first of several is, with its reason.
    pub fn any<'a>(signals: impl IntoIterator<Item = &'a Self>) -> Self {
        let any = Self::default();
        for signal in signals {
            let dependent = any.clone();
            signal.on_abort(move |reason| dependent.trigger(reason.clone()));
        }
        any
    }

    /// Whether the signal was given.
    #[must_use]
    pub fn aborted(&self) -> bool {
        self.reason.borrow().is_some()
    }

    /// Why, if the signal was given.
    #[must_use]
    pub fn reason(&self) -> Option<DomException> {
        self.reason.borrow().clone()
    }

    /// The reason as an error, if the signal was given.
    ///
    /// # Errors
    ///
    /// The signal was given.
    pub fn throw_if_aborted(&self) -> Result<(), DomException> {
        self.reason().map_or(Ok(()), Err)
    }

    /// Runs `algorithm` when the signal is given, on the thread that gives it; at once if it was given already.
    pub fn on_abort(&self, algorithm: impl FnOnce(&DomException) + Send + 'static) {
        // The lock is held across the question, or a signal given in between would be missed.
        let mut algorithms = self.algorithms();
        let Some(reason) = self.reason() else {
            algorithms.push(Box::new(algorithm));
            return;
        };
        drop(algorithms);
        algorithm(&reason);
    }

    /// Waits for the signal; gives its reason.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub fn cancelled(&self) -> impl Future<Output = DomException> + Send + use<> {
        let signal = self.clone();
        async move {
            let mut reason = signal.reason.subscribe();
            loop {
                if let Some(reason) = reason.borrow_and_update().clone() {
                    return reason;
                }
                if reason.changed().await.is_err() {
                    // The sender lives in `signal`.
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    fn trigger(&self, reason: DomException) {
        let algorithms = {
            let mut algorithms = self.algorithms();
            let first = self.reason.send_if_modified(|given| {
                let first = given.is_none();
                given.get_or_insert_with(|| reason.clone());
                first
            });
            if !first {
                return;
            }
            std::mem::take(&mut *algorithms)
        };
        for algorithm in algorithms {
            algorithm(&reason);
        }
    }

    fn algorithms(&self) -> MutexGuard<'_, Vec<Algorithm>> {
        self.algorithms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for AbortSignal {
    /// A signal that nobody can give: for the controller, and for those that follow from others.
    fn default() -> Self {
        Self {
            reason: Arc::new(watch::Sender::new(None)),
            algorithms: Arc::default(),
        }
    }
}

impl fmt::Debug for AbortSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AbortSignal")
            .field("reason", &self.reason())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_reason_counts() {
        let controller = AbortController::new();
        let signal = controller.signal();
        assert!(!signal.aborted());
        assert_eq!(signal.throw_if_aborted(), Ok(()));
        controller.abort(DomException::new("enough", "QuotaExceededError"));
        controller.abort(None);
        assert_eq!(signal.throw_if_aborted().unwrap_err().message(), "enough");
    }

    #[test]
    fn algorithms_run_once_and_late_ones_at_once() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let controller = AbortController::new();
        for _ in 0..2 {
            let sender = sender.clone();
            controller
                .signal()
                .on_abort(move |_| sender.send("early").unwrap());
        }
        controller.abort(None);
        controller.abort(None);
        controller
            .signal()
            .on_abort(move |_| sender.send("late").unwrap());
        assert_eq!(receiver.iter().collect::<Vec<_>>(), ["early", "early", "late"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_signal_may_follow_from_others_or_from_the_clock() {
        let controller = AbortController::new();
        let timeout = AbortSignal::timeout(Duration::from_secs(5));
        let any = AbortSignal::any([&controller.signal(), &timeout]);
        assert_eq!(any.cancelled().await.name(), "TimeoutError");
        assert!(!controller.signal().aborted());
        assert!(AbortSignal::any([&timeout]).aborted());
        assert!(AbortSignal::abort(None).aborted());
    }
}
