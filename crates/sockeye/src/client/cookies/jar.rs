//! The rules and limits of a cookie store. Which cookies match a URL is decided by the crate `cookie_store`.

use cookie_store::{Cookie, CookieDomain, CookieError as Refused, RawCookie};
use url::{Host, Url};

use super::{CookieError, CookieLimits};

/// Cookies in the order in which they were first set.
#[derive(Debug, Default)]
pub(super) struct Jar {
    limits: CookieLimits,
    cookies: Vec<Cookie<'static>>,
}

impl Jar {
    pub(super) const fn new(limits: CookieLimits) -> Self {
        Self {
            limits,
            cookies: Vec::new(),
        }
    }

    /// Takes what a server at `url` (`http` or `https`) sent as `Set-Cookie` (RFC 6265 §5.3).
    ///
    /// Gives whether there is a cookie now: one that has expired removes what it would have replaced.
    pub(super) fn set(&mut self, url: &Url, line: &str) -> Result<bool, CookieError> {
        if line.len() > self.limits.cookie_bytes {
            return Err(CookieError::TooLarge);
        }
        let raw = RawCookie::parse(line).map_err(|_| CookieError::Syntax)?;
        let mut cookie = match Cookie::try_from_raw_cookie(&raw, url) {
            Ok(cookie) => cookie.into_owned(),
            Err(Refused::DomainMismatch) => return Err(CookieError::Domain),
            Err(_) => return Err(CookieError::Syntax),
        };
        if is_public_suffix(&cookie.domain) {
            // RFC 6265 §5.3 step 5: a host that is itself a public suffix may set cookies for itself alone.
            if !cookie.domain.host_is_identical(url) {
                return Err(CookieError::PublicSuffix);
            }
            cookie.domain = CookieDomain::host_only(url).map_err(|_| CookieError::Url)?;
        }
        if !is_secure(url) && (cookie.secure() == Some(true) || self.hides_secure(&cookie)) {
            return Err(CookieError::Insecure);
        }
        if !keeps_promise_of_prefix(&cookie, url) {
            return Err(CookieError::Prefix);
        }
        self.insert(cookie)
    }

