//! What a server says to the connections of its workers: who may come in, what a request is answered, and who
//! has gone.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use socket2::SockRef;
use sockeye_proto::handshake::HeadLimits;
use sockeye_proto::handshake::server::wants_websocket;
use tracing::Instrument;

use super::builder::Shared;
use super::connection::{self, Connection};
use super::decision::{Decline, Turned};
use super::listener::set_up;
use super::place::Place;
use super::proxy_protocol::Progress;
use super::request::{ConnectionInfo, UpgradeRequest};
use super::router::Match;
use super::routes::Endpoint;
use super::transport::Socket;
use super::{Accept, Address, HandshakeOutcome, ServerEvent};
use crate::engine::{AnyHandler, Desk, Pipe, Seat};
#[cfg(feature = "tls")]
use crate::tls::{ServerTls, TlsInfo};
use crate::upgrade::Accepted;
use crate::{CloseInfo, Error};

/// The server, as its workers know it.
#[derive(Clone, Debug)]
pub(crate) struct Reception(Arc<Shared>);

/// A connection that was let in, and has not asked for anything yet.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(super) info: ConnectionInfo,
    pub(super) accepted_at: Instant,
}

/// What is done about a request at the door.
pub(crate) enum Decision {
    /// It is not for a handler with callbacks, or wants an answer that takes its time: a task sees to it. So
    /// many routes have passed it on already.
    Task(usize),
    /// This is the answer, and the end.
    Turn(Vec<u8>),
    /// It is a WebSocket from here on.
    Open(Box<Admitted>),
}

/// A WebSocket that was agreed on.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) accepted: Accepted,
    pub(crate) seat: Seat,
    /// The client's address, if it is not the other end of the socket.
    pub(crate) peer: Option<Address>,
    /// What is to be sent first; empty if that was done.
    pub(crate) response: Vec<u8>,
    /// What the client sent behind its request.
    pub(crate) leftover: Bytes,
}

/// Where handlers with callbacks are asked about requests.
pub(crate) trait Callbacks {
    /// Asks the handler of this endpoint.
    fn upgrade(
        &mut self,
        endpoint: &Arc<Endpoint>,
        handler: &Arc<dyn AnyHandler>,
        request: &UpgradeRequest,
    ) -> Result<(Accept, Seat), Decline>;

    /// Nothing came of it.
    fn leave(&mut self, seat: Seat);
}

impl Guest {
    /// TLS is open.
    #[cfg(feature = "tls")]
    pub(crate) fn secured(&mut self, info: TlsInfo) {
        self.info.tls = Some(info);
    }
}

impl Reception {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// That of a server that does not run.
    #[cfg(test)]
    pub(crate) fn of(builder: super::ServerBuilder) -> Self {
        Self(builder.build().unwrap().into_shared())
    }

    /// The largest head of a request.
    pub(crate) fn head_limits(&self) -> HeadLimits {
        HeadLimits {
            max_bytes: self.0.handshake.max_head_size,
            max_headers: self.0.handshake.max_headers,
        }
    }

