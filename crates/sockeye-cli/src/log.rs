//! The log: lines on standard error, as text or JSON, with a level that can change while it runs.

use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::config::values::LogFormat;

/// Changes the level of the running log.
#[derive(Debug, Clone)]
pub(crate) struct LevelHandle(reload::Handle<EnvFilter, Registry>);

impl LevelHandle {
    /// Takes a filter that [`parse_filter`](crate::config::values::parse_filter) has checked.
    pub(crate) fn set(&self, level: &str) {
        if let Err(error) = self.0.reload(EnvFilter::new(level)) {
            tracing::warn!(%error, "the log level stays as it was");
        }
    }
}

/// Starts the log of this process.
pub(crate) fn start(level: &str, format: LogFormat) -> LevelHandle {
    let (filter, handle) = reload::Layer::new(EnvFilter::new(level));
    let registry = tracing_subscriber::registry().with(filter);
    let lines = fmt::layer().with_writer(std::io::stderr);
    match format {
        LogFormat::Text => registry
            .with(lines.with_ansi(std::io::stderr().is_terminal()))
            .init(),
        LogFormat::Json => registry.with(lines.json()).init(),
    }
    LevelHandle(handle)
}
