//! Why a connection ended or did not come about, and why the client gives up.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use http::StatusCode;
use http::header::RETRY_AFTER;

use crate::BoxError;
use crate::error::{Error, Refusal};
use crate::session::CloseInfo;

/// Why a connection ended, or an attempt failed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Cause {
    /// The peer closed the open connection.
    Closed(CloseInfo),
    /// The open connection failed: lost, timed out, or the peer broke the protocol or reached a limit.
    Lost(Error),
    /// No connection came about; a server that refused is in [`Error::refusal`].
    NotConnected(Error),
    /// The hook [`refresh`](super::ReconnectBuilder::refresh) failed.
    Refresh(HookError),
    /// The hook [`on_open`](super::ReconnectBuilder::on_open) failed.
    OnOpen(HookError),
    /// The attempt, hooks included, took longer than
    /// [`attempt_timeout`](super::ReconnectBuilder::attempt_timeout).
    TimedOut(Duration),
    /// The client's task was stopped: the runtime has ended, or a hook panicked.
    Stopped,
}

impl Cause {
    /// Whether another attempt would end the same way. These are the rules by which the client gives up, unless
    /// [`give_up_when`](super::ReconnectBuilder::give_up_when) sets others:
    ///
    /// | what happened | gives up on | goes on after |
    /// |---|---|---|
    /// | the peer closed | 1000 (its purpose is fulfilled); 1002, 1003, 1007, 1008, 1009, 1010 (it rejects what was sent, which would be sent again); 3000 and 3003 (the registered codes for "unauthorized" and "forbidden") | 1001, 1005, 1011–1014, all others; 4000–4999 are the application's to decide |
    /// | the server refused | 3xx and 4xx, thus 401, 403, 404 | 408, 421, 425, 429, 5xx, all others |
    /// | no connection | a URL or option that cannot be used | unknown host, refused connection, TLS, timeouts, an answer that breaks the protocol |
    /// | the connection failed | this client takes whole messages, and the connection was made to deliver chunks | lost, timed out, protocol error, limit |
    /// | a hook failed | [`HookError::give_up`] | any other error |
    ///
    /// With a [`refresh`](super::ReconnectBuilder::refresh) hook, one 401 is followed by another attempt, since the
    /// token may just have run out; the second in a row is final.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Closed(info) => matches!(info.code, 1000 | 1002 | 1003 | 1007..=1010 | 3000 | 3003),
            Self::NotConnected(error) => {
                error.is_config() || error.refusal().is_some_and(|refusal| is_final(refusal.status))
            }
            Self::Refresh(error) | Self::OnOpen(error) => error.is_final(),
            Self::Lost(error) => error.is_delivery(),
            Self::TimedOut(_) => false,
            Self::Stopped => true,
        }
    }

    /// The HTTP response, if the server refused the handshake.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::NotConnected(error) => error.refusal(),
            _ => None,
        }
    }

    /// The error, unless the peer closed.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        match self {
            Self::Lost(error) | Self::NotConnected(error) => Some(error),
            Self::Refresh(error) | Self::OnOpen(error) => Some(error.error()),
            Self::Closed(_) | Self::TimedOut(_) | Self::Stopped => None,
        }
    }

    pub(super) fn is_unauthorized(&self) -> bool {
        self.refusal()
            .is_some_and(|refusal| refusal.status == StatusCode::UNAUTHORIZED)
    }

    /// How long the refusing server asks to be left alone.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let value = self.refusal()?.headers.get(RETRY_AFTER)?.to_str().ok()?;
        value.trim().parse().ok().map(Duration::from_secs)
    }
}

/// Whether a refusal with this status is meant for good.
fn is_final(status: StatusCode) -> bool {
    let passes = matches!(
        status,
        StatusCode::REQUEST_TIMEOUT
            | StatusCode::MISDIRECTED_REQUEST
            | StatusCode::TOO_EARLY
            | StatusCode::TOO_MANY_REQUESTS
    );
    status.is_redirection() || (status.is_client_error() && !passes)
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(info) if info.reason.is_empty() => write!(f, "the peer closed with {}", info.code),
            Self::Closed(info) => {
                // What the peer wrote goes to terminals and logs with this.
                let reason = info.reason.escape_debug();
                write!(f, "the peer closed with {}: {reason}", info.code)
            }
            Self::Lost(error) | Self::NotConnected(error) => error.fmt(f),
            Self::Refresh(error) => write!(f, "cannot prepare the attempt: {error}"),
            Self::OnOpen(error) => write!(f, "cannot begin on the open connection: {error}"),
            Self::TimedOut(limit) => write!(f, "the attempt took longer than {limit:?}"),
            Self::Stopped => f.write_str("the client was stopped"),
        }
    }
}

/// The client has given up: there is no connection, and will be none.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GaveUp {
    /// What happened last.
    pub cause: Cause,
    /// Why there is no further attempt.
    pub why: Why,
}

/// Why there is no further attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Why {
    /// By the rules, another attempt would be of no use.
    Final,
    /// As many attempts in a row have led to no connection that lasted as are [allowed](super::ReconnectBuilder::max_attempts).
    Attempts(u32),
    /// It has gone on for as long as is [allowed](super::ReconnectBuilder::max_elapsed).
    Elapsed(Duration),
}

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.why {
            Why::Final => write!(f, "gave up: {}", self.cause),
            Why::Attempts(count) => write!(f, "gave up after {count} attempts in a row: {}", self.cause),
            Why::Elapsed(limit) => write!(f, "gave up after {limit:?}: {}", self.cause),
        }
    }
}