    /// Takes a cookie whose origin is known to be right.
    pub(super) fn insert(&mut self, cookie: Cookie<'static>) -> Result<bool, CookieError> {
        // What would break the header field, or the file, that the cookie goes into.
        let texts = [cookie.name(), cookie.value(), &*cookie.path, domain(&cookie)];
        if texts.iter().any(|text| text.chars().any(char::is_control)) {
            return Err(CookieError::Syntax);
        }
        if texts.iter().map(|text| text.len()).sum::<usize>() > self.limits.cookie_bytes {
            return Err(CookieError::TooLarge);
        }
        let same = |other: &Cookie<'_>| {
            other.name() == cookie.name() && other.path == cookie.path && domain(other) == domain(&cookie)
        };
        let place = self.cookies.iter().position(same);
        match place {
            _ if cookie.is_expired() => {
                if let Some(place) = place {
                    self.cookies.remove(place);
                }
                return Ok(false);
            }
            // The age of a cookie is that of the first one in its place (RFC 6265 §5.3 step 11).
            Some(place) => self.cookies[place] = cookie,
            None => {
                self.cookies.push(cookie);
                self.keep_limits();
            }
        }
        Ok(true)
    }

    /// `own`, which need not be text, and the cookies for `url`, as in a `Cookie` field; `None` if there is nothing.
    ///
    /// `own` counts as it is; cookies of names that are in it are left out, and so is what would exceed the limit.
    pub(super) fn header(&self, url: &Url, own: Vec<u8>) -> Option<Vec<u8>> {
        let mut matching: Vec<_> = self.unexpired().filter(|cookie| cookie.matches(url)).collect();
        // RFC 6265 §5.4: longer paths first. The sort is stable, so that earlier ones come first among equals.
        matching.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs = own
            .split(|byte| *byte == b';')
            .filter(|pair| pair.contains(&b'='));
        let names: Vec<_> = pairs
            .filter_map(|pair| Some(pair.split(|byte| *byte == b'=').next()?.trim_ascii().to_owned()))
            .collect();
        let mut text = own;
        for cookie in matching {
            let (name, value) = cookie.name_value();
            let separator = if text.is_empty() { "" } else { "; " };
            if names.iter().any(|own| own == name.as_bytes())
                || text.len() + separator.len() + name.len() + 1 + value.len() > self.limits.header_bytes
            {
                continue;
            }
            for part in [separator, name, "=", value] {
                text.extend_from_slice(part.as_bytes());
            }
        }
        (!text.is_empty()).then_some(text)
    }

    pub(super) fn unexpired(&self) -> impl Iterator<Item = &Cookie<'static>> {
        self.cookies.iter().filter(|cookie| !cookie.is_expired())
    }

    pub(super) fn clear(&mut self) {
        self.cookies.clear();
    }

    /// Makes room for the cookie that was added last.
    fn keep_limits(&mut self) {
        let Some(newest) = self.cookies.last().map(|cookie| domain(cookie).to_owned()) else {
            return;
        };
        if self.count(&newest) > self.limits.per_domain || self.cookies.len() > self.limits.total {
            self.cookies.retain(|cookie| !cookie.is_expired());
        }
        if self.count(&newest) > self.limits.per_domain {
            self.remove_oldest(&newest);
        }
        if self.cookies.len() > self.limits.total {
            self.remove_oldest(&self.largest_domain());
        }
    }

    fn count(&self, of: &str) -> usize {
        self.cookies.iter().filter(|cookie| domain(cookie) == of).count()
    }

    fn remove_oldest(&mut self, of: &str) {
        if let Some(place) = self.cookies.iter().position(|cookie| domain(cookie) == of) {
            self.cookies.remove(place);
        }
    }

    /// The domain with the most cookies, the one with the oldest cookie among equals.
    fn largest_domain(&self) -> String {
        let mut counts = std::collections::HashMap::<&str, (usize, usize)>::new();
        for (place, cookie) in self.cookies.iter().enumerate() {
            counts.entry(domain(cookie)).or_insert((0, place)).0 += 1;
        }
        let largest = counts
            .into_iter()
            .max_by_key(|(_, (count, first))| (*count, std::cmp::Reverse(*first)));
        largest.map(|(domain, _)| domain.to_owned()).unwrap_or_default()
    }

    /// Whether a cookie that comes unencrypted would replace or hide a `Secure` one (RFC 6265bis §5.7).
    fn hides_secure(&self, new: &Cookie<'_>) -> bool {
        self.cookies.iter().any(|old| {
            old.secure() == Some(true)
                && old.name() == new.name()
                && !old.is_expired()
                && (is_within(domain(new), domain(old)) || is_within(domain(old), domain(new)))
                && new.path.starts_with(&*old.path)
        })
    }
}

/// The domain or host that a cookie is for.
pub(super) fn domain<'c>(cookie: &'c Cookie<'_>) -> &'c str {
    match &cookie.domain {
        CookieDomain::HostOnly(name) | CookieDomain::Suffix(name) => name,
        CookieDomain::NotPresent | CookieDomain::Empty => "",
    }
}

