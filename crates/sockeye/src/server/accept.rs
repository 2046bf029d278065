//! How an upgrade hook says yes. It says no with a [`Rejection`](super::Rejection).

use std::sync::Arc;

use http::header::{HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use sockeye_proto::Config;
use sockeye_proto::deflate::Deflate;
use sockeye_proto::handshake::server::Acceptance;

use super::SetCookie;
use crate::QueueLimits;
use crate::upgrade::Overrides;

/// An upgrade hook's yes, and what it wants to be different for this one WebSocket.
///
/// Mistakes, such as a header that belongs to the handshake or a subprotocol that the client did not offer,
/// are found when the response is made: it is a 500 then, and the log says why.
///
/// ```
/// use sockeye::server::{Accept, SetCookie};
///
/// #[derive(Clone)]
/// struct User(String);
///
/// let accept = Accept::new()
///     .subprotocol("chat.v2")
///     .header("x-region", "north")
///     .cookie(SetCookie::new("seen", "1")?.http_only())
///     .data(User("Marianne".to_owned()));
/// # Ok::<(), sockeye::server::BadCookie>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Accept {
    subprotocol: Choice,
    headers: HeaderMap,
    cookies: Vec<SetCookie>,
    mistake: Option<String>,
    pub(super) data: http::Extensions,
    pub(super) overrides: Overrides,
}

/// Which subprotocol to answer.
#[derive(Clone, Debug, Default)]
enum Choice {
    /// The route's.
    #[default]
    Route,
    None,
    Named(String),
}

impl Accept {
    /// Accepts as the route is configured.
    pub fn new() -> Self {
        Self::default()
    }

    /// Chooses this subprotocol, which the client must have offered, whatever the route would choose.
    #[must_use]
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.subprotocol = Choice::Named(name.into());
        self
    }

    /// Chooses no subprotocol, whatever the route would choose.
    #[must_use]
    pub fn without_subprotocol(mut self) -> Self {
        self.subprotocol = Choice::None;
        self
    }

    /// Adds a header field to the response. Fields of the handshake itself cannot be set.
    #[must_use]
    pub fn header(mut self, name: impl TryInto<HeaderName>, value: impl TryInto<HeaderValue>) -> Self {
        match (name.try_into(), value.try_into()) {
            (Ok(name), Ok(value)) => {
                if self.headers.try_append(name, value).is_err() {
                    self.mistake.get_or_insert_with(|| "too many headers".to_owned());
                }
            }
            (Err(_), _) => {
                self.mistake
                    .get_or_insert_with(|| "a header name is not valid".to_owned());
            }
            (Ok(name), Err(_)) => {
                self.mistake
                    .get_or_insert_with(|| format!("the value of header {name} is not valid"));
            }
        }
        self
    }

    /// Sets a cookie. RFC 6265 §4.1.1 wants one of a name only: a later one replaces an earlier one.
    #[must_use]
    pub fn cookie(mut self, cookie: SetCookie) -> Self {
        self.cookies.retain(|other| other.name() != cookie.name());
        self.cookies.push(cookie);
        self
    }

    /// Keeps a value with the WebSocket, where the handler finds it by its type. One value of each type.
    #[must_use]
    pub fn data<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.data.insert(value);
        self
    }

    /// Replaces the route's limits and timeouts. An `Arc` of them is shared by all that are accepted with it.
    #[must_use]
    pub fn limits(mut self, limits: impl Into<Arc<Config>>) -> Self {
        self.overrides.config = Some(limits.into());
        self
    }

    /// Replaces the route's limits on what waits in memory.
    #[must_use]
    pub fn queues(mut self, queues: QueueLimits) -> Self {
        self.overrides.queues = Some(queues);
        self
    }

    /// Replaces the route's compression; `None` goes without.
    #[must_use]
    pub fn compression(mut self, compression: impl Into<Option<Deflate>>) -> Self {
        self.overrides.compression = Some(compression.into());
        self
    }

    /// This, with what another one says besides or differently.
    #[cfg(engine)]
    pub(super) fn and(mut self, other: Self) -> Self {
        if !matches!(other.subprotocol, Choice::Route) {
            self.subprotocol = other.subprotocol;
        }
        for (name, value) in &other.headers {
            self = self.header(name, value);
        }
        for cookie in other.cookies {
            self = self.cookie(cookie);
        }
        self.mistake = self.mistake.or(other.mistake);
        self.data.extend(other.data);
        self.overrides = self.overrides.and(other.overrides);
        self
    }

    /// Writes the response. `route` is the subprotocol that the route would choose.
    pub(crate) fn respond<'a>(
        &self,
        mut acceptance: Acceptance<'a>,
        route: Option<&str>,
    ) -> Result<Acceptance<'a>, String> {
        if let Some(mistake) = &self.mistake {
            return Err(mistake.clone());
        }
        let name = match &self.subprotocol {
            Choice::Route => route,
            Choice::None => None,
            Choice::Named(name) => Some(name.as_str()),
        };
        if let Some(name) = name {
            let not_offered = || format!("subprotocol `{name}` was chosen, but the client did not offer it");
            acceptance = acceptance.subprotocol(name).map_err(|_| not_offered())?;
        }
        for (name, value) in &self.headers {
            acceptance = acceptance
                .header(name, value)
                .map_err(|error| format!("header {name}: {error}"))?;
        }
        for cookie in &self.cookies {
            let value = cookie.header_value().map_err(|error| error.to_string())?;
            acceptance = acceptance
                .header(SET_COOKIE, value)
                .map_err(|error| error.to_string())?;
        }
        Ok(acceptance)
    }
}

