//! `sockeye serve`: the server, its pages, and how it starts, reloads and stops.

mod api;
mod banner;
mod console;
mod dump;
mod echo;
mod health;
mod listen;
mod pages;
mod signals;
mod sse;
mod terms;
mod tls;
mod topics;

use std::ffi::OsString;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use sockeye::OriginPolicy;
use sockeye::server::{
    Address, BoundServer, ConnectionLimits, ConnectionRate, Drain, HandshakeLimits, ProxyProtocol, Route,
    Server, ServerBuilder, TrustedProxies,
};
use tokio::sync::watch;

use crate::config::{self, Resolved, ServeOptions};
use crate::error::Failure;
use crate::log::{self, LevelHandle};
use api::Token;
use banner::Banner;
use echo::Echo;
use health::Phase;
use pages::Site;
use signals::{Signals, Wish};
use terms::{InForce, Terms};
use tls::Tls;

/// Where the options came from, to read them again.
#[derive(Debug)]
struct Source {
    flags: Vec<OsString>,
    file: Option<PathBuf>,
}

/// Serves until it is told to stop.
pub(crate) fn run(flags: Vec<OsString>, file: Option<PathBuf>) -> Result<ExitCode, Failure> {
    let source = Source { flags, file };
    let resolved = config::resolve(&source.flags, source.file.as_deref())?;
    let level = log::start(&resolved.options.log_level, resolved.options.log_format);
    for warning in config::unknown_variables() {
        tracing::warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start: {error}")))?;
    let status = runtime.block_on(serve(resolved, source, level));
    runtime.shutdown_background();
    status
}

async fn serve(resolved: Resolved, source: Source, level: LevelHandle) -> Result<ExitCode, Failure> {
    // Before anything is announced: a signal that comes early must not kill.
    let mut signals = Signals::listen()?;
    let options = &resolved.options;
    let recorder = if options.metrics.is_on() {
        Some(health::record_metrics()?)
    } else {
        None
    };
    let (phase, phases) = watch::channel(Phase::Serving);
    let parts = Parts::new(
        options,
        Site {
            hostname: hostname(),
            phase: phases,
            metrics: recorder,
        },
    )?;
    let bound = listen::listen(options, || parts.server(options)).await?;
    if let Some(address) = options.api_listen {
        api::listen(address, api::router(options, &parts.token, bound.handle())).await?;
    }
    if let Some((workers, driver)) = bound.workers() {
        tracing::info!(workers, %driver, "serving");
    }
    announce(options, &bound, parts.tls.as_ref())?;

    let handle = bound.handle();
    let reloader = Reloader {
        resolved: &resolved,
        source: &source,
        parts: &parts,
        level,
    };
    let mut serving = std::pin::pin!(bound.serve());
    loop {
        tokio::select! {
            _ = &mut serving => {
                return Ok(ExitCode::SUCCESS);
            }
            wish = signals.next() => match wish {
                Wish::Reload => reloader.reload(),
                Wish::Stop if *phase.borrow() == Phase::Serving => {
                    // First, so that who reads the log finds it true.
                    phase.send_replace(Phase::Draining);
                    tracing::info!(connections = handle.connections(), "draining; again to stop at once");
                    handle.shutdown();
                }
                Wish::Stop => {
                    tracing::warn!(connections = handle.connections(), "stopping at once");
                    return Ok(ExitCode::FAILURE);
                }
            },
        }
    }
}

/// Makes everything that the options name, except for listening, and says what is wrong.
pub(crate) fn check(options: &ServeOptions) -> Result<(), Failure> {
    let (_, phase) = watch::channel(Phase::Serving);
    let parts = Parts::new(
        options,
        Site {
            hostname: hostname(),
            phase,
            metrics: None,
        },
    )?;
    listen::check(options, parts.server(options))
}

/// What a server is put together from.
#[derive(Debug)]
struct Parts {
    site: Arc<Site>,
    terms: InForce,
    tls: Option<Tls>,
    /// What opens the API, if there is one.
    token: Option<Token>,
    proxies: TrustedProxies,
    proxy_protocol: Option<ProxyProtocol>,
}

impl Parts {
    fn new(options: &ServeOptions, site: Site) -> Result<Self, Failure> {
        let proxies = TrustedProxies::list(&options.trusted_proxy)
            .map_err(|error| Failure::usage(format!("trusted-proxy: {error}")))?;
        let balancers = TrustedProxies::list(&options.proxy_protocol)
            .map_err(|error| Failure::usage(format!("proxy-protocol: {error}")))?;
        let speak_it = !options.proxy_protocol.is_empty();
        Ok(Self {
            tls: tls::load(options, &site.hostname)?,
            token: Token::read(options.api_token_file.as_deref())?,
            terms: InForce::new(Terms::new(options)?),
            proxies: proxies.header(options.forwarded_header.into()),
            proxy_protocol: speak_it.then(|| ProxyProtocol::required(balancers)),
            site: Arc::new(site),
        })
    }

    /// Everything but where to listen.
    fn server(&self, options: &ServeOptions) -> ServerBuilder {
        let server = self
            .builder(options)
            .trusted_proxies(self.proxies.clone())
            .proxy_protocol(self.proxy_protocol.clone());
        match &self.tls {
            Some(tls) => server.tls(tls.settings.clone()),
            None => server,
        }
    }

    fn builder(&self, options: &ServeOptions) -> ServerBuilder {
        let Self {
            terms, site, token, ..
        } = self;
        let echo = Echo {
            terms: terms.clone(),
            site: Arc::clone(site),
        };
        // The handler checks the origin by the terms in force.
        let route = Route::handler(echo).origins(OriginPolicy::any());
        let server = match options.workers.number() {
            Some(workers) => Server::builder().workers(workers.0),
            None => Server::builder(),
        };
        let api = match options.api_listen {
            Some(_) => axum::Router::new(),
            None => api::router(options, token, server.server_handle()),
        };
        let server = match topics::route(options, terms) {
            Some(topics) => server.route_with(topics::PATH, topics),
            None => server,
        };
        server
            .driver(options.driver.0)
            .pin(options.pin.is_on())
            .hub(topics::hub(options))
            .route_with("/", route.clone())
            .route_with("/{*path}", route)
            .fallback(pages::router(Arc::clone(site), api))
            .connection_limits(ConnectionLimits {
                max_connections: options.max_connections.number().map(|count| count.0),
                max_per_address: options.max_connections_per_address.limit().map(|count| count.0),
                max_half_open: options.max_half_open.limit().map(|count| count.0),
                rate: options.connection_rate.limit().map(|rate| ConnectionRate {
                    per_second: rate.per_second,
                    burst: rate.burst,
                }),
                dry_run: options.limits_dry_run.is_on(),
            })
            .handshake_limits(HandshakeLimits {
                max_head_size: options.max_header_size.0,
                max_headers: options.max_headers,
                timeout: options.handshake_timeout.0,
                tls_timeout: options.tls_timeout.0,
            })
            .drain(Drain {
                notice: options.drain_delay.0,
                spread: options.drain_time.0,
                deadline: options.drain_deadline.0,
                ..Drain::default()
            })
    }
}

/// Prints the banner.
fn announce(options: &ServeOptions, bound: &BoundServer, tls: Option<&Tls>) -> Result<(), Failure> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    let mut unix = None;
    for address in bound.addresses() {
        match address {
            Address::Tcp(address) => addresses.push(address),
            Address::Unix(path) => unix = path,
        }
    }
    let banner = Banner {
        host: options.host.first().map_or("localhost", String::as_str),
        addresses: &addresses,
        unix: unix.as_deref(),
        tls: tls.is_some(),
        fingerprint: tls.and_then(|tls| tls.fingerprint.as_deref()),
        metrics: options.metrics.is_on(),
        workers: bound.workers(),
    };
    let mut out = std::io::stdout().lock();
    write!(out, "{banner}")
        .and_then(|()| out.flush())
        .map_err(|error| Failure::new(format!("cannot write to standard output: {error}")))
}