    /// How long a handshake may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.0.handshake.timeout
    }

    /// How long TLS may take to be open, if it is to be.
    pub(crate) fn tls_timeout(&self) -> Option<Duration> {
        self.0.is_tls().then_some(self.0.handshake.tls_timeout)
    }

    #[cfg(feature = "tls")]
    pub(crate) fn tls(&self) -> Option<&ServerTls> {
        self.0.tls.as_ref()
    }

    /// The TLS handshake of a connection failed.
    #[cfg(feature = "tls")]
    pub(crate) fn insecure(&self, guest: &Guest) {
        self.0.handshake(HandshakeOutcome::Tls, &guest.info, None, None);
    }

    /// Lets a connection in that was just accepted, or says what it is told before it is closed.
    pub(crate) fn admit(
        &self,
        socket: BorrowedFd<'_>,
        local: &Address,
        now: Instant,
    ) -> Result<(Place, Guest), &'static [u8]> {
        let shared = &self.0;
        let socket = SockRef::from(&socket);
        let peer = socket.peer_addr().ok().and_then(|address| Address::of(&address));
        // A socket that is gone already has no address.
        let peer = peer.ok_or(&b""[..])?;
        if matches!(peer, Address::Tcp(_)) && set_up(&socket, &shared.tcp).is_err() {
            return Err(b"");
        }
        let connection = Connection::admit(shared, &peer).map_err(|refusal| {
            connection::note_refusal(shared, &peer, refusal);
            if shared.is_tls() {
                &b""[..]
            } else {
                super::http1::BUSY
            }
        })?;
        let place = connection.into_place();
        let info = ConnectionInfo {
            id: place.id(),
            peer,
            local: local.clone(),
            proxied: None,
            #[cfg(feature = "tls")]
            tls: None,
        };
        tracing::debug!(id = info.id, peer = %info.peer, "connection accepted");
        let accepted_at = now;
        Ok((place, Guest { info, accepted_at }))
    }

    /// Whether this connection begins with a header of the PROXY protocol, or may.
    pub(crate) fn expects_introduction(&self, guest: &Guest) -> bool {
        let protocol = self.0.proxy_protocol.as_ref();
        protocol.is_some_and(|protocol| protocol.concerns(&guest.info.peer))
    }

    /// Looks at all that such a connection has brought so far. Gives how much of it the header was, once it
    /// is whole; or what the client is told before the connection is closed.
    pub(crate) fn introduce(
        &self,
        place: &mut Place,
        guest: &mut Guest,
        received: &[u8],
    ) -> Result<Option<usize>, &'static [u8]> {
        let shared = &self.0;
        let progress = match &shared.proxy_protocol {
            Some(protocol) => protocol.read(received),
            None => Ok(Progress::Absent),
        };
        let consumed = match progress {
            Ok(Progress::More) => return Ok(None),
            Ok(Progress::Absent) => 0,
            Ok(Progress::Done(header, consumed)) => {
                guest.info.introduced(header);
                consumed
            }
            Err(error) => {
                tracing::debug!(id = guest.info.id, %error, "no header of the PROXY protocol");
                shared.handshake(HandshakeOutcome::Invalid, &guest.info, None, None);
                return Err(b"");
            }
        };
        let peer = &guest.info.peer;
        match connection::admit_address(shared, peer) {
            Ok(permit) => place.counts_for(permit),
            Err(refusal) => {
                connection::note_refusal(shared, peer, refusal);
                return Err(if shared.is_tls() { b"" } else { super::http1::BUSY });
            }
        }
        Ok(Some(consumed))
    }

    /// Decides about the first request of a connection.
    pub(crate) fn decide(
        &self,
        place: &mut Place,
        guest: &Guest,
        request: Request<()>,
        callbacks: &mut impl Callbacks,
    ) -> Decision {
        let shared = &self.0;
        place.arrived(shared);
        if !wants_websocket(request.headers()) {
            return Decision::Task(0);
        }
        let (head, ()) = request.into_parts();
        let info = Arc::new(guest.info.clone());
        // Whatever is wrong with a request, the task can tell.
        let Ok(request) = shared.understand(head, &info) else {
            return Decision::Task(0);
        };
        let mut asked = Asked {
            shared,
            info,
            request,
            passed: 0,
        };
        match asked.decide(place, guest, callbacks) {
            Ok(decision) => decision,
            Err(Turned(rejection, outcome)) => {
                let status = rejection.status().as_u16();
                tracing::debug!(?outcome, status, "handshake refused");
                shared.handshake(outcome, &asked.info, Some(&asked.request), Some(&rejection));
                let mut answer = Vec::new();
                rejection.write(&mut answer);
                Decision::Turn(answer)
            }
        }
    }

    /// No request came in time.
    pub(crate) fn overdue(&self, guest: &Guest) {
        tracing::debug!(id = guest.info.id, "handshake took too long");
        self.0
            .handshake(HandshakeOutcome::Timeout, &guest.info, None, None);
    }

    /// Serves a connection in a task on this thread. `passed` routes have passed its first request on.
    pub(crate) fn serve(&self, place: Place, guest: Guest, pipe: Pipe, desk: Desk, passed: usize) {
        let Guest { info, accepted_at } = guest;
        let accepted_at = tokio::time::Instant::from_std(accepted_at);
        let connection = place.into_connection(&self.0, accepted_at).at(desk, passed);
        let span = tracing::info_span!("connection", id = info.id, peer = %info.peer);
        tokio::spawn(connection.run(Socket::Piped(pipe), info).instrument(span));
    }

    /// A WebSocket of a handler with callbacks has closed.
    pub(crate) fn closed(&self, place: &Place, code: u16, end: &CloseInfo, failure: Option<&Error>) {
        tracing::info!(
            id = place.id(),
            code,
            // Escaped: it is the peer's text, and a line feed in it must not begin a line of the log.
            reason = ?end.reason.as_str(),
            clean = end.clean,
            failure = failure.map(tracing::field::display),
            "websocket closed"
        );
        if let Some(connection) = place.info() {
            self.0.observer.tell(ServerEvent::Closed {
                connection,
                code,
                info: end,
                failure,
            });
        }
    }

    /// A connection is gone.
    pub(crate) fn leave(&self, place: Place) {
        tracing::debug!(id = place.id(), "connection closed");
        place.leave(&self.0);
    }

    /// A connection is dropped because the time of a shutdown is over.
    pub(crate) fn forced(&self) {
        self.0.lifecycle.force();
    }
}

