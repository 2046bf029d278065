//! Which handler a WebSocket request is for: by its path and by the subprotocols it offers.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Routes by path and subprotocol. Paths are patterns: `/chat`, `/rooms/{room}`, `/files/{*path}`; a static
/// segment beats a parameter, a parameter beats a wildcard.
#[derive(Clone, Debug)]
pub(super) struct Router<T> {
    tree: matchit::Router<usize>,
    paths: Vec<Path<T>>,
}

#[derive(Clone, Debug)]
struct Path<T> {
    pattern: String,
    entries: Vec<Entry<T>>,
    /// The pattern by itself, to ask whether it fits a path for which another one is better.
    alone: matchit::Router<()>,
}

#[derive(Clone, Debug)]
struct Entry<T> {
    protocol: ForProtocol,
    value: T,
}

/// Which of the clients of a path a route is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ForProtocol {
    /// All that no other route of the path takes.
    #[default]
    Any,
    /// Those that offer no subprotocol.
    Absent,
    /// Those that offer this subprotocol, which is then the one agreed on.
    Named(String),
}

/// The path a request asked for, taken apart by the route's pattern.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(Vec<(String, String)>);

impl Params {
    pub(super) const fn none() -> Self {
        Self(Vec::new())
    }

    /// The percent-decoded value of `{name}` or `{*name}` in the route's pattern.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// All parameters, in the order of the pattern.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// A route found for a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Match<'r, T> {
    pub(super) value: &'r T,
    pub(super) params: Params,
    /// The subprotocol that the route was chosen by.
    pub(super) protocol: Option<&'r str>,
}

/// Why no route was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoMatch {
    /// No pattern fits the path.
    Path,
    /// The path has routes, but none for the subprotocols offered.
    Protocol,
    /// The path's percent-encoding is broken or hides bytes that are not UTF-8.
    Encoding,
}

/// A route that cannot be added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouteError {
    /// The path cannot be the path of a request.
    #[error(
        "route `{0}`: a path begins with `/` and holds no spaces, `?`, `#` or bytes beyond ASCII; \
         write those percent-encoded"
    )]
    BadPath(String),
    /// The pattern's parameters are malformed.
    #[error("route `{path}`: {reason}")]
    BadPattern {
        /// The pattern.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Another pattern fits the same paths with the same priority.
    #[error("route `{path}` conflicts with route `{with}`")]
    Conflict {
        /// The pattern.
        path: String,
        /// The one that was there first.
        with: String,
    },
    /// The path has a route for the same subprotocol already.
    #[error("route `{path}` is there twice for the same subprotocol")]
    Duplicate {
        /// The pattern.
        path: String,
    },
}

impl<T> Router<T> {
    pub(super) fn new() -> Self {
        Self {
            tree: matchit::Router::new(),
            paths: Vec::new(),
        }
    }

