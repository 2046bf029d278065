//! From an accepted handshake to a running WebSocket: what the server and the hyper and axum glue have in common.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use http::HeaderMap;
use sockeye_proto::deflate::{Compressor, Decompressor, Deflate, Pool};
use sockeye_proto::handshake::server::{Acceptance, Rejection};
use sockeye_proto::{Config, Connection, Role, Subprotocol};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::SetOnce;

#[cfg(engine)]
use crate::hub::Hub;
use crate::metrics::SessionMetrics;
use crate::opening::Opening;
use crate::session::Driver;
use crate::spread::next_share;
use crate::websocket::Agreement;
use crate::{Origin, OriginPolicy, QueueLimits, WeakSender, WebSocket};

/// How a WebSocket behaves.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) config: Arc<Config>,
    pub(crate) queues: QueueLimits,
    /// `None`: no compression.
    pub(crate) compression: Option<Deflate>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            config: Arc::new(Config::server()),
            queues: QueueLimits::default(),
            compression: None,
        }
    }
}

impl Settings {
    /// Begins the protocol of a WebSocket on these terms. `share` is the part of the jitter that its lifetime loses.
    pub(crate) fn connection(
        &self,
        deflate: Option<(Compressor, Decompressor)>,
        share: f64,
        now: Instant,
    ) -> Connection {
        let mut connection = Connection::server(Arc::clone(&self.config), deflate, now);
        connection.shorten_lifetime(share);
        connection
    }

    /// The name of a limit that is zero, with which no connection could live.
    pub(crate) fn zero(&self) -> Option<&'static str> {
        let (config, queues) = (&self.config, &self.queues);
        [
            ("max_message_size", config.max_message_size == 0),
            ("max_frame_size", config.max_frame_size == 0),
            ("max_fragments", config.max_fragments == 0),
            ("max_control_rate", config.max_control_rate == 0),
            (
                "message_timeout",
                config.message_timeout.is_some_and(|time| time.is_zero()),
            ),
            ("close_timeout", config.close_timeout.is_zero()),
            (
                "idle_timeout",
                config.idle_timeout.is_some_and(|time| time.is_zero()),
            ),
            (
                "max_lifetime",
                config.max_lifetime.is_some_and(|time| time.is_zero()),
            ),
            (
                "keepalive.interval",
                config.keepalive.is_some_and(|alive| alive.interval.is_zero()),
            ),
            (
                "keepalive.timeout",
                config.keepalive.is_some_and(|alive| alive.timeout.is_zero()),
            ),
            ("queues.receive", queues.receive == 0),
            ("queues.send", queues.send == 0),
            ("queues.write_timeout", queues.write_timeout.is_zero()),
        ]
        .into_iter()
        .find_map(|(name, is_zero)| is_zero.then_some(name))
    }
}

/// What a narrower scope changes of the settings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overrides {
    pub(crate) config: Option<Arc<Config>>,
    pub(crate) queues: Option<QueueLimits>,
    pub(crate) compression: Option<Option<Deflate>>,
}

impl Overrides {
    /// This, with what another one changes besides or differently.
    #[cfg(engine)]
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            config: other.config.or(self.config),
            queues: other.queues.or(self.queues),
            compression: other.compression.or(self.compression),
        }
    }

    pub(crate) fn apply(&self, base: &Settings) -> Settings {
        Settings {
            config: self.config.clone().unwrap_or_else(|| Arc::clone(&base.config)),
            queues: self.queues.clone().unwrap_or_else(|| base.queues.clone()),
            compression: self
                .compression
                .clone()
                .unwrap_or_else(|| base.compression.clone()),
        }
    }
}

/// The client's first offer that is spoken here.
pub(crate) fn choose_subprotocol<'o>(offered: &'o [Subprotocol], spoken: &[String]) -> Option<&'o str> {
    let is_spoken = |offer: &&Subprotocol| spoken.iter().any(|name| **offer == **name);
    offered.iter().find(is_spoken).map(|offer| offer.as_str())
}

/// What the WebSockets of one server share.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    metrics: Arc<SessionMetrics>,
    pool: Arc<Pool>,
    /// Where their topics are.
    #[cfg(engine)]
    hub: Option<Arc<Hub>>,
}

impl Context {
    pub(crate) fn new() -> Self {
        Self {
            metrics: Arc::new(SessionMetrics::new()),
            pool: Arc::default(),
            #[cfg(engine)]
            hub: None,
        }
    }

    /// The same, with topics.
    #[cfg(engine)]
    pub(crate) fn with_hub(self, hub: Arc<Hub>) -> Self {
        Self {
            hub: Some(hub),
            ..self
        }
    }

    /// Where there is no server to belong to, metrics and compression pool are the process's.
    pub(crate) fn of_process() -> &'static Self {
        static CONTEXT: OnceLock<Context> = OnceLock::new();
        CONTEXT.get_or_init(Self::new)
    }

    pub(crate) fn metrics(&self) -> Arc<SessionMetrics> {
        Arc::clone(&self.metrics)
    }
}

/// Whether the page that asks may connect to this host, whatever the scheme: it is not known here whether the client's
/// connection is under TLS.
pub(crate) fn check_origin(policy: &OriginPolicy, headers: &HeaderMap, host: &str) -> Result<(), Rejection> {
    let verdict =
        ["https", "http"].map(|scheme| policy.check(headers, Origin::of_request(scheme, host).ok().as_ref()));
    match verdict {
        [Err(refusal), Err(_)] => {
            tracing::debug!(%refusal, host, "origin refused");
            Err(Rejection::forbidden(format!(
                "This page may not connect here: {refusal}."
            )))
        }
        _ => Ok(()),
    }
}

