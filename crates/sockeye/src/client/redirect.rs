//! Redirections: where they lead, and which secrets go along.
//!
//! Nothing here does I/O. A [`Journey`] begins with the URL that was asked for and decides about each answer.

use http::header::{HeaderName, HeaderValue, LOCATION};
use http::{Response, StatusCode};
use sockeye_proto::handshake::client::Target;
use url::Url;

use super::auth;

/// The longest `Location` that an error message shows whole, in bytes.
const MAX_SHOWN: usize = 200;

/// Which redirections are followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Redirects {
    /// How many in a row.
    pub(super) max: u32,
    /// From `wss` to `ws` as well.
    pub(super) insecure: bool,
    /// To a URL that was there before. With cookies it may answer differently the second time.
    pub(super) repeated: bool,
}

/// The URLs of one attempt, from the one that was asked for to the present one.
#[derive(Clone, Debug)]
pub(super) struct Journey {
    rules: Redirects,
    target: Target,
    /// The URLs before the present one.
    before: Vec<Target>,
    /// Whether every URL so far may know the secrets of the first.
    trusted: bool,
    /// The server asked first is behind a Unix socket, and its host is only a name.
    through_socket: bool,
}

/// What to do about an answer that is not a 101.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Ask there.
    Follow(Target),
    /// It is not a redirection, or they are not followed.
    Refusal,
    /// It is a redirection that is not followed, for this reason.
    Stop(String),
}

impl Journey {
    pub(super) const fn new(target: Target, rules: Redirects) -> Self {
        Self {
            rules,
            target,
            before: Vec::new(),
            trusted: true,
            through_socket: false,
        }
    }

    /// As one that begins at a Unix socket: what has the name of its host elsewhere is another server.
    pub(super) fn through_socket(self) -> Self {
        Self {
            through_socket: true,
            ..self
        }
    }

    /// Whether the server to ask now is the one behind the Unix socket.
    #[cfg(feature = "cookies")]
    pub(super) fn is_at_socket(&self) -> bool {
        self.through_socket && self.is_at_start()
    }

    /// Where to ask now.
    pub(super) const fn target(&self) -> &Target {
        &self.target
    }

    /// The URL that was asked for first.
    pub(super) fn start(&self) -> &Target {
        self.before.first().unwrap_or(&self.target)
    }

    /// Whether the present URL is of the server that was asked first.
    pub(super) fn is_at_start(&self) -> bool {
        let server = |target: &Target| {
            (
                target.is_secure(),
                target.host().to_ascii_lowercase(),
                target.port(),
            )
        };
        server(self.start()) == server(&self.target)
    }

    /// Whether a header field goes to the present URL. Secrets do not, once any redirection has led elsewhere: who
    /// comes back from a stranger comes with what the stranger chose.
    pub(super) fn may_send(&self, name: &HeaderName, value: &HeaderValue) -> bool {
        self.trusted || !is_secret(name, value)
    }

    /// Decides about an answer.
    pub(super) fn judge(&self, response: &Response<()>) -> Verdict {
        if self.rules.max == 0 || !redirects(response.status()) {
            return Verdict::Refusal;
        }
        let Some(location) = response.headers().get(LOCATION) else {
            return Verdict::Refusal;
        };
        let Some(next) = resolve(&self.target, location) else {
            let shown = String::from_utf8_lossy(&location.as_bytes()[..location.len().min(MAX_SHOWN)]);
            return self.stop(format!(
                "a redirection leads to {shown:?}, which is no WebSocket URL"
            ));
        };
        if self.target.is_secure() && !next.is_secure() && !self.rules.insecure {
            return self.stop(format!(
                "a redirection leads from wss:// to the unencrypted {}",
                name(&next)
            ));
        }
        if self.before.len() >= usize::try_from(self.rules.max).unwrap_or(usize::MAX) {
            return self.stop(format!("there are more than {} redirections", self.rules.max));
        }
        let mut visited = self.before.iter().chain([&self.target]);
        if !self.rules.repeated && visited.any(|target| target.to_string() == next.to_string()) {
            return self.stop(format!(
                "the redirections go round in a circle, to {}",
                name(&next)
            ));
        }
        Verdict::Follow(next)
    }

    /// Goes on to what [`judge`](Self::judge) told to follow.
    pub(super) fn go_on(&mut self, next: Target) {
        self.trusted &= knows_secrets_of(&next, &self.target);
        self.before.push(std::mem::replace(&mut self.target, next));
        self.trusted &= !self.through_socket || self.is_at_start();
    }