    /// Whether it has no routes.
    pub(super) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Adds a route.
    pub(super) fn insert(&mut self, path: &str, protocol: ForProtocol, value: T) -> Result<(), RouteError> {
        let path_bytes_fit = path
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'?' && byte != b'#');
        if !path.starts_with('/') || !path_bytes_fit {
            return Err(RouteError::BadPath(path.to_owned()));
        }
        let entry = Entry { protocol, value };
        if let Some(Path { entries, .. }) = self.paths.iter_mut().find(|known| known.pattern == path) {
            if entries.iter().any(|other| other.protocol == entry.protocol) {
                return Err(RouteError::Duplicate {
                    path: path.to_owned(),
                });
            }
            entries.push(entry);
            return Ok(());
        }
        self.tree
            .insert(path, self.paths.len())
            .map_err(|error| match error {
                matchit::InsertError::Conflict { with } => RouteError::Conflict {
                    path: path.to_owned(),
                    with,
                },
                other => RouteError::BadPattern {
                    path: path.to_owned(),
                    reason: other.to_string(),
                },
            })?;
        let mut alone = matchit::Router::new();
        alone.insert(path, ()).map_err(|error| RouteError::BadPattern {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        self.paths.push(Path {
            pattern: path.to_owned(),
            entries: vec![entry],
            alone,
        });
        Ok(())
    }

    /// The routes without this one; `None` if it is not there.
    pub(super) fn without(&self, path: &str, protocol: &ForProtocol) -> Option<Self>
    where
        T: Clone,
    {
        let mut found = false;
        let mut router = Self::new();
        for Path { pattern, entries, .. } in &self.paths {
            for entry in entries {
                if pattern == path && entry.protocol == *protocol {
                    found = true;
                } else {
                    let Entry { protocol, value } = entry.clone();
                    // They stood together before.
                    router.insert(pattern, protocol, value).ok()?;
                }
            }
        }
        found.then_some(router)
    }

    /// Whether any route has this path, whatever its subprotocol.
    pub(super) fn has_path(&self, path: &str) -> bool {
        self.tree.at(path).is_ok()
    }

    /// Finds the route for a path as it stands in the request, still percent-encoded, and the subprotocols
    /// offered, best first. `passed` of the routes that fit were asked before, and passed the request on.
    pub(super) fn find<P: AsRef<str>>(
        &self,
        path: &str,
        offered: &[P],
        passed: usize,
    ) -> Result<Match<'_, T>, NoMatch> {
        let best = self.tree.at(path).map_err(|_| NoMatch::Path)?;
        let best = (*best.value, best.params);
        if let Some(entry) = fitting(&self.paths[best.0].entries, offered).nth(passed) {
            return entry.matched(&best.1);
        }
        if passed == 0 {
            // The path is spoken for, by routes for other subprotocols.
            return Err(NoMatch::Protocol);
        }
        // Rare: nobody passes requests on without need, and most paths have one pattern.
        let mut worse: Vec<_> = self
            .paths
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != best.0)
            .collect();
        worse.sort_by_cached_key(|(_, worse)| rank(&worse.pattern));
        let mut passed = passed - fitting(&self.paths[best.0].entries, offered).count();
        for (_, Path { entries, alone, .. }) in worse {
            let Ok(found) = alone.at(path) else { continue };
            match fitting(entries, offered).nth(passed) {
                Some(entry) => return entry.matched(&found.params),
                None => passed -= fitting(entries, offered).count(),
            }
        }
        Err(NoMatch::Protocol)
    }

    /// How many routes fit.
    pub(super) fn count<P: AsRef<str>>(&self, path: &str, offered: &[P]) -> usize {
        let fit = self.paths.iter().filter(|known| known.alone.at(path).is_ok());
        fit.map(|known| fitting(&known.entries, offered).count()).sum()
    }
}

impl<T> Default for Router<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Entry<T> {
    fn matched(&self, params: &matchit::Params<'_, '_>) -> Result<Match<'_, T>, NoMatch> {
        let params = params
            .iter()
            .map(|(name, value)| Some((name.to_owned(), decode(value)?.into_owned())))
            .collect::<Option<_>>()
            .ok_or(NoMatch::Encoding)?;
        let protocol = match &self.protocol {
            ForProtocol::Named(name) => Some(name.as_str()),
            ForProtocol::Any | ForProtocol::Absent => None,
        };
        Ok(Match {
            value: &self.value,
            params: Params(params),
            protocol,
        })
    }
}

/// The routes for these offers: those that name one, in the client's order; or that for clients that offer
/// none; then that for all.
fn fitting<'r, 'o, T, P: AsRef<str>>(
    entries: &'r [Entry<T>],
    offered: &'o [P],
) -> impl Iterator<Item = &'r Entry<T>> + use<'r, 'o, T, P> {
    let with = |protocol: ForProtocol| entries.iter().filter(move |entry| entry.protocol == protocol);
    let named = move |offer: &'o P| {
        let names = move |entry: &&Entry<T>| match &entry.protocol {
            ForProtocol::Named(name) => name == offer.as_ref(),
            ForProtocol::Absent | ForProtocol::Any => false,
        };
        entries.iter().filter(names)
    };
    let absent = offered.is_empty().then(|| with(ForProtocol::Absent));
    let absent = absent.into_iter().flatten();
    offered
        .iter()
        .flat_map(named)
        .chain(absent)
        .chain(with(ForProtocol::Any))
}

