//! Opens the listeners, and finds a port where none was asked for.

use std::error::Error;

use sockeye::server::{Bind, BindError, BoundServer, ServerBuilder};

use crate::config::ServeOptions;
use crate::config::units::Port;
use crate::error::Failure;

/// The port of `auto`, and how many after it are tried.
const FIRST_PORT: u16 = 3000;
const PORTS_TRIED: u16 = 100;

/// Listens where the options say. `server` makes the server anew for each port that is tried.
pub(super) async fn listen(
    options: &ServeOptions,
    server: impl Fn() -> ServerBuilder,
) -> Result<BoundServer, Failure> {
    let port = match options.port {
        Port::Exact(port) => Some(port),
        Port::Off => None,
        Port::Auto => return first_free(options, server).await,
    };
    let bound = bind(options, port, server()).listen().await;
    // The message has the cause in it, in words.
    bound.map_err(Failure::new)
}

/// Checks the server without listening.
pub(super) fn check(options: &ServeOptions, server: ServerBuilder) -> Result<(), Failure> {
    let port = if options.port == Port::Off { None } else { Some(0) };
    bind(options, port, server)
        .build()
        .map(drop)
        .map_err(Failure::usage)
}

async fn first_free(
    options: &ServeOptions,
    server: impl Fn() -> ServerBuilder,
) -> Result<BoundServer, Failure> {
    for port in FIRST_PORT..FIRST_PORT + PORTS_TRIED {
        match bind(options, Some(port), server()).listen().await {
            Err(error) if is_taken(&error, port) => {}
            Err(error) => return Err(Failure::new(error)),
            Ok(bound) => {
                if port != FIRST_PORT {
                    tracing::info!("port {FIRST_PORT} is taken, so {port} it is");
                }
                return Ok(bound);
            }
        }
    }
    Err(Failure::new(format!(
        "ports {FIRST_PORT} to {} are all taken: name a free one with --port",
        FIRST_PORT + PORTS_TRIED - 1
    )))
}

fn bind(options: &ServeOptions, port: Option<u16>, mut server: ServerBuilder) -> ServerBuilder {
    for host in options.host.iter().filter(|_| port.is_some()) {
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        server = server.bind((bare, port.unwrap_or_default()));
    }
    #[cfg(unix)]
    if let Some(path) = &options.unix {
        server = match options.unix_mode {
            Some(mode) => server.bind(Bind::unix_with_mode(path, mode.0)),
            None => server.bind(Bind::unix(path)),
        };
    }
    server
}

/// Whether it was the port that is taken, and not the Unix socket.
fn is_taken(error: &sockeye::Error, port: u16) -> bool {
    let bind = error
        .source()
        .and_then(|source| source.downcast_ref::<BindError>());
    bind.is_some_and(|bind| bind.is_address_in_use() && bind.to_string().contains(&format!(":{port}:")))
}
