//! Panics of listeners, which are what exceptions are to scripts.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// A panic in a listener, as [`EnvironmentBuilder::on_exception`](super::EnvironmentBuilder::on_exception) is told of
/// it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Exception {
    /// The type of the event that was being dispatched.
    pub event_type: String,
    /// What the panic said, as far as it is text.
    pub message: String,
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a listener for `{}` panicked: {}",
            self.event_type, self.message
        )
    }
}

/// Where exceptions are reported (HTML Standard §8.1.4.6).
#[derive(Clone, Default)]
pub(crate) struct Reporter(pub(crate) Option<Hook>);

/// What the program wants to be called.
type Hook = Arc<dyn Fn(&Exception) + Send + Sync>;

impl Reporter {
    pub(crate) fn report(&self, event_type: &str, panic: &(dyn Any + Send)) {
        let exception = Exception {
            event_type: event_type.to_owned(),
            message: message(panic).to_owned(),
        };
        tracing::error!(event_type, panic = exception.message, "a listener panicked");
        if let Some(hook) = &self.0 {
            hook(&exception);
        }
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reporter").field(&self.0.is_some()).finish()
    }
}

/// The text of a panic.
pub(crate) fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no text)")
}