/// The answer to a client when the application asked for what cannot be.
pub(crate) fn mistake(what: &dyn fmt::Display) -> Rejection {
    tracing::error!(mistake = %what, "a WebSocket cannot be accepted on these terms");
    Rejection::internal_error("The server made a mistake; its log says which.")
}

/// Where a [`Server`](crate::Server) learns of the WebSocket that its fallback made of a connection. It travels with
/// each request as an extension.
#[derive(Clone, Debug, Default)]
pub(crate) struct Adoption {
    websocket: Arc<SetOnce<WeakSender>>,
    /// Where the topics of the server are.
    #[cfg(all(feature = "hyper", engine))]
    hub: Option<Arc<Hub>>,
}

impl Adoption {
    /// One into a server with topics.
    #[cfg(all(feature = "hyper", engine))]
    pub(crate) fn with_hub(hub: Arc<Hub>) -> Self {
        Self {
            hub: Some(hub),
            ..Self::default()
        }
    }

    /// Where the topics of the server are.
    #[cfg(all(feature = "hyper", engine))]
    pub(crate) fn hub(&self) -> Option<Arc<Hub>> {
        self.hub.clone()
    }

    /// Tells the server of the WebSocket.
    #[cfg(feature = "hyper")]
    pub(crate) fn adopt(&self, websocket: WeakSender) {
        // A connection is upgraded once, so there is none yet.
        let _ = self.websocket.set(websocket);
    }

    /// Waits for a WebSocket, for ever if there is never one.
    #[cfg(feature = "server")]
    pub(crate) async fn adopted(&self) -> WeakSender {
        self.websocket.wait().await.clone()
    }
}

/// A WebSocket that was agreed on and whose transport is not there yet.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) settings: Settings,
    pub(crate) deflate: Option<(Compressor, Decompressor)>,
    pub(crate) agreement: Agreement,
    metrics: Arc<SessionMetrics>,
}

impl Accepted {
    /// What was agreed on by this response.
    pub(crate) fn new(
        acceptance: &Acceptance<'_>,
        settings: Settings,
        data: http::Extensions,
        context: &Context,
    ) -> Self {
        let negotiated = acceptance.negotiated();
        let deflate = negotiated
            .deflate
            .zip(settings.compression.as_ref())
            .map(|(parameters, options)| {
                let pool = || Arc::clone(&context.pool);
                (
                    Compressor::new(Role::Server, parameters, options, pool()),
                    Decompressor::new(Role::Server, parameters, pool()),
                )
            });
        let extensions = acceptance
            .response()
            .headers()
            .get(http::header::SEC_WEBSOCKET_EXTENSIONS)
            .cloned();
        let agreement = Agreement {
            subprotocol: negotiated.subprotocol.map(|name| name.to_string()),
            extensions: extensions
                .and_then(|value| value.to_str().map(str::to_owned).ok())
                .unwrap_or_default(),
            data,
            #[cfg(engine)]
            hub: context.hub.clone(),
        };
        Self {
            settings,
            deflate,
            agreement,
            metrics: Arc::clone(&context.metrics),
        }
    }

    /// With these topics, if any.
    #[cfg(engine)]
    pub(crate) fn with_hub(mut self, hub: Option<Arc<Hub>>) -> Self {
        self.agreement.hub = hub;
        self
    }

    pub(crate) fn agreement(&self) -> &Agreement {
        &self.agreement
    }

    /// Starts the protocol on its transport. `leftover` is what the client sent behind its request.
    pub(crate) fn open<IO>(self, io: IO, leftover: &[u8]) -> (WebSocket, Driver<IO>)
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let now = tokio::time::Instant::now().into_std();
        Opening {
            connection: self.settings.connection(self.deflate, next_share(), now),
            agreement: self.agreement,
            limits: self.settings.queues,
            metrics: self.metrics,
            leftover: leftover.to_vec(),
        }
        .start(io)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn defaults_have_no_zero() {
        assert_eq!(Settings::default().zero(), None);
    }

    #[test]
    fn a_limit_of_zero_is_named() {
        let with = |config: Config| Settings {
            config: Arc::new(config),
            ..Settings::default()
        };
        for (settings, name) in [
            (
                with(Config {
                    max_message_size: 0,
                    ..Config::server()
                }),
                "max_message_size",
            ),
            (
                with(Config {
                    max_fragments: 0,
                    ..Config::server()
                }),
                "max_fragments",
            ),
            (
                with(Config {
                    close_timeout: Duration::ZERO,
                    ..Config::server()
                }),
                "close_timeout",
            ),
            (
                Settings {
                    queues: QueueLimits {
                        send: 0,
                        ..QueueLimits::default()
                    },
                    ..Settings::default()
                },
                "queues.send",
            ),
        ] {
            assert_eq!(settings.zero(), Some(name));
        }
    }

    #[test]
    fn overrides_replace_only_what_they_name() {
        let base = Settings {
            compression: Some(Deflate::default()),
            ..Settings::default()
        };
        let limits = Config {
            max_message_size: 9,
            ..Config::server()
        };
        let overrides = Overrides {
            config: Some(Arc::new(limits)),
            ..Overrides::default()
        };
        let settings = overrides.apply(&base);
        assert_eq!(settings.config.max_message_size, 9);
        assert_eq!(settings.compression, base.compression);
        let without = Overrides {
            compression: Some(None),
            ..Overrides::default()
        };
        assert_eq!(without.apply(&base).compression, None);
    }
}