#[cfg(test)]
mod tests {
    use super::super::TrustedProxies;
    use super::super::request::tests::request;
    use super::*;

    fn respond(accept: &Accept, route: Option<&str>) -> Result<HeaderMap, String> {
        let request = request(
            "/",
            &[("sec-websocket-protocol", "chat.v2, chat.v1")],
            &TrustedProxies::default(),
        );
        let acceptance = accept.respond(request.upgrade().accept(), route)?;
        Ok(acceptance.response().headers().clone())
    }

    #[test]
    fn hook_overrules_the_routes_subprotocol() {
        for (accept, expected) in [
            (Accept::new(), Some("chat.v1")),
            (Accept::new().subprotocol("chat.v2"), Some("chat.v2")),
            (Accept::new().without_subprotocol(), None),
        ] {
            let headers = respond(&accept, Some("chat.v1")).unwrap();
            assert_eq!(
                headers
                    .get("sec-websocket-protocol")
                    .map(|value| value.to_str().unwrap()),
                expected
            );
        }
    }

    #[test]
    fn headers_and_cookies_are_added() {
        let accept = Accept::new()
            .header("x-a", "1")
            .header("x-a", "2")
            .cookie(SetCookie::new("c", "old").unwrap())
            .cookie(SetCookie::new("d", "1").unwrap())
            .cookie(SetCookie::new("c", "new").unwrap());
        let headers = respond(&accept, None).unwrap();
        assert_eq!(headers.get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(
            headers.get_all("set-cookie").iter().collect::<Vec<_>>(),
            ["d=1", "c=new"]
        );
    }

    #[test]
    fn mistakes_come_out_in_the_response() {
        for accept in [
            Accept::new().subprotocol("chat.v3"),
            Accept::new().subprotocol("CHAT.V2"),
            Accept::new().header("x-a", "1\r\nx-b: 2"),
            Accept::new().header("x a", "1"),
            Accept::new().header("sec-websocket-accept", "x"),
            Accept::new().header("connection", "close"),
            Accept::new().header("content-length", "5"),
        ] {
            assert!(respond(&accept, None).is_err(), "{accept:?}");
        }
    }
}