/// Reads configuration and certificates again.
#[derive(Debug)]
struct Reloader<'a> {
    /// What the server was started with.
    resolved: &'a Resolved,
    source: &'a Source,
    parts: &'a Parts,
    level: LevelHandle,
}

impl Reloader<'_> {
    /// A bad configuration is logged and leaves everything as it was.
    fn reload(&self) {
        match self.try_reload() {
            Ok(restart) if restart.is_empty() => tracing::info!("reloaded configuration and certificates"),
            Ok(restart) => {
                tracing::warn!(
                    "reloaded configuration and certificates, but the change of {} takes effect after a restart",
                    restart.join(", ")
                );
            }
            Err(failure) => tracing::error!("cannot reload, so nothing was changed: {failure}"),
        }
    }

    /// Gives the names of the options that changed and cannot change while the server runs.
    fn try_reload(&self) -> Result<Vec<String>, Failure> {
        let fresh = config::resolve(&self.source.flags, self.source.file.as_deref())?;
        let terms = Terms::new(&fresh.options)?;
        if let Some(tls) = &self.parts.tls {
            tls.settings
                .reload()
                .map_err(|error| Failure::new(format!("TLS: {error}")))?;
        }
        self.parts.terms.replace(terms);
        self.level.set(&fresh.options.log_level);
        let mut changed = fresh.changed_since(self.resolved);
        changed.retain(|name| !terms::RELOADED.contains(&name.as_str()));
        Ok(changed)
    }
}

/// The name of this machine, as greetings and certificates give it.
fn hostname() -> String {
    gethostname::gethostname().to_string_lossy().into_owned()
}
