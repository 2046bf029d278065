//! The way in: what happens on a connection before it is a WebSocket.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sockeye_proto::Connection;
use sockeye_proto::handshake::HeadLimits;
use sockeye_proto::handshake::server::{Refusal, Rejection, RequestReader, Upgrade};

use super::route::{AnyHandler, Routes, Seat};
use super::session::{Extra, Open};
use super::tls::Tls;
use crate::BoxError;
use crate::server::{Address, ConnectionInfo, TrustedProxies, UpgradeRequest};
#[cfg(feature = "tls")]
use crate::tls::{ServerTls, TlsInfo};
use crate::upgrade::Settings;

/// A connection that has not become a WebSocket yet.
#[derive(Debug)]
pub(crate) struct Door {
    reader: RequestReader,
    head: Vec<u8>,
    /// When the WebSocket is to be open.
    deadline: Instant,
    /// When TLS is to be open, until it is.
    tls_deadline: Option<Instant>,
    #[cfg(feature = "tls")]
    tls: Option<TlsInfo>,
}

impl Door {
    pub(super) fn deadline(&self) -> Instant {
        let tls = self.tls_deadline.unwrap_or(self.deadline);
        tls.min(self.deadline)
    }

    /// The TLS handshake is done.
    #[cfg(feature = "tls")]
    pub(super) fn secured(&mut self, info: TlsInfo) {
        self.tls = Some(info);
        self.tls_deadline = None;
    }
}

/// What to do with a connection at the door.
pub(super) enum Step {
    /// Wait for more.
    Wait,
    /// Send this, and close.
    Turn(Vec<u8>),
    /// Send this; it is a WebSocket from here on, and the bytes are its first input.
    Open(Vec<u8>, Open, Vec<u8>),
}

/// Who is let in.
pub(crate) struct Reception {
    pub(crate) routes: Vec<(String, Arc<dyn AnyHandler>)>,
    pub(crate) settings: Settings,
    pub(crate) timeout: Duration,
    /// How long TLS may take to be open.
    pub(crate) tls_timeout: Duration,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<ServerTls>,
}

impl Reception {
    pub(super) fn greet(&self, now: Instant) -> Door {
        Door {
            reader: RequestReader::new(HeadLimits::default()),
            head: Vec::new(),
            deadline: now + self.timeout,
            tls_deadline: self.is_tls().then(|| now + self.tls_timeout),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    fn is_tls(&self) -> bool {
        #[cfg(feature = "tls")]
        let is_tls = self.tls.is_some();
        #[cfg(not(feature = "tls"))]
        let is_tls = false;
        is_tls
    }

    /// The TLS of a new connection.
    pub(super) fn tls(&self) -> Result<Tls, BoxError> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return Ok(Tls::new(&tls.config())?);
        }
        Ok(Tls::none())
    }

    pub(super) fn received(&self, door: &mut Door, bytes: &[u8], routes: &mut Routes, now: Instant) -> Step {
        door.head.extend_from_slice(bytes);
        let head = match door.reader.read(&door.head) {
            Ok(None) => return Step::Wait,
            Ok(Some(head)) => head,
            Err(error) => return turn(Refusal::from(error).into()),
        };
        let (parts, ()) = head.request.into_parts();
        let upgrade = match Upgrade::check(&parts.method, parts.version, &parts.uri, &parts.headers) {
            Ok(upgrade) => upgrade,
            Err(refusal) => return turn(refusal.into()),
        };
        let path = parts.uri.path().to_owned();
        let Some((_, handler)) = self.routes.iter().find(|(route, _)| *route == path) else {
            return turn(Rejection::not_found("There is nothing here."));
        };
        let info = ConnectionInfo {
            id: 0,
            peer: Address::Unix(None),
            local: Address::Unix(None),
            proxied: None,
            #[cfg(feature = "tls")]
            tls: door.tls.take(),
        };
        let proxies = TrustedProxies::default();
        let request = UpgradeRequest::new(parts, upgrade, Arc::new(info), &proxies);
        let route = routes.number(handler, &self.settings.queues);
        let Some(entry) = routes.get_mut(route) else {
            return turn(Rejection::internal_error(""));
        };
        let (accept, number) = match entry.seats.upgrade(&request) {
            Ok(accepted) => accepted,
            Err(rejection) => return turn(rejection),
        };
        let acceptance = match accept.respond(request.upgrade().accept(), None) {
            Ok(acceptance) => acceptance,
            Err(_) => {
                entry.seats.leave(number);
                return turn(Rejection::internal_error(""));
            }
        };
        let mut response = Vec::new();
        acceptance.write(&mut response);
        let extra = Extra {
            subprotocol: acceptance.negotiated().subprotocol,
            ..Extra::default()
        };
        let connection = Connection::server(Arc::clone(&self.settings.config), None, now);
        let open = Open::new(connection, Seat { route, number }, extra);
        Step::Open(response, open, door.head.split_off(head.len))
    }
}

fn turn(rejection: Rejection) -> Step {
    let mut out = Vec::new();
    rejection.write(&mut out);
    Step::Turn(out)
}

impl std::fmt::Debug for Reception {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reception").finish_non_exhaustive()
    }
}
