//! The server: listeners, routes, the opening handshake over HTTP, limits and graceful shutdown.
//!
//! [`Server::builder`] is the way in. Below it, `listener` accepts, `admission` counts, `introduction` reads
//! the PROXY protocol, `connection` runs one
//! connection from accepted to closed, `http1` answers its requests by the `routes`, `clients` lists what is
//! open, and `shutdown` ends it.

mod accept;
mod acceptor;
mod address;
mod admission;
mod bind;
mod body;
mod bound;
mod builder;
mod clients;
mod config_error;
mod connection;
mod cookie;
mod decision;
mod event;
mod forwarded;
mod handle;
mod host;
mod http1;
mod introduction;
mod leash;
mod limits;
mod listener;
mod listening;
mod metrics;
#[cfg(engine)]
mod place;
mod proxy_protocol;
#[cfg(engine)]
mod reception;
mod request;
mod route;
mod router;
mod routes;
mod shutdown;
mod transport;
#[cfg(engine)]
mod workforce;
mod write_limit;

pub use accept::Accept;
pub use acceptor::{Acceptor, accept};
pub use address::Address;
pub use bind::{Bind, BindError, TcpOptions};
pub use bound::{BoundServer, Server};
pub use builder::ServerBuilder;
pub use clients::{AllClosed, Broadcast, ConnectedClient};
pub use config_error::ConfigError;
pub use cookie::{BadCookie, Cookie, SameSite, SetCookie};
pub use decision::Decline;
pub use event::{HandshakeOutcome, ServerEvent};
pub use forwarded::{BadNetwork, ForwardedHeader, TrustedProxies};
pub use handle::{HostHandle, ServerHandle};
pub use host::HostRoutes;
pub use limits::{ConnectionLimits, ConnectionRate, HandshakeLimits};
pub use proxy_protocol::{Proxied, ProxyProtocol};
pub use request::{ConnectionInfo, UpgradeRequest};
pub use route::{AsyncHandler, Route};
pub use router::{ForProtocol, Params, RouteError};
pub use shutdown::{Drain, ShutdownReport};
pub use sockeye_proto::handshake::server::Rejection;

#[cfg(engine)]
pub use crate::engine::{CloseEvent, Gone, Handler, Sent, Socket, SocketHandle, Unsent};
#[cfg(engine)]
pub use clients::{ConnectedSocket, OnWorkers, Reached};
#[cfg(engine)]
pub(crate) use place::Place;
#[cfg(engine)]
pub(crate) use reception::{Admitted, Callbacks, Decision, Guest, Reception};
#[cfg(engine)]
pub(crate) use routes::Endpoint;
#[cfg(engine)]
pub use workforce::Balance;
