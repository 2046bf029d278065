//! What new connections are accepted on: the part of the options that can change while the server runs.

use std::sync::{Arc, PoisonError, RwLock};

use sockeye::proto::deflate::{Deflate, Level, WindowBits};
use sockeye::server::{Accept, Rejection, UpgradeRequest};
use sockeye::{Config, Keepalive, Origin, OriginPolicy, QueueLimits};

use crate::config::ServeOptions;
use crate::config::values::OriginRule;
use crate::error::Failure;

/// The options that [`Terms`] are made of, and the level of the log: what a reload can change.
pub(super) const RELOADED: &[&str] = &[
    "compression",
    "compression-level",
    "compression-threshold",
    "compression-context-takeover",
    "compression-window-bits",
    "max-message-size",
    "max-frame-size",
    "max-fragments",
    "max-control-rate",
    "receive-queue-size",
    "queue-size",
    "origin",
    "subprotocol",
    "message-timeout",
    "write-timeout",
    "close-timeout",
    "ping-interval",
    "ping-timeout",
    "idle-timeout",
    "max-lifetime",
    "greeting",
    "log-level",
];

/// The terms for one connection.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Terms {
    /// Shared with the connections that were accepted on them.
    config: Arc<Config>,
    queues: QueueLimits,
    compression: Option<Deflate>,
    origins: OriginPolicy,
    subprotocols: Vec<String>,
    /// Whether the server names itself in the first message.
    pub(super) greeting: bool,
}

impl Terms {
    pub(super) fn new(options: &ServeOptions) -> Result<Self, Failure> {
        Ok(Self {
            config: Arc::new(config(options)),
            queues: QueueLimits {
                receive: options.receive_queue_size.0,
                send: options.queue_size.0,
                write_timeout: options.write_timeout.0,
                ..QueueLimits::default()
            },
            compression: options.compression.is_on().then(|| compression(options)),
            origins: origins(&options.origin)?,
            subprotocols: options.subprotocol.clone(),
            greeting: options.greeting.is_on(),
        })
    }

    /// Why this page may not connect.
    fn refuse(&self, request: &UpgradeRequest) -> Option<Rejection> {
        let scheme = if request.is_secure() { "https" } else { "http" };
        let own = Origin::of_request(scheme, request.host()).ok();
        let refusal = self.origins.check(request.headers(), own.as_ref()).err()?;
        Some(Rejection::forbidden(format!(
            "{refusal}; the server's option --origin lists who may connect\n"
        )))
    }

    fn accept(&self, request: &UpgradeRequest) -> Accept {
        let accept = Accept::new()
            .limits(Arc::clone(&self.config))
            .queues(self.queues.clone())
            .compression(self.compression.clone());
        let offered = request.subprotocols().iter().map(|name| name.as_str());
        match choose(&self.subprotocols, offered) {
            Some(name) => accept.subprotocol(name),
            None => accept.without_subprotocol(),
        }
    }
}

/// The subprotocol that we want most of those offered. Without a wish of ours it is the client's first: a
/// browser fails a connection that agrees on none of the subprotocols it asked for.
fn choose<'a>(wanted: &'a [String], mut offered: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    if wanted.is_empty() {
        return offered.next();
    }
    wanted
        .iter()
        .map(String::as_str)
        .find(|name| offered.clone().any(|other| other == *name))
}

fn config(options: &ServeOptions) -> Config {
    Config {
        max_message_size: options.max_message_size.0 as u64,
        max_frame_size: options
            .max_frame_size
            .limit()
            .map_or(u64::MAX, |size| size.0 as u64),
        max_fragments: options.max_fragments,
        max_control_rate: options.max_control_rate,
        keepalive: options.ping_interval.duration().map(|interval| Keepalive {
            interval,
            timeout: options.ping_timeout.0,
        }),
        message_timeout: options.message_timeout.duration(),
        close_timeout: options.close_timeout.0,
        idle_timeout: options.idle_timeout.duration(),
        max_lifetime: options.max_lifetime.duration(),
        ..Config::server()
    }
}

fn compression(options: &ServeOptions) -> Deflate {
    let window = WindowBits::new(options.compression_window_bits).unwrap_or_default();
    let forget = !options.compression_context_takeover.is_on();
    Deflate {
        level: Level::new(options.compression_level).unwrap_or_default(),
        threshold: options.compression_threshold.0,
        server_no_context_takeover: forget,
        client_no_context_takeover: forget,
        server_max_window_bits: window,
        client_max_window_bits: window,
        ..Deflate::default()
    }
}

fn origins(rules: &[OriginRule]) -> Result<OriginPolicy, Failure> {
    if rules.contains(&OriginRule::Any) {
        return Ok(OriginPolicy::any());
    }
    let listed = rules.iter().filter_map(|rule| match rule {
        OriginRule::Exact(origin) => Some(origin),
        OriginRule::Any | OriginRule::SameOrigin => None,
    });
    let policy = OriginPolicy::list(listed).map_err(|error| Failure::usage(format!("origin: {error}")))?;
    Ok(if rules.contains(&OriginRule::SameOrigin) {
        policy.or_same_origin()
    } else {
        policy
    })
}

/// The terms in force, shared by all connections.
#[derive(Debug, Clone)]
pub(super) struct InForce(Arc<RwLock<Arc<Terms>>>);

impl InForce {
    pub(super) fn new(terms: Terms) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(terms))))
    }

    pub(super) fn now(&self) -> Arc<Terms> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on; connections that exist keep theirs.
    pub(super) fn replace(&self, terms: Terms) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(terms);
    }

    /// What is said to this request.
    pub(super) fn decide(&self, request: &UpgradeRequest) -> Result<Accept, Rejection> {
        let terms = self.now();
        match terms.refuse(request) {
            Some(rejection) => Err(rejection),
            None => Ok(terms.accept(request)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(flags: &[&str]) -> Terms {
        let flags: Vec<_> = flags.iter().map(Into::into).collect();
        Terms::new(&crate::config::resolve(&flags, None).unwrap().options).unwrap()
    }

    #[test]
    fn the_defaults_are_those_of_the_library() {
        let terms = terms(&[]);
        assert_eq!(*terms.config, Config::server());
        assert_eq!(terms.queues, QueueLimits::default());
        assert_eq!(terms.compression, None);
        assert_eq!(terms.origins, OriginPolicy::same_origin());
    }

    #[test]
    fn compression_is_the_librarys_default_when_it_is_on() {
        assert_eq!(terms(&["--compression"]).compression, Some(Deflate::default()));
    }

    #[test]
    fn every_option_that_is_reloaded_exists() {
        for name in RELOADED {
            assert!(crate::config::is_option(name), "{name}");
        }
    }

    #[test]
    fn the_server_prefers_the_first_subprotocol_of_its_own_list() {
        let wanted = ["b".to_owned(), "a".to_owned()];
        assert_eq!(choose(&wanted, ["a", "b"].into_iter()), Some("b"));
        assert_eq!(choose(&wanted, ["c"].into_iter()), None);
        assert_eq!(choose(&[], ["c", "d"].into_iter()), Some("c"));
        assert_eq!(choose(&[], [].into_iter()), None);
    }
}