/// Sorts patterns that fit the same path, best first.
fn rank(pattern: &str) -> Vec<u8> {
    let of_segment = |segment: &str| match segment {
        segment if segment.contains("{*") => 2,
        segment if segment.contains('{') => 1,
        _ => 0,
    };
    pattern.split('/').map(of_segment).collect()
}

/// Percent-decodes; `None` when an escape is broken or the bytes are not UTF-8.
fn decode(text: &str) -> Option<Cow<'_, str>> {
    let bytes = text.as_bytes();
    let broken = bytes.iter().enumerate().any(|(at, &byte)| {
        let is_hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
        byte == b'%' && !(is_hex(at + 1) && is_hex(at + 2))
    });
    if broken {
        return None;
    }
    percent_decode_str(text).decode_utf8().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [&str; 0] = [];

    fn router(paths: &[&'static str]) -> Router<&'static str> {
        let mut router = Router::new();
        for path in paths {
            router.insert(path, ForProtocol::Any, *path).unwrap();
        }
        router
    }

    #[test]
    fn static_beats_parameter_beats_wildcard() {
        let router = router(&[
            "/",
            "/chat",
            "/rooms/all",
            "/rooms/{room}",
            "/rooms/{room}/log",
            "/{*rest}",
        ]);
        for (path, expected) in [
            ("/", Ok("/")),
            ("/chat", Ok("/chat")),
            ("/rooms/all", Ok("/rooms/all")),
            ("/rooms/42", Ok("/rooms/{room}")),
            ("/rooms/42/log", Ok("/rooms/{room}/log")),
            ("/rooms/42/other", Ok("/{*rest}")),
            ("/chat/", Ok("/{*rest}")),
            ("/CHAT", Ok("/{*rest}")),
        ] {
            assert_eq!(
                router.find(path, &NONE, 0).map(|found| *found.value),
                expected,
                "{path}"
            );
        }
    }

    #[test]
    fn unknown_path_is_no_match() {
        let router = router(&["/chat", "/rooms/{room}"]);
        for path in ["/", "/chats", "/chat/1", "/rooms", "/rooms/", "", "*"] {
            assert_eq!(router.find(path, &NONE, 0), Err(NoMatch::Path), "{path}");
        }
    }

    #[test]
    fn parameters_are_percent_decoded() {
        let router = router(&["/rooms/{room}/{user}", "/files/{*path}"]);
        let found = router.find("/rooms/caf%C3%A9%20%2F/a+b", &NONE, 0).unwrap();
        assert_eq!(found.params.get("room"), Some("café /"));
        assert_eq!(found.params.get("user"), Some("a+b"));
        assert_eq!(found.params.get("other"), None);
        let found = router.find("/files/a/b%2e/c", &NONE, 0).unwrap();
        assert_eq!(found.params.iter().collect::<Vec<_>>(), [("path", "a/b./c")]);
    }

    #[test]
    fn broken_escapes_are_no_match() {
        let router = router(&["/rooms/{room}"]);
        for path in [
            "/rooms/%",
            "/rooms/%4",
            "/rooms/%zz",
            "/rooms/%ff",
            "/rooms/a%C3",
            "/rooms/%%41",
        ] {
            assert_eq!(router.find(path, &NONE, 0), Err(NoMatch::Encoding), "{path}");
        }
    }

    #[test]
    fn subprotocol_selects_the_route() {
        let mut router = Router::new();
        router
            .insert("/a", ForProtocol::Named("chat".into()), "chat")
            .unwrap();
        router
            .insert("/a", ForProtocol::Named("Chat".into()), "Chat")
            .unwrap();
        router.insert("/a", ForProtocol::Absent, "absent").unwrap();
        router.insert("/a", ForProtocol::Any, "any").unwrap();
        router
            .insert("/b", ForProtocol::Named("chat".into()), "chat")
            .unwrap();
        router.insert("/c", ForProtocol::Absent, "absent").unwrap();
        for (path, offered, expected) in [
            ("/a", &["chat"][..], Ok(("chat", Some("chat")))),
            ("/a", &["other", "chat"], Ok(("chat", Some("chat")))),
            ("/a", &["Chat", "chat"], Ok(("Chat", Some("Chat")))),
            ("/a", &["other"], Ok(("any", None))),
            ("/a", &[], Ok(("absent", None))),
            ("/b", &["CHAT"], Err(NoMatch::Protocol)),
            ("/b", &[], Err(NoMatch::Protocol)),
            ("/c", &["chat"], Err(NoMatch::Protocol)),
        ] {
            let found = router
                .find(path, offered, 0)
                .map(|found| (*found.value, found.protocol));
            assert_eq!(found, expected, "{path} {offered:?}");
        }
        assert!(router.has_path("/b"));
    }

    #[test]
    fn a_request_that_is_passed_on_meets_all_that_fit_best_first() {
        let mut router = router(&["/{room}/{user}", "/a/{user}", "/a/b", "/{room}/b", "/other"]);
        router
            .insert("/a/{user}", ForProtocol::Named("chat".into()), "chat")
            .unwrap();
        router.insert("/a/b", ForProtocol::Absent, "absent").unwrap();
        let met = |offered: &[&str]| -> Vec<_> {
            let found = (0..).map(|passed| router.find("/a/b", offered, passed));
            let found = found.take_while(|found| *found != Err(NoMatch::Protocol));
            found.map(|found| *found.unwrap().value).collect()
        };
        let others = ["/a/{user}", "/{room}/b", "/{room}/{user}"];
        assert_eq!(met(&["chat"])[..2], ["/a/b", "chat"]);
        assert_eq!(met(&["chat"])[2..], others);
        assert_eq!(met(&[])[..2], ["absent", "/a/b"]);
        assert_eq!(met(&[])[2..], others);
        let second = router.find("/a/b", &NONE, 2).unwrap();
        assert_eq!(second.params.get("user"), Some("b"));
    }

    #[test]
    fn a_route_that_is_taken_away_leaves_the_others() {
        let mut before = router(&["/x/a", "/x/{b}", "/{*rest}"]);
        before
            .insert("/x/a", ForProtocol::Named("chat".into()), "chat")
            .unwrap();
        assert!(before.without("/c", &ForProtocol::Any).is_none());
        assert!(before.without("/x/a", &ForProtocol::Absent).is_none());
        let found = |router: &Router<&'static str>, offered: &[&str]| {
            router.find("/x/a", offered, 0).map(|found| *found.value)
        };

        let after = before.without("/x/a", &ForProtocol::Any).unwrap();
        assert_eq!(found(&after, &["chat"]), Ok("chat"));
        assert_eq!(found(&after, &[]), Err(NoMatch::Protocol));
        let after = after.without("/x/a", &ForProtocol::Named("chat".into())).unwrap();
        assert_eq!(found(&after, &["chat"]), Ok("/x/{b}"));
        let mut after = after.without("/x/{b}", &ForProtocol::Any).unwrap();
        assert_eq!(found(&after, &[]), Ok("/{*rest}"));
        // Its place is free again.
        after.insert("/x/{c}", ForProtocol::Any, "/x/{c}").unwrap();
        assert_eq!(found(&after, &[]), Ok("/x/{c}"));
        assert_eq!(found(&before, &[]), Ok("/x/a"));
    }

    #[test]
    fn routes_that_cannot_stand_together_are_errors() {
        let mut router = router(&["/rooms/{room}", "/files/{*path}"]);
        for path in ["/rooms/{id}", "/files/{*other}"] {
            let error = router.insert(path, ForProtocol::Any, path).unwrap_err();
            assert!(matches!(error, RouteError::Conflict { .. }), "{path}: {error}");
        }
        let error = router
            .insert("/rooms/{room}", ForProtocol::Any, "again")
            .unwrap_err();
        assert!(matches!(error, RouteError::Duplicate { .. }));
        for path in ["", "chat", "/a b", "/a?b", "/a#b", "/café"] {
            let error = router.insert(path, ForProtocol::Any, path).unwrap_err();
            assert!(matches!(error, RouteError::BadPath(_)), "{path}: {error}");
        }
        for path in ["/{", "/{}", "/{*}", "/{*a}/b", "/}", "/{a}{b}"] {
            let error = router.insert(path, ForProtocol::Any, path).unwrap_err();
            assert!(matches!(error, RouteError::BadPattern { .. }), "{path}: {error}");
        }
    }
}
