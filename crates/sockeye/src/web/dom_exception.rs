//! The exceptions of the web platform.

use std::borrow::Cow;
use std::fmt;

/// An exception as scripts know it: a name that programs compare, and a message for people.
///
/// The constructor and the methods of [`WebSocket`](super::WebSocket) return it where the standard throws
/// (Web IDL §2.8.1).
///
/// ```
/// use sockeye::web::WebSocket;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let error = WebSocket::new("ws://localhost/#top", ()).unwrap_err();
/// assert_eq!(error.name(), "SyntaxError");
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct DomException {
    name: Cow<'static, str>,
    message: Cow<'static, str>,
}

impl DomException {
    /// An exception with a message and a name, in the order of the standard's constructor. A name of the platform's
    /// own list has a [`code`](Self::code).
    pub fn new(message: impl Into<Cow<'static, str>>, name: impl Into<Cow<'static, str>>) -> Self {
        Self {
            name: name.into(),
            message: message.into(),
        }
    }

    /// What was written does not follow its grammar: a URL, a subprotocol, a close reason that is too long.
    pub(crate) fn syntax(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(message, "SyntaxError")
    }

    /// The object is not in a state for that.
    pub(crate) fn invalid_state(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(message, "InvalidStateError")
    }

    /// The object does not allow that: a close code that is not an application's to send.
    pub(crate) fn invalid_access(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(message, "InvalidAccessError")
    }

    /// What an [`AbortSignal`](super::AbortSignal) gives for a reason when nobody gave one.
    pub(crate) fn abort() -> Self {
        Self::new("the operation was aborted", "AbortError")
    }

    /// The name, such as `SyntaxError`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What went wrong, for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The number that the name had before names were used; 0 for names that came later.
    #[must_use]
    pub fn code(&self) -> u16 {
        match &*self.name {
            "IndexSizeError" => 1,
            "HierarchyRequestError" => 3,
            "WrongDocumentError" => 4,
            "InvalidCharacterError" => 5,
            "NoModificationAllowedError" => 7,
            "NotFoundError" => 8,
            "NotSupportedError" => 9,
            "InUseAttributeError" => 10,
            "InvalidStateError" => 11,
            "SyntaxError" => 12,
            "InvalidModificationError" => 13,
            "NamespaceError" => 14,
            "InvalidAccessError" => 15,
            "TypeMismatchError" => 17,
            "SecurityError" => 18,
            "NetworkError" => 19,
            "AbortError" => 20,
            "URLMismatchError" => 21,
            "QuotaExceededError" => 22,
            "TimeoutError" => 23,
            "InvalidNodeTypeError" => 24,
            "DataCloneError" => 25,
            _ => 0,
        }
    }
}

impl fmt::Display for DomException {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.message)
    }
}

impl std::error::Error for DomException {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_the_standard_have_their_old_codes() {
        for (exception, name, code) in [
            (DomException::syntax(""), "SyntaxError", 12),
            (DomException::invalid_state(""), "InvalidStateError", 11),
            (DomException::invalid_access(""), "InvalidAccessError", 15),
            (DomException::abort(), "AbortError", 20),
            (DomException::new("", "NotAllowedError"), "NotAllowedError", 0),
        ] {
            assert_eq!((exception.name(), exception.code()), (name, code));
        }
    }

    #[test]
    fn it_prints_as_scripts_print_it() {
        let exception = DomException::new("no fragment", "SyntaxError");
        assert_eq!(exception.to_string(), "SyntaxError: no fragment");
    }
}