    fn stop(&self, reason: String) -> Verdict {
        let chain: Vec<_> = self.before.iter().chain([&self.target]).map(name).collect();
        Verdict::Stop(format!("{reason} (after {})", chain.join(" → ")))
    }
}

/// RFC 9110 §15.4: 300 needs a choice, 304 and 305 are something else.
fn redirects(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The URL that `location` means at `from` (RFC 9110 §10.2.2), without fragment and user information.
fn resolve(from: &Target, location: &HeaderValue) -> Option<Target> {
    let location = std::str::from_utf8(location.as_bytes()).ok()?;
    let mut url = Url::parse(&from.to_string()).ok()?.join(location).ok()?;
    url.set_fragment(None);
    // A server does not choose what its client claims to be elsewhere.
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    Target::parse(url.as_str()).ok()
}

/// Whether secrets meant for `from` may go to `to`: the same host and port, or the encrypted twin of the same host, both
/// on their default ports.
fn knows_secrets_of(to: &Target, from: &Target) -> bool {
    if !to.host().eq_ignore_ascii_case(from.host()) {
        return false;
    }
    match (from.is_secure(), to.is_secure()) {
        (true, false) => false,
        (false, true) => to.port() == from.port() || (from.port(), to.port()) == (80, 443),
        _ => to.port() == from.port(),
    }
}

/// `Origin` is none: it says who asks, and to whom it is said changes nothing about it.
fn is_secret(name: &HeaderName, value: &HeaderValue) -> bool {
    value.is_sensitive() || auth::is_secret(name)
}

/// A URL as errors show it: no query, secrets travel there, and not endless.
fn name(target: &Target) -> String {
    let url = target.to_string();
    let url = url.split('?').next().unwrap_or_default();
    match url.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &url[..end]),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};

    use super::*;

    fn target(url: &str) -> Target {
        Target::parse(url).unwrap()
    }

    fn answer(status: u16, location: &str) -> Response<()> {
        let response = Response::builder().status(status).header(LOCATION, location);
        response.body(()).unwrap()
    }

    fn journey(url: &str, max: u32) -> Journey {
        let rules = Redirects {
            max,
            ..Redirects::default()
        };
        Journey::new(target(url), rules)
    }

    #[test]
    fn a_location_is_resolved_against_the_present_url() {
        for (from, location, want) in [
            ("ws://a.example/x/y?q", "z", "ws://a.example/x/z"),
            ("ws://a.example/x/y?q", "/z?w", "ws://a.example/z?w"),
            ("ws://a.example/x/y?q", "?w", "ws://a.example/x/y?w"),
            ("wss://a.example/x", "//b.example:99/z", "wss://b.example:99/z"),
            ("ws://a.example/", "http://b.example/", "ws://b.example/"),
            ("ws://a.example/", "https://b.example/", "wss://b.example/"),
            (
                "ws://a.example/",
                "WSS://B.example:443/z#part",
                "wss://b.example/z",
            ),
            ("ws://user:pw@a.example/x", "y", "ws://a.example/y"),
            ("ws://a.example/", "ws://user:pw@b.example/", "ws://b.example/"),
        ] {
            let verdict = journey(from, 1).judge(&answer(302, location));
            assert_eq!(verdict, Verdict::Follow(target(want)), "{from} {location}");
        }
    }

    #[test]
    fn five_statuses_redirect() {
        let journey = journey("ws://a.example/", 5);
        for status in 300..400 {
            let follow = [301, 302, 303, 307, 308].contains(&status);
            let verdict = journey.judge(&answer(status, "/x"));
            assert_eq!(matches!(verdict, Verdict::Follow(_)), follow, "{status}");
        }
        assert_eq!(journey.judge(&answer(401, "/x")), Verdict::Refusal);
        let nowhere = Response::builder().status(302).body(()).unwrap();
        assert_eq!(journey.judge(&nowhere), Verdict::Refusal);
    }

    #[test]
    fn nothing_is_followed_unless_asked_for() {
        let verdict = journey("ws://a.example/", 0).judge(&answer(302, "/x"));
        assert_eq!(verdict, Verdict::Refusal);
    }

    #[test]
    fn what_is_not_followed_is_told_with_the_way_there() {
        for (location, want) in [
            ("ftp://b.example/", "no WebSocket URL"),
            ("http://", "no WebSocket URL"),
            ("ws://a.example/", "unencrypted ws://a.example/"),
            ("http://a.example/", "unencrypted"),
            ("wss://start.example/?secret", "round in a circle"),
            ("/here", "round in a circle"),
        ] {
            let mut journey = journey("wss://start.example/?secret", 9);
            journey.go_on(target("wss://b.example/here"));
            match journey.judge(&answer(302, location)) {
                Verdict::Stop(reason) => {
                    assert!(reason.contains(want), "{location}: {reason}");
                    assert!(
                        reason.ends_with("(after wss://start.example/ → wss://b.example/here)"),
                        "{reason}"
                    );
                    assert!(!reason.contains("secret"), "{reason}");
                }
                other => panic!("{location}: {other:?}"),
            }
        }
    }

    #[test]
    fn the_limit_counts_redirections() {
        let mut journey = journey("ws://a.example/", 2);
        for path in ["/1", "/2"] {
            match journey.judge(&answer(307, path)) {
                Verdict::Follow(next) => journey.go_on(next),
                other => panic!("{other:?}"),
            }
        }
        match journey.judge(&answer(307, "/3")) {
            Verdict::Stop(reason) => assert!(reason.contains("more than 2 redirections"), "{reason}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn with_cookies_a_url_may_be_asked_again() {
        let rules = Redirects {
            max: 2,
            repeated: true,
            ..Redirects::default()
        };
        let journey = Journey::new(target("ws://a.example/"), rules);
        assert!(matches!(journey.judge(&answer(302, "/")), Verdict::Follow(_)));
    }

    #[test]
    fn an_endless_location_is_shown_in_part() {
        let location = format!("ftp://{}/", "x".repeat(10_000));
        match journey("ws://a.example/", 1).judge(&answer(302, &location)) {
            Verdict::Stop(reason) => assert!(reason.len() < 500, "{}", reason.len()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn secrets_go_to_the_same_host_and_port_only() {
        for (from, to, want) in [
            ("ws://a.example/x", "ws://a.example/y", true),
            ("ws://a.example/", "ws://A.example:80/", true),
            ("ws://a.example/", "wss://a.example/", true),
            ("ws://a.example:8080/", "wss://a.example:8080/", true),
            ("ws://a.example:8080/", "wss://a.example/", false),
            ("ws://a.example/", "ws://a.example:81/", false),
            ("ws://a.example/", "ws://b.example/", false),
            ("ws://a.example/", "ws://sub.a.example/", false),
            ("wss://a.example/", "ws://a.example/", false),
            ("wss://a.example:8080/", "ws://a.example:8080/", false),
        ] {
            assert_eq!(
                knows_secrets_of(&target(to), &target(from)),
                want,
                "{from} to {to}"
            );
        }
    }

    #[test]
    fn a_server_behind_a_unix_socket_has_no_encrypted_twin() {
        for (to, want) in [("ws://localhost/x", true), ("wss://localhost/", false)] {
            let mut journey = journey("ws://localhost/", 9).through_socket();
            journey.go_on(target(to));
            let secret = HeaderValue::from_static("v");
            assert_eq!(journey.may_send(&AUTHORIZATION, &secret), want, "{to}");
        }
    }

    #[test]
    fn secrets_dropped_once_do_not_come_back() {
        let plain = HeaderValue::from_static("v");
        let mut sensitive = plain.clone();
        sensitive.set_sensitive(true);
        let token = HeaderName::from_static("x-token");
        let secrets = [
            (&AUTHORIZATION, &plain),
            (&COOKIE, &plain),
            (&PROXY_AUTHORIZATION, &plain),
            (&token, &sensitive),
        ];
        let mut journey = journey("ws://a.example/", 9);
        let sends = |journey: &Journey| secrets.map(|(name, value)| journey.may_send(name, value));
        journey.go_on(target("ws://a.example/x"));
        assert_eq!(sends(&journey), [true; 4]);
        assert!(journey.is_at_start());
        journey.go_on(target("ws://b.example/"));
        assert!(!journey.is_at_start());
        assert_eq!(sends(&journey), [false; 4]);
        assert!(journey.may_send(&token, &plain));
        assert!(journey.may_send(&http::header::ORIGIN, &plain));
        journey.go_on(target("ws://a.example/"));
        assert_eq!(sends(&journey), [false; 4]);
        assert_eq!(journey.start(), &target("ws://a.example/"));
    }
}
