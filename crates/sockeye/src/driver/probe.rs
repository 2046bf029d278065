//! Whether the system lets this process use io_uring, as the driver [`Uring`](super::Uring) needs it.

use std::fmt;
use std::io;
use std::sync::OnceLock;

use super::DriverKind;

/// Why the driver on io_uring cannot be used here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Unavailable {
    kind: io::ErrorKind,
    reason: String,
}

impl Unavailable {
    #[cfg(target_os = "linux")]
    pub(super) fn new(what: &str, error: &io::Error) -> Self {
        let hint = match error.kind() {
            io::ErrorKind::PermissionDenied => {
                ": it is forbidden here, by a container's seccomp profile or by kernel.io_uring_disabled"
            }
            io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput => {
                ": the kernel is older than Linux 6.1"
            }
            _ => "",
        };
        Self {
            kind: error.kind(),
            reason: format!("{what}: {error}{hint}"),
        }
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "io_uring cannot be used: {}", self.reason)
    }
}

impl std::error::Error for Unavailable {}

impl From<Unavailable> for io::Error {
    fn from(unavailable: Unavailable) -> Self {
        Self::new(unavailable.kind, unavailable)
    }
}

impl DriverKind {
    /// The driver that this kind comes to on this system: never [`Auto`](Self::Auto).
    ///
    /// The kernel is asked once per process: whether it makes a ring with all that the driver on io_uring needs. Where it
    /// does not, or forbids io_uring as many containers do, `Auto` is [`Readiness`](Self::Readiness).
    ///
    /// # Errors
    /// [`Uring`](Self::Uring) was asked for and cannot be used here; the message says why.
    pub fn resolve(self) -> io::Result<Self> {
        match (self, uring()) {
            (Self::Readiness, _) => Ok(Self::Readiness),
            (Self::Auto | Self::Uring, Ok(())) => Ok(Self::Uring),
            (Self::Auto, Err(reason)) => {
                tracing::debug!(%reason, "the driver is `readiness`");
                Ok(Self::Readiness)
            }
            (Self::Uring, Err(reason)) => Err(reason.clone().into()),
        }
    }
}

/// The answer of the kernel, asked the first time.
fn uring() -> Result<(), &'static Unavailable> {
    static ANSWER: OnceLock<Result<(), Unavailable>> = OnceLock::new();
    ANSWER.get_or_init(ask).as_ref().copied()
}

#[cfg(target_os = "linux")]
fn ask() -> Result<(), Unavailable> {
    super::uring::probe()
}

#[cfg(not(target_os = "linux"))]
fn ask() -> Result<(), Unavailable> {
    Err(Unavailable {
        kind: io::ErrorKind::Unsupported,
        reason: "it is Linux's".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_is_what_can_be_used() {
        let expected = if uring().is_ok() {
            DriverKind::Uring
        } else {
            DriverKind::Readiness
        };
        assert_eq!(DriverKind::Auto.resolve().unwrap(), expected);
    }

    #[test]
    fn readiness_is_always_there() {
        assert_eq!(DriverKind::Readiness.resolve().unwrap(), DriverKind::Readiness);
    }

    #[test]
    fn forcing_io_uring_succeeds_or_says_why_not() {
        match DriverKind::Uring.resolve() {
            Ok(kind) => assert_eq!(kind, DriverKind::Uring),
            Err(error) => assert!(
                error.to_string().starts_with("io_uring cannot be used: "),
                "{error}"
            ),
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_refusal_names_its_likely_reason() {
        let forbidden = Unavailable::new("io_uring_setup", &io::Error::from_raw_os_error(1));
        assert_eq!(
            forbidden.to_string(),
            "io_uring cannot be used: io_uring_setup: Operation not permitted (os error 1): it is forbidden here, by a \
             container's seccomp profile or by kernel.io_uring_disabled"
        );
        assert_eq!(io::Error::from(forbidden).kind(), io::ErrorKind::PermissionDenied);
    }
}