/// Whether `name` is `domain` or a name in it.
fn is_within(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Whether anybody can have a name under the domain that this cookie was set for: one that is in the public suffix
/// list, or a single word.
fn is_public_suffix(domain: &CookieDomain) -> bool {
    match domain {
        // A name may end in the dot of the root, as that of the server may.
        CookieDomain::Suffix(name) => psl::suffix_str(name) == Some(name.trim_end_matches('.')),
        _ => false,
    }
}

/// Whether `Secure` cookies go there: encrypted, or not beyond this machine.
fn is_secure(url: &Url) -> bool {
    url.scheme() == "https"
        || match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
}

/// RFC 6265bis §4.1.3.
fn keeps_promise_of_prefix(cookie: &Cookie<'_>, url: &Url) -> bool {
    let begins = |prefix: &str| {
        let start = cookie.name().get(..prefix.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    let secure = cookie.secure() == Some(true) && is_secure(url);
    let host_only = matches!(cookie.domain, CookieDomain::HostOnly(_));
    if begins("__Host-") {
        // A path that was given, not the one that the URL happens to have.
        return secure && host_only && RawCookie::path(cookie) == Some("/");
    }
    !begins("__Secure-") || secure
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(url: &str) -> Url {
        Url::parse(url).unwrap()
    }

    fn text(field: Option<Vec<u8>>) -> Option<String> {
        field.map(|field| String::from_utf8(field).unwrap())
    }

    /// What is sent to `to` after `from` has set these cookies.
    fn sent(from: &str, lines: &[&str], to: &str) -> Option<String> {
        let mut jar = Jar::default();
        for line in lines {
            jar.set(&url(from), line).unwrap();
        }
        text(jar.header(&url(to), Vec::new()))
    }

    #[test]
    fn a_cookie_goes_where_it_is_meant_for() {
        const FROM: &str = "https://www.example.org/a/b";
        for (line, to, goes) in [
            ("n=v", "https://www.example.org/a/c", true),
            ("n=v", "https://www.example.org:8443/a/", true),
            ("n=v", "https://www.example.org/", false),
            ("n=v; Path=/", "https://www.example.org/", true),
            ("n=v; Path=/x", "https://www.example.org/xy", false),
            ("n=v; Path=/x", "https://www.example.org/x/y", true),
            ("n=v; Path=/", "https://example.org/", false),
            ("n=v; Path=/", "https://sub.www.example.org/", false),
            ("n=v; Path=/; Domain=example.org", "https://example.org/", true),
            (
                "n=v; Path=/; Domain=.Example.ORG",
                "https://api.example.org/",
                true,
            ),
            (
                "n=v; Path=/; Domain=example.org",
                "https://badexample.org/",
                false,
            ),
            ("n=v; Path=/; Secure", "http://www.example.org/", false),
            ("n=v; Path=/; Secure", "https://www.example.org/", true),
            ("n=v; Path=/", "http://www.example.org/", true),
            ("n=v; Path=/; HttpOnly", "https://www.example.org/", true),
            ("n=v; Path=/; Max-Age=60", "https://www.example.org/", true),
            ("n=v; Path=/; SameSite=Strict", "https://www.example.org/", true),
        ] {
            let want = goes.then(|| "n=v".to_owned());
            assert_eq!(sent(FROM, &[line], to), want, "{line} to {to}");
        }
    }

    #[test]
    fn a_cookie_that_breaks_a_rule_is_not_taken() {
        for (from, line, want) in [
            ("https://a.example.org/", "", CookieError::Syntax),
            ("https://a.example.org/", "no cookie", CookieError::Syntax),
            ("https://a.example.org/", "=v", CookieError::Syntax),
            ("https://a.example.org/", "a\x01=v", CookieError::Syntax),
            ("https://a.example.org/", "a=v\r\nX: y", CookieError::Syntax),
            (
                "https://a.example.org/",
                "a=v; Domain=b.example.org",
                CookieError::Domain,
            ),
            (
                "https://a.example.org/",
                "a=v; Domain=x.a.example.org",
                CookieError::Domain,
            ),
            ("https://192.0.2.1/", "a=v; Domain=2.1", CookieError::Domain),
            (
                "https://a.example.org/",
                "a=v; Domain=org",
                CookieError::PublicSuffix,
            ),
            (
                "https://a.b.co.uk/",
                "a=v; Domain=co.uk",
                CookieError::PublicSuffix,
            ),
            (
                "https://a.github.io/",
                "a=v; Domain=.GitHub.io",
                CookieError::PublicSuffix,
            ),
            (
                "https://a.b.co.uk./",
                "a=v; Domain=co.uk.",
                CookieError::PublicSuffix,
            ),
            (
                "https://a.公司.cn/",
                "a=v; Domain=公司.cn",
                CookieError::PublicSuffix,
            ),
            (
                "https://host.intranet/",
                "a=v; Domain=intranet",
                CookieError::PublicSuffix,
            ),
            ("http://a.example.org/", "a=v; Secure", CookieError::Insecure),
            ("https://a.example.org/", "__Secure-a=v", CookieError::Prefix),
            (
                "https://a.example.org/",
                "__Host-a=v; Secure",
                CookieError::Prefix,
            ),
            (
                "https://a.example.org/",
                "__host-a=v; Path=/",
                CookieError::Prefix,
            ),
            (
                "https://a.example.org/",
                "__Host-a=v; Secure; Path=/; Domain=a.example.org",
                CookieError::Prefix,
            ),
        ] {
            assert_eq!(
                Jar::default().set(&url(from), line),
                Err(want),
                "{line:?} from {from}"
            );
        }
    }

    #[test]
    fn prefixes_that_keep_their_promise_are_taken() {
        let lines = ["__Host-a=1; Secure; Path=/", "__Secure-b=2; Secure; Path=/"];
        let all = sent("https://a.example.org/", &lines, "https://a.example.org/");
        assert_eq!(all.as_deref(), Some("__Host-a=1; __Secure-b=2"));
    }

    #[test]
    fn a_public_suffix_may_set_cookies_for_itself_alone() {
        let lines = ["a=1; Domain=github.io"];
        assert!(sent("https://github.io/", &lines, "https://github.io/").is_some());
        assert!(sent("https://github.io/", &lines, "https://a.github.io/").is_none());
    }

    #[test]
    fn plain_connections_within_the_machine_count_as_secure() {
        for host in ["localhost", "127.0.0.1", "[::1]"] {
            let url = format!("http://{host}:3000/");
            assert_eq!(
                sent(&url, &["a=1; Secure"], &url).as_deref(),
                Some("a=1"),
                "{host}"
            );
        }
    }

    #[test]
    fn an_unencrypted_answer_neither_replaces_nor_hides_a_secure_cookie() {
        let mut jar = Jar::default();
        let secure = url("https://a.example.org/");
        let plain = url("http://a.example.org/");
        jar.set(&secure, "a=secret; Secure; Path=/").unwrap();
        assert_eq!(jar.set(&plain, "a=other; Path=/"), Err(CookieError::Insecure));
        assert_eq!(
            jar.set(&plain, "a=other; Path=/deeper"),
            Err(CookieError::Insecure)
        );
        assert_eq!(
            jar.set(&plain, "a=other; Path=/; Domain=example.org"),
            Err(CookieError::Insecure)
        );
        assert_eq!(
            jar.set(&url("http://example.org/"), "a=other; Path=/; Domain=example.org"),
            Err(CookieError::Insecure)
        );
        assert_eq!(
            jar.set(&url("http://b.example.org/"), "a=other; Path=/"),
            Ok(true)
        );
        assert_eq!(jar.set(&plain, "b=other"), Ok(true));
        assert_eq!(jar.set(&secure, "a=newer; Secure; Path=/"), Ok(true));
    }

    #[test]
    fn no_date_is_too_far_away() {
        let url = "http://example.org/";
        for line in [
            "a=1; Max-Age=99999999999999999999999",
            "a=1; Max-Age=9223372036854775807",
            "a=1; Expires=Fri, 31 Dec 9999 23:59:59 GMT",
            "a=1; Expires=never",
        ] {
            assert_eq!(sent(url, &[line], url).as_deref(), Some("a=1"), "{line}");
        }
    }

    #[test]
    fn longer_paths_come_first_then_earlier_cookies() {
        let lines = ["a=1; Path=/", "b=2; Path=/x/y", "c=3; Path=/", "d=4; Path=/x"];
        let all = sent("http://example.org/", &lines, "http://example.org/x/y/z");
        assert_eq!(all.as_deref(), Some("b=2; d=4; a=1; c=3"));
    }

    #[test]
    fn a_cookie_is_replaced_in_its_place_and_removed_when_it_expires() {
        let mut jar = Jar::default();
        let url = url("http://example.org/");
        for line in ["a=1", "b=2", "a=3"] {
            jar.set(&url, line).unwrap();
        }
        assert_eq!(text(jar.header(&url, Vec::new())).as_deref(), Some("a=3; b=2"));
        for gone in ["a=; Max-Age=0", "b=; Expires=Thu, 01 Jan 1970 00:00:00 GMT"] {
            jar.set(&url, gone).unwrap();
        }
        assert_eq!(jar.cookies, []);
        assert_eq!(jar.set(&url, "never=there; Max-Age=-1"), Ok(false));
        assert_eq!(jar.cookies, []);
    }

    #[test]
    fn a_domain_that_sets_too_many_cookies_loses_its_oldest() {
        let mut jar = Jar::new(CookieLimits {
            per_domain: 3,
            ..CookieLimits::default()
        });
        jar.set(&url("http://other.example/"), "o=1").unwrap();
        for name in ["a", "b", "c", "d", "e"] {
            jar.set(&url("http://greedy.example/"), &format!("{name}=1"))
                .unwrap();
        }
        let header = |host| text(jar.header(&url(host), Vec::new()));
        assert_eq!(header("http://greedy.example/").as_deref(), Some("c=1; d=1; e=1"));
        assert_eq!(header("http://other.example/").as_deref(), Some("o=1"));
    }

    #[test]
    fn when_the_store_is_full_the_largest_domain_pays() {
        let mut jar = Jar::new(CookieLimits {
            total: 4,
            ..CookieLimits::default()
        });
        for (host, name) in [
            ("http://small.example/", "a"),
            ("http://large.example/", "b"),
            ("http://large.example/", "c"),
            ("http://large.example/", "d"),
            ("http://late.example/", "e"),
        ] {
            jar.set(&url(host), &format!("{name}=1")).unwrap();
        }
        let header = |host| text(jar.header(&url(host), Vec::new()));
        assert_eq!(header("http://small.example/").as_deref(), Some("a=1"));
        assert_eq!(header("http://large.example/").as_deref(), Some("c=1; d=1"));
        assert_eq!(header("http://late.example/").as_deref(), Some("e=1"));
    }

    #[test]
    fn the_default_limits_hold_against_a_flood() {
        let limits = CookieLimits::default();
        let mut jar = Jar::default();
        for i in 0..limits.per_domain + 9 {
            jar.set(&url("http://one.example/"), &format!("n{i}=v")).unwrap();
        }
        assert_eq!(jar.cookies.len(), limits.per_domain);
        for i in 0..limits.total {
            let host = url(&format!("http://h{}.example/", i / limits.per_domain));
            jar.set(&host, &format!("n{i}=v")).unwrap();
        }
        assert_eq!(jar.cookies.len(), limits.total);
    }

    #[test]
    fn a_cookie_over_the_limit_is_not_taken() {
        let mut jar = Jar::default();
        let url = url("http://example.org/");
        let line = |length: usize| format!("a={}", "x".repeat(length - 2));
        assert_eq!(jar.set(&url, &line(4097)), Err(CookieError::TooLarge));
        let attributes = format!("a=1; Path=/{}", "x".repeat(4096));
        assert_eq!(jar.set(&url, &attributes), Err(CookieError::TooLarge));
        // Host and path count too.
        assert_eq!(jar.set(&url, &line(4096)), Err(CookieError::TooLarge));
        assert_eq!(jar.set(&url, &line(4000)), Ok(true));
    }

    #[test]
    fn the_field_of_a_request_stays_within_its_limit() {
        let mut jar = Jar::default();
        let url = url("http://example.org/x/");
        jar.set(&url, &format!("big={}; Path=/", "x".repeat(3000)))
            .unwrap();
        for i in 0..3 {
            jar.set(&url, &format!("n{i}={}; Path=/x", "x".repeat(2500)))
                .unwrap();
        }
        jar.set(&url, "little=1; Path=/").unwrap();
        let field = text(jar.header(&url, Vec::new())).unwrap();
        assert!(field.len() <= 8 * 1024);
        assert!(field.contains("n2=") && !field.contains("big=") && field.ends_with("little=1"));
    }
}
