//! One connection from accepted to closed: TLS, HTTP, WebSocket, in one task.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use sockeye_proto::CloseFrame;
use tokio::time::Instant;
use tracing::Instrument;

use super::admission::{AddressPermit, Permit, Refusal};
use super::builder::Shared;
use super::clients::{ConnectedClient, Entered};
use super::http1::{BUSY, Exchange, HttpService, Pending};
use super::introduction::introduce;
use super::leash::{Leash, Leashed};
#[cfg(engine)]
use super::place::Place;
#[cfg(engine)]
use super::reception::{Admitted, Opened};
use super::request::ConnectionInfo;
use super::shutdown::{Drain, Order, Tracked};
use super::transport::{Socket, Transport};
use super::write_limit::WriteLimit;
use super::{Address, HandshakeOutcome, ServerEvent};
use crate::WeakSender;
#[cfg(engine)]
use crate::engine::{Desk, Pipe, Seat};
use crate::session::{Joined, Shared as Session, Stage};
use crate::upgrade::Adoption;

/// A connection in the counts of its server; they go back when it is dropped.
#[derive(Debug)]
pub(super) struct Connection {
    shared: Arc<Shared>,
    accepted_at: Instant,
    tracked: Tracked,
    permit: Arc<Permit>,
    address_permit: Option<AddressPermit>,
    gauge: Gauge,
    /// On a worker: where handlers with callbacks are asked.
    #[cfg(engine)]
    desk: Option<Desk>,
    /// How many routes have passed the first request on already.
    passed: usize,
}

/// A connection in the metrics.
#[derive(Debug)]
struct Gauge(Option<Arc<Shared>>);

impl Drop for Gauge {
    fn drop(&mut self) {
        if let Some(shared) = &self.0 {
            shared.metrics.closed();
        }
    }
}

/// A connection that has become a WebSocket.
#[derive(Debug)]
struct Open {
    joined: Joined<Transport>,
    session: Arc<Session>,
    info: Arc<ConnectionInfo>,
    _entered: Entered,
    opened_at: Instant,
    _permit: Option<AddressPermit>,
}

/// A connection that its worker goes on with.
#[cfg(engine)]
#[derive(Debug)]
struct HandedBack {
    pipe: Pipe,
    pending: Pending,
    seat: Seat,
    info: Arc<ConnectionInfo>,
    leftover: Vec<u8>,
}

/// What has become of a connection when hyper is done with it.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it is taken apart where it is returned")]
enum Upgraded {
    /// A WebSocket of one of the server's routes.
    Route(Open),
    /// A WebSocket of one of the routes whose handlers have callbacks: its worker goes on with it.
    #[cfg(engine)]
    Worker(Box<HandedBack>),
    /// Whatever the fallback has made of it, or nothing: then it is gone.
    Fallback(Leash, Adoption, Arc<ConnectionInfo>),
}

/// Serves a connection that was just accepted in a task of its own, if the limits let it in.
pub(super) fn spawn(shared: &Arc<Shared>, socket: Socket, peer: Address, local: Address) {
    let connection = match Connection::admit(shared, &peer) {
        Ok(connection) => connection,
        Err(refusal) => return refuse(shared, &socket, &peer, refusal),
    };
    let info = ConnectionInfo {
        id: connection.tracked.id(),
        peer,
        local,
        proxied: None,
        #[cfg(feature = "tls")]
        tls: None,
    };
    let span = tracing::info_span!("connection", id = info.id, peer = %info.peer);
    tokio::spawn(connection.run(socket, info).instrument(span));
}

fn refuse(shared: &Shared, socket: &Socket, peer: &Address, refusal: Refusal) {
    note_refusal(shared, peer, refusal);
    if !shared.is_tls() {
        socket.try_write(BUSY);
    }
}

/// Logs and counts that a connection is not let in.
pub(super) fn note_refusal(shared: &Shared, peer: &Address, refusal: Refusal) {
    tracing::debug!(%peer, limit = refusal.name(), "connection refused");
    shared.metrics.refused(refusal);
}