impl StdError for GaveUp {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.error().map(|error| error as &(dyn StdError + 'static))
    }
}

/// The connection's error if there is one, so that [`Error::refusal`] and the like answer.
impl From<GaveUp> for Error {
    fn from(gave_up: GaveUp) -> Self {
        match gave_up.cause.error() {
            Some(error) => error.clone(),
            None => Self::other(gave_up),
        }
    }
}

/// The error of a hook.
///
/// Any error becomes one with `?`: the attempt has failed, and another will be made. [`give_up`](Self::give_up) makes
/// it the last.
///
/// ```
/// use sockeye::reconnect::{HookError, Target};
///
/// async fn refresh(target: Target) -> Result<Target, HookError> {
///     let token = std::env::var("TOKEN").map_err(HookError::give_up)?;
///     Ok(target.header("Authorization", format!("Bearer {token}")))
/// }
/// # let _ = refresh;
/// ```
// Not an `Error` itself, or it could not be made of every other by `?`.
#[derive(Clone, Debug)]
pub struct HookError {
    error: Error,
    is_final: bool,
}

impl HookError {
    /// An error after which no further attempt is made.
    pub fn give_up(error: impl Into<BoxError>) -> Self {
        Self {
            error: unboxed(error.into()),
            is_final: true,
        }
    }

    /// Whether no further attempt shall be made.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        self.is_final
    }

    /// The error.
    #[must_use]
    pub const fn error(&self) -> &Error {
        &self.error
    }
}

impl<E: Into<BoxError>> From<E> for HookError {
    fn from(error: E) -> Self {
        Self {
            error: unboxed(error.into()),
            is_final: false,
        }
    }
}

/// This library's own error as it is, others inside of one.
fn unboxed(error: BoxError) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => *error,
        Err(error) => Error::other(error),
    }
}

impl fmt::Display for HookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;
    use crate::error::{ConnectPhase, Kind};

    fn closed(code: u16) -> Cause {
        Cause::Closed(CloseInfo {
            code,
            reason: "".into(),
            clean: true,
        })
    }

    fn refused(status: u16, retry_after: Option<&'static str>) -> Cause {
        let mut headers = HeaderMap::new();
        headers.extend(retry_after.map(|value| (RETRY_AFTER, value.parse().unwrap())));
        Cause::NotConnected(Error::new(Kind::Refused(
            "example.org".into(),
            Box::new(Refusal {
                status: StatusCode::from_u16(status).unwrap(),
                headers,
                body: Bytes::new(),
            }),
        )))
    }

    #[test]
    fn close_codes_that_reject_or_fulfil_are_final() {
        for code in [1000, 1002, 1003, 1007, 1008, 1009, 1010, 3000, 3003] {
            assert!(closed(code).is_final(), "{code}");
        }
        for code in [1001, 1005, 1006, 1011, 1012, 1013, 1014, 3001, 3500, 4000, 4999] {
            assert!(!closed(code).is_final(), "{code}");
        }
    }

    #[test]
    fn a_reason_writes_no_control_characters() {
        let cause = Cause::Closed(CloseInfo {
            code: 1011,
            reason: "zu spät\r\n\u{1b}[2J".into(),
            clean: true,
        });
        assert_eq!(
            cause.to_string(),
            r"the peer closed with 1011: zu spät\r\n\u{1b}[2J"
        );
    }

    #[test]
    fn statuses_that_blame_the_client_are_final() {
        for status in [301, 302, 307, 400, 401, 403, 404, 410, 426] {
            assert!(refused(status, None).is_final(), "{status}");
        }
        for status in [200, 204, 408, 421, 425, 429, 500, 502, 503, 504] {
            assert!(!refused(status, None).is_final(), "{status}");
        }
    }

    #[test]
    fn errors_that_pass_are_not_final() {
        for phase in [
            ConnectPhase::Resolve,
            ConnectPhase::Connect,
            ConnectPhase::Tls,
            ConnectPhase::Handshake,
        ] {
            let error = Error::connecting(phase, "example.org");
            assert!(!Cause::NotConnected(error).is_final(), "{phase:?}");
        }
        assert!(Cause::NotConnected(Error::config("no URL")).is_final());
        assert!(!Cause::Lost(Error::new(Kind::Io)).is_final());
        assert!(Cause::Lost(Error::new(Kind::Delivery(sockeye_proto::Delivery::Chunks))).is_final());
        assert!(!Cause::TimedOut(Duration::ZERO).is_final());
    }

    #[test]
    fn a_hook_decides_by_its_error() {
        assert!(!Cause::Refresh("no token".into()).is_final());
        assert!(Cause::OnOpen(HookError::give_up("banned")).is_final());
        let own: HookError = Error::new(Kind::Io).into();
        assert!(own.error().is_connection_lost());
    }

    #[test]
    fn retry_after_is_read_in_seconds() {
        for (value, want) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("-1", None),
            ("Wed, 21 Oct 2015 07:28:00 GMT", None),
        ] {
            let cause = refused(503, Some(value));
            assert_eq!(cause.retry_after().map(|wait| wait.as_secs()), want, "{value}");
        }
        assert_eq!(refused(503, None).retry_after(), None);
    }

    #[test]
    fn giving_up_keeps_what_the_connection_said() {
        let gave_up = GaveUp {
            cause: refused(403, None),
            why: Why::Final,
        };
        assert_eq!(
            gave_up.to_string(),
            "gave up: example.org refused the WebSocket with HTTP 403 Forbidden"
        );
        assert_eq!(Error::from(gave_up).refusal().unwrap().status, 403);
        let gave_up = GaveUp {
            cause: closed(1001),
            why: Why::Attempts(3),
        };
        let error = Error::from(gave_up);
        assert_eq!(
            error.to_string(),
            "gave up after 3 attempts in a row: the peer closed with 1001"
        );
    }
}