/// A request that was understood.
struct Asked<'a> {
    shared: &'a Arc<Shared>,
    info: Arc<ConnectionInfo>,
    request: UpgradeRequest,
    passed: usize,
}

impl Asked<'_> {
    fn decide(
        &mut self,
        place: &mut Place,
        guest: &Guest,
        callbacks: &mut impl Callbacks,
    ) -> Result<Decision, Turned> {
        let shared = self.shared;
        let table = shared.routes.now();
        let mut permit = None;
        loop {
            let request = &self.request;
            let found = table.find(
                request.host(),
                request.path(),
                request.subprotocols(),
                self.passed,
            );
            let Ok(Match {
                value: endpoint,
                params,
                protocol,
            }) = found
            else {
                return Ok(Decision::Task(self.passed));
            };
            let Some(handler) = endpoint
                .route
                .callbacks()
                .filter(|_| endpoint.route.hook.is_none())
            else {
                return Ok(Decision::Task(self.passed));
            };
            self.request = self.request.with_params(params);
            if permit.is_none() {
                permit = shared.admit_client(&self.request)?;
            }
            endpoint.check_origin(&self.request)?;
            let (accept, seat) = match callbacks.upgrade(endpoint, handler, &self.request) {
                Ok(accepted) => accepted,
                Err(Decline::Next) => {
                    self.passed += 1;
                    continue;
                }
                Err(Decline::Reject(rejection)) => {
                    return Err(Turned::down(rejection, HandshakeOutcome::Rejected));
                }
            };
            let agreed = shared.agree(endpoint, &self.request, accept, protocol);
            let (accepted, acceptance) = agreed.inspect_err(|_| callbacks.leave(seat))?;
            let mut response = Vec::new();
            acceptance.write(&mut response);
            place.upgraded(shared, permit);
            let opened = Opened {
                shared,
                info: &self.info,
                request: &self.request,
                endpoint,
                accepted: &accepted,
                accepted_at: guest.accepted_at,
            };
            let peer = opened.tell(place);
            return Ok(Decision::Open(Box::new(Admitted {
                accepted,
                seat,
                peer,
                response,
                leftover: Bytes::new(),
            })));
        }
    }
}

/// A WebSocket of a handler with callbacks that is about to open.
pub(super) struct Opened<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) info: &'a Arc<ConnectionInfo>,
    pub(super) request: &'a UpgradeRequest,
    pub(super) endpoint: &'a Endpoint,
    pub(super) accepted: &'a Accepted,
    pub(super) accepted_at: Instant,
}

impl Opened<'_> {
    /// Tells whoever wants to know. Gives the client's address, if it is not that of the socket.
    pub(super) fn tell(&self, place: &mut Place) -> Option<Address> {
        let shared = self.shared;
        shared.handshake(HandshakeOutcome::Accepted, self.info, Some(self.request), None);
        shared.metrics.handshake_took(self.accepted_at.elapsed());
        let agreement = self.accepted.agreement();
        tracing::info!(
            id = self.info.id,
            peer = %self.info.peer,
            path = self.request.path(),
            subprotocol = agreement.subprotocol,
            extensions = agreement.extensions,
            "websocket opened"
        );
        if shared.observer.is_some() {
            place.remember(Arc::clone(self.info));
            shared.observer.tell(ServerEvent::SocketOpened {
                connection: self.info,
                route: &self.endpoint.path,
                request: self.request,
            });
        }
        self.info.proxied.is_some().then(|| self.info.peer.clone())
    }
}