fn admit(shared: &Arc<Shared>, peer: &Address) -> Result<(Permit, Option<AddressPermit>), Refusal> {
    let permit = shared.admission.admit(std::time::Instant::now())?;
    let will_introduce = shared
        .proxy_protocol
        .as_ref()
        .is_some_and(|protocol| protocol.concerns(peer));
    let address_permit = if will_introduce {
        None
    } else {
        admit_address(shared, peer)?
    };
    Ok((permit, address_permit))
}

pub(super) fn admit_address(shared: &Shared, peer: &Address) -> Result<Option<AddressPermit>, Refusal> {
    match peer.ip() {
        // A proxy's own address says nothing about the client.
        Some(ip) if !shared.proxies.contains(peer) => shared.admission.admit_address(ip),
        _ => Ok(None),
    }
}

impl Connection {
    /// Takes a connection that was just accepted into the counts, if the limits let it in.
    pub(super) fn admit(shared: &Arc<Shared>, peer: &Address) -> Result<Self, Refusal> {
        let (permit, address_permit) = admit(shared, peer)?;
        shared.metrics.opened();
        let tracked = shared.lifecycle.track();
        Ok(Self::new(shared, Instant::now(), tracked, permit, address_permit))
    }

    /// A connection that is in the counts already.
    pub(super) fn new(
        shared: &Arc<Shared>,
        accepted_at: Instant,
        tracked: Tracked,
        permit: Permit,
        address_permit: Option<AddressPermit>,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            accepted_at,
            tracked,
            permit: Arc::new(permit),
            address_permit,
            gauge: Gauge(Some(Arc::clone(shared))),
            #[cfg(engine)]
            desk: None,
            passed: 0,
        }
    }

    /// On a worker, with this desk; so many routes have passed the first request on.
    #[cfg(engine)]
    pub(super) fn at(self, desk: Desk, passed: usize) -> Self {
        Self {
            desk: Some(desk),
            passed,
            ..self
        }
    }

    /// The same in less memory, for a worker.
    #[cfg(engine)]
    pub(super) fn into_place(mut self) -> Place {
        self.gauge.0 = None;
        let is_half_open = self.permit.forget();
        let place = Place::new(self.tracked.id(), is_half_open, self.address_permit);
        self.tracked.forget();
        place
    }

    pub(super) async fn run(mut self, socket: Socket, info: ConnectionInfo) {
        tracing::debug!("connection accepted");
        let Some((socket, info)) = self.introduced(socket, info).await else {
            return;
        };
        // Boxed, so that an open WebSocket does not carry the memory of its handshake around.
        match Box::pin(self.handshake(socket, info)).await {
            Some(Upgraded::Route(mut open)) => self.websocket(&mut open).await,
            #[cfg(engine)]
            Some(Upgraded::Worker(upgraded)) => return self.hand_back(upgraded),
            Some(Upgraded::Fallback(leash, adoption, info)) => {
                // Boxed for the same reason.
                Box::pin(self.upgraded_by_fallback(leash, adoption, info)).await;
            }
            None => {}
        }
        tracing::debug!("connection closed");
    }

    /// Learns by the PROXY protocol whose connection it is, if the peer speaks it. Gives nothing if the
    /// connection is to be closed.
    async fn introduced(
        &mut self,
        socket: Socket,
        mut info: ConnectionInfo,
    ) -> Option<(Socket, ConnectionInfo)> {
        let shared = Arc::clone(&self.shared);
        let Some(protocol) = &shared.proxy_protocol else {
            return Some((socket, info));
        };
        // On a worker it was done at the door.
        if self.desk.is_some() || !protocol.concerns(&info.peer) {
            return Some((socket, info));
        }
        let deadline = self.accepted_at + shared.handshake.timeout;
        // Boxed, as the handshake is.
        let introduction = Box::pin(introduce(&shared, protocol, socket, &mut info, deadline));
        let socket = tokio::select! {
            socket = introduction => socket?,
            () = self.tracked.forced() => return None,
        };
        match admit_address(&shared, &info.peer) {
            Ok(permit) => self.address_permit = permit,
            Err(refusal) => {
                refuse(&shared, &socket, &info.peer, refusal);
                return None;
            }
        }
        Some((socket, info))
    }

    /// Everything before the first frame. Gives nothing if the handshake failed.
    async fn handshake(&self, socket: Socket, info: ConnectionInfo) -> Option<Upgraded> {
        tokio::select! {
            upgraded = self.establish(socket, info) => upgraded,
            () = self.tracked.forced() => None,
        }
    }

    async fn establish(&self, socket: Socket, info: ConnectionInfo) -> Option<Upgraded> {
        let deadline = self.accepted_at + self.shared.handshake.timeout;
        let (transport, info) = self.secure(socket, info, deadline).await?;
        let info = Arc::new(info);
        let permit = Arc::clone(&self.permit);
        let exchange = Exchange::new(
            Arc::clone(&self.shared),
            Arc::clone(&info),
            permit,
            deadline,
            self.passed,
        );
        #[cfg(engine)]
        let exchange = exchange.at(self.desk.clone());
        let exchange = Arc::new(exchange);
        let (leash, transport) = Leash::new(transport);
        if !self.http(transport, &exchange).await {
            return None;
        }
        let Some(mut pending) = exchange.take_pending() else {
            return Some(Upgraded::Fallback(leash, exchange.adoption(), info));
        };
        // hyper has kept its side when its connection is done, so that this does not wait.
        let upgraded = match (&mut pending.on_upgrade).await {
            Ok(upgraded) => upgraded,
            Err(error) => {
                tracing::debug!(%error, "connection lost before the handshake was complete");
                self.shared
                    .handshake(HandshakeOutcome::Failed, &info, Some(&pending.request), None);
                return None;
            }
        };
        // It is the type that was given to hyper below.
        let parts = upgraded
            .downcast::<TokioIo<WriteLimit<Leashed<Transport>>>>()
            .ok()?;
        let transport = parts.io.into_inner().into_inner().into_inner();
        #[cfg(engine)]
        if let Some(seat) = pending.seat {
            return self.to_worker(pending, seat, info, transport, &parts.read_buf);
        }
        Some(Upgraded::Route(self.open(
            pending,
            info,
            transport,
            &parts.read_buf,
        )))
    }

    fn open(
        &self,
        pending: Pending,
        info: Arc<ConnectionInfo>,
        transport: Transport,
        leftover: &[u8],
    ) -> Open {
        let Pending {
            accepted,
            endpoint,
            request,
            permit,
            knock,
            ..
        } = pending;
        self.shared
            .handshake(HandshakeOutcome::Accepted, &info, Some(&request), None);
        self.shared.metrics.handshake_took(self.accepted_at.elapsed());
        let agreement = accepted.agreement();
        tracing::info!(
            path = request.path(),
            subprotocol = agreement.subprotocol,
            extensions = agreement.extensions,
            "websocket opened"
        );
        let (websocket, driver) = accepted.open(transport, leftover);
        let session = websocket.shared();
        let route = Some(Arc::clone(&endpoint.path));
        let clients = self.shared.lifecycle.clients();
        let entered = clients.enter(Arc::clone(&info), route.clone(), websocket.weak());
        let client = ConnectedClient::new(Arc::clone(&info), route, websocket.sender());
        self.shared.observer.tell(ServerEvent::Opened {
            client: &client,
            request: &request,
        });
        knock.settle(client.sender());
        let handler = endpoint.route.serve(websocket, request);
        Open {
            joined: Joined::new(driver, handler),
            session,
            info,
            _entered: entered,
            opened_at: Instant::now(),
            _permit: permit,
        }
    }

    /// Gets ready what the worker goes on with.
    #[cfg(engine)]
    fn to_worker(
        &self,
        pending: Pending,
        seat: Seat,
        info: Arc<ConnectionInfo>,
        transport: Transport,
        leftover: &[u8],
    ) -> Option<Upgraded> {
        // The engine's own TLS is under the pipe; any other could not be taken off.
        #[cfg(feature = "tls")]
        let Transport::Plain(socket) = transport else {
            return None;
        };
        #[cfg(not(feature = "tls"))]
        let Transport::Plain(socket) = transport;
        let (pipe, early) = socket.into_pipe()?;
        let mut leftover = leftover.to_vec();
        leftover.extend_from_slice(&early);
        Some(Upgraded::Worker(Box::new(HandedBack {
            pipe,
            pending,
            seat,
            info,
            leftover,
        })))
    }

    #[cfg(engine)]
    fn hand_back(self, upgraded: Box<HandedBack>) {
        let HandedBack {
            pipe,
            pending,
            seat,
            info,
            leftover,
        } = *upgraded;
        let Pending {
            accepted,
            endpoint,
            request,
            permit,
            ..
        } = pending;
        let shared = Arc::clone(&self.shared);
        let accepted_at = self.accepted_at.into_std();
        let mut place = self.into_place();
        place.upgraded(&shared, permit);
        let opened = Opened {
            shared: &shared,
            info: &info,
            request: &request,
            endpoint: &endpoint,
            accepted: &accepted,
            accepted_at,
        };
        let peer = opened.tell(&mut place);
        let admitted = Admitted {
            accepted,
            seat,
            peer,
            response: Vec::new(),
            leftover: leftover.into(),
        };
        pipe.hand_back(Box::new((admitted, place)));
    }

    #[cfg(feature = "tls")]
    async fn secure(
        &self,
        socket: Socket,
        mut info: ConnectionInfo,
        deadline: Instant,
    ) -> Option<(Transport, ConnectionInfo)> {
        let Some(tls) = self.shared.tls.as_ref().filter(|_| info.tls.is_none()) else {
            return Some((Transport::Plain(socket), info));
        };
        let deadline = deadline.min(self.accepted_at + self.shared.handshake.tls_timeout);
        let acceptor = tokio_rustls::TlsAcceptor::from(tls.config());
        match tokio::time::timeout_at(deadline, acceptor.accept(socket)).await {
            Ok(Ok(stream)) => {
                info.tls = Some(crate::tls::TlsInfo::of_server(stream.get_ref().1));
                Some((Transport::Tls(Box::new(stream)), info))
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "TLS handshake failed");
                self.shared.handshake(HandshakeOutcome::Tls, &info, None, None);
                None
            }
            Err(_) => {
                tracing::debug!("TLS handshake took too long");
                self.shared
                    .handshake(HandshakeOutcome::Timeout, &info, None, None);
                None
            }
        }
    }

    #[cfg(not(feature = "tls"))]
    async fn secure(
        &self,
        socket: Socket,
        info: ConnectionInfo,
        _deadline: Instant,
    ) -> Option<(Transport, ConnectionInfo)> {
        Some((Transport::Plain(socket), info))
    }

    /// Serves HTTP until the connection ends or becomes something else. Gives whether it came to that in
    /// time.
    async fn http(&self, transport: Leashed<Transport>, exchange: &Arc<Exchange>) -> bool {
        /// The least that hyper takes for the size of its buffer; the limit on the head is exact all the
        /// same.
        const LEAST_BUFFER: usize = 8192;
        /// How long a client may take nothing of a response.
        const WRITE_LIMIT: Duration = Duration::from_secs(60);

        let limits = &self.shared.handshake;
        let http = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.timeout)
            .max_headers(limits.max_headers)
            .max_header_size(limits.max_head_size)
            .max_buf_size(limits.max_head_size.max(LEAST_BUFFER))
            .serve_connection(
                TokioIo::new(WriteLimit::new(transport, WRITE_LIMIT)),
                HttpService(Arc::clone(exchange)),
            )
            .with_upgrades();
        let mut http = pin!(http);
        let mut overdue = pin!(exchange.overdue());
        let mut draining = pin!(self.tracked.draining());
        let mut is_draining = false;
        loop {
            tokio::select! {
                result = &mut http => {
                    if let Err(error) = result {
                        tracing::debug!(%error, "HTTP connection failed");
                        // hyper's deadline for a head passes at the same time as ours for the first one.
                        if error.is_timeout() && exchange.awaits_first_request() {
                            exchange.failed(HandshakeOutcome::Timeout);
                        }
                    }
                    return true;
                }
                () = &mut overdue => {
                    tracing::debug!("handshake took too long");
                    exchange.failed(HandshakeOutcome::Timeout);
                    return false;
                }
                () = &mut draining, if !is_draining => {
                    is_draining = true;
                    http.as_mut().graceful_shutdown();
                }
            }
        }
    }

    /// Waits until whoever upgraded the connection in the fallback has let go of it, which is at once if
    /// nobody did. A WebSocket of this crate is closed when the server drains; anything else has until the
    /// deadline.
    async fn upgraded_by_fallback(
        &mut self,
        mut leash: Leash,
        adoption: Adoption,
        info: Arc<ConnectionInfo>,
    ) {
        let mut websocket: Option<(WeakSender, Entered)> = None;
        let mut closing: Option<Arc<Drain>> = None;
        loop {
            tokio::select! {
                () = leash.released() => return,
                adopted = adoption.adopted(), if websocket.is_none() => {
                    self.tracked.upgraded();
                    let clients = self.shared.lifecycle.clients();
                    let entered = clients.enter(Arc::clone(&info), None, adopted.clone());
                    websocket = Some((adopted, entered));
                }
                order = self.tracked.order(closing.is_some()) => match order {
                    Order::Close(drain) => closing = Some(drain),
                    // The leash is dropped, and cuts the transport off.
                    Order::Drop => return,
                },
            }
            let session = websocket.as_ref().and_then(|(websocket, _)| websocket.session());
            if let (Some(session), Some(drain)) = (session, &closing) {
                session.close(Some(CloseFrame::truncated(drain.code, &drain.reason)));
            }
        }
    }

    /// Runs the WebSocket and its handler until both are done.
    async fn websocket(&mut self, open: &mut Open) {
        self.tracked.upgraded();
        let mut is_closing = false;
        let mut is_told = false;
        loop {
            let order = tokio::select! {
                stage = open.joined.next_stage() => {
                    if !is_told {
                        self.tell_closed(open);
                    }
                    is_told = true;
                    match stage {
                        Stage::Failed => continue,
                        Stage::Over => return,
                    }
                }
                order = self.tracked.order(is_closing) => order,
            };
            match order {
                Order::Close(drain) => {
                    is_closing = true;
                    open.session
                        .close(Some(CloseFrame::truncated(drain.code, &drain.reason)));
                }
                Order::Drop => {
                    open.session.abort();
                    break;
                }
            }
        }
        if !is_told {
            self.tell_closed(open);
        }
    }

    fn tell_closed(&self, open: &Open) {
        let (code, end, failure) = {
            let session = open.session.lock();
            (
                session.end_code(),
                session.close_info(),
                session.failure().cloned(),
            )
        };
        tracing::info!(
            code,
            // Escaped: it is the peer's text, and a line feed in it must not begin a line of the log.
            reason = end.reason.as_str(),
            clean = end.clean,
            failure = failure.as_ref().map(tracing::field::display),
            lasted = ?open.opened_at.elapsed(),
            "websocket closed"
        );
        self.shared.observer.tell(ServerEvent::Closed {
            connection: &open.info,
            code,
            info: &end,
            failure: failure.as_ref(),
        });
    }
}
