//! What a server answers to HTTP requests: 101 to those that open a WebSocket on one of its routes, the
//! fallback's answer to all others.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::HOST;
use http::request::Parts;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use sockeye_proto::handshake::Field;
use sockeye_proto::handshake::server::{Refusal, Rejection, wants_websocket};
use tokio::sync::Notify;
use tokio::time::Instant;
use tower::ServiceExt;

use super::admission::{AddressPermit, Permit};
use super::body::{self, Body};
use super::builder::Shared;
use super::clients::Knock;
use super::decision::{Decline, Turned, internal_error};
use super::request::{ConnectionInfo, UpgradeRequest};
use super::router::Match;
use super::routes::Endpoint;
use super::{Accept, HandshakeOutcome, TrustedProxies};
#[cfg(engine)]
use crate::engine::{Desk, Seat};
use crate::upgrade::{Accepted, Adoption};

/// The HTTP side of one connection.
pub(super) struct Exchange {
    shared: Arc<Shared>,
    info: Arc<ConnectionInfo>,
    /// When the connection is dropped unless it has become a WebSocket by then; `None` while a request is
    /// with the fallback.
    deadline: Mutex<Option<Instant>>,
    deadline_moved: Notify,
    had_request: AtomicBool,
    /// The connection's, which is to know that a request has come.
    permit: Arc<Permit>,
    pending: Mutex<Option<Pending>>,
    /// The session that the fallback may make of the connection.
    adoption: Adoption,
    /// How many routes have passed the first request on before it came here.
    passed: AtomicUsize,
    /// On a worker: where handlers with callbacks are asked.
    #[cfg(engine)]
    desk: Option<Desk>,
}

/// A WebSocket whose 101 response is on its way.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) on_upgrade: OnUpgrade,
    pub(super) accepted: Accepted,
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) request: UpgradeRequest,
    pub(super) permit: Option<AddressPermit>,
    pub(super) knock: Knock,
    /// Where its data lies, if its handler has callbacks.
    #[cfg(engine)]
    pub(super) seat: Option<Seat>,
}

/// A request that was accepted, and the response that says so.
struct Decided {
    accepted: Accepted,
    endpoint: Arc<Endpoint>,
    request: UpgradeRequest,
    permit: Option<AddressPermit>,
    response: Response<Body>,
    #[cfg(engine)]
    seat: Option<Seat>,
}

impl Exchange {
    /// `deadline` is that of the first request.
    pub(super) fn new(
        shared: Arc<Shared>,
        info: Arc<ConnectionInfo>,
        permit: Arc<Permit>,
        deadline: Instant,
        passed: usize,
    ) -> Self {
        #[cfg(all(feature = "hyper", engine))]
        let adoption = Adoption::with_hub(Arc::clone(&shared.hub));
        #[cfg(not(all(feature = "hyper", engine)))]
        let adoption = Adoption::default();
        Self {
            shared,
            info,
            deadline: Mutex::new(Some(deadline)),
            deadline_moved: Notify::new(),
            permit,
            had_request: AtomicBool::new(false),
            pending: Mutex::default(),
            adoption,
            passed: AtomicUsize::new(passed),
            #[cfg(engine)]
            desk: None,
        }
    }

    /// On a worker, with this desk.
    #[cfg(engine)]
    pub(super) fn at(self, desk: Option<Desk>) -> Self {
        Self { desk, ..self }
    }

    /// Resolves when the connection has taken too long.
    pub(super) async fn overdue(&self) {
        loop {
            let deadline = *lock(&self.deadline);
            let moved = self.deadline_moved.notified();
            match deadline {
                None => moved.await,
                Some(deadline) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(deadline) => return,
                        () = moved => {}
                    }
                }
            }
        }
    }

    /// Whether no request has come yet.
    pub(super) fn awaits_first_request(&self) -> bool {
        !self.had_request.load(Ordering::Relaxed)
    }

    /// Where the server learns of the session that the fallback makes of the connection.
    pub(super) fn adoption(&self) -> Adoption {
        self.adoption.clone()
    }

    /// The WebSocket that the connection has become.
    pub(super) fn take_pending(&self) -> Option<Pending> {
        lock(&self.pending).take()
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        self.had_request.store(true, Ordering::Relaxed);
        self.permit.arrived();
        if wants_websocket(request.headers()) && self.has_path(&request) {
            self.upgrade(request).await
        } else {
            self.plain(request).await
        }
    }

    /// Whether any route has the request's path.
    fn has_path(&self, request: &Request<Incoming>) -> bool {
        let table = self.shared.routes.now();
        let host = match table.has_hosts() {
            true => asked_host(&self.shared.proxies, request, &self.info),
            false => String::new(),
        };
        table.has_path(&host, request.uri().path())
    }

    async fn plain(&self, mut request: Request<Incoming>) -> Response<Body> {
        let Some(fallback) = self.shared.fallback.clone() else {
            return body::rejection(self.without_fallback(&request));
        };
        // From here on it is the fallback's business how long its requests take; reading the next head is
        // under hyper's own deadline.
        self.set_deadline(None);
        request.extensions_mut().insert(Arc::clone(&self.info));
        request.extensions_mut().insert(self.adoption.clone());
        fallback.oneshot(request).await.unwrap_or_else(|error| {
            tracing::error!(%error, "the fallback service failed");
            body::rejection(internal_error())
        })
    }

    fn without_fallback(&self, request: &Request<Incoming>) -> Rejection {
        let wants = wants_websocket(request.headers());
        if !self.has_path(request) {
            let rejection = Rejection::not_found("There is nothing here.");
            if wants {
                self.shared
                    .handshake(HandshakeOutcome::NotFound, &self.info, None, Some(&rejection));
            }
            return rejection;
        }
        let refusal = if request.method() == http::Method::GET {
            Refusal::Missing(Field::Upgrade)
        } else {
            Refusal::Method
        };
        refusal.into()
    }

    async fn upgrade(&self, request: Request<Incoming>) -> Response<Body> {
        /// After the deadline there is this long to get the answer out that says so.
        const LAST_WORD: Duration = Duration::from_secs(1);

        let (head, body) = request.into_parts();
        // For the fallback, if all routes pass the request on.
        let original = self.shared.fallback.is_some().then(|| head.clone());
        let mut request = Request::from_parts(head, ());
        let on_upgrade = hyper::upgrade::on(&mut request);
        let (head, ()) = request.into_parts();
        // A request that is not the connection's first gets the same time from here.
        let first = *lock(&self.deadline);
        let deadline = first.unwrap_or_else(|| Instant::now() + self.shared.handshake.timeout);
        self.set_deadline(Some(deadline + LAST_WORD));

        let mut attempt = Attempt {
            exchange: self,
            request: None,
            is_decided: false,
        };
        // Dropped before the attempt: who is told that it failed finds it gone from the count.
        let knock = self.shared.lifecycle.clients().knock();
        let decision = tokio::select! {
            biased;
            decision = self.decide(head, &mut attempt.request) => decision,
            () = tokio::time::sleep_until(deadline) => {
                tracing::warn!("the upgrade hook took longer than the handshake may");
                let rejection = Rejection::unavailable("The handshake took too long.");
                Err(Turned::down(rejection, HandshakeOutcome::Timeout))
            }
            () = knock.turned_away() => {
                let rejection = Rejection::unavailable("The server closes its connections.");
                Err(Turned::down(rejection, HandshakeOutcome::Closing))
            }
        };
        attempt.is_decided = true;
        match decision {
            Ok(None) => match original {
                Some(head) => {
                    drop(knock);
                    self.plain(Request::from_parts(head, body)).await
                }
                None => body::rejection(internal_error()),
            },
            Ok(Some(decided)) => {
                *lock(&self.pending) = Some(Pending {
                    on_upgrade,
                    accepted: decided.accepted,
                    endpoint: decided.endpoint,
                    request: decided.request,
                    permit: decided.permit,
                    knock,
                    #[cfg(engine)]
                    seat: decided.seat,
                });
                decided.response
            }
            Err(Turned(rejection, outcome)) => {
                tracing::debug!(
                    ?outcome,
                    status = rejection.status().as_u16(),
                    "handshake refused"
                );
                let request = attempt.request.as_ref();
                self.shared
                    .handshake(outcome, &self.info, request, Some(&rejection));
                body::rejection(rejection)
            }
        }
    }

    /// The request is left in `asked` once it has found its route. Gives nothing if all that it found have
    /// passed it on, and there is a fallback.
    async fn decide(
        &self,
        head: Parts,
        asked: &mut Option<UpgradeRequest>,
    ) -> Result<Option<Decided>, Turned> {
        let shared = &self.shared;
        let request = shared.understand(head, &self.info)?;
        let table = shared.routes.now();
        let mut permit = None;
        let mut is_first = true;
        let mut passed = self.passed.swap(0, Ordering::Relaxed);
        loop {
            let found = table.find(request.host(), request.path(), request.subprotocols(), passed);
            let Match {
                value: endpoint,
                params,
                protocol,
            } = match found {
                Ok(found) => found,
                Err(_) if passed > 0 && shared.fallback.is_some() => return Ok(None),
                Err(no_match) => return Err(Turned::unmatched(no_match, passed)),
            };
            let request = &*asked.insert(request.with_params(params));
            if std::mem::take(&mut is_first) {
                permit = shared.admit_client(request)?;
            }
            endpoint.check_origin(request)?;
            let accept = match &endpoint.route.hook {
                Some(hook) => hook(request.clone()).await,
                None => Ok(Accept::new()),
            };
            #[cfg(engine)]
            let (accept, seat) = self.ask_callbacks(endpoint, request, accept).await;
            let accept = match accept {
                Ok(accept) => accept,
                Err(Decline::Reject(rejection)) => {
                    return Err(Turned::down(rejection, HandshakeOutcome::Rejected));
                }
                Err(Decline::Next) => {
                    passed += 1;
                    continue;
                }
            };
            let (accepted, acceptance) = shared.agree(endpoint, request, accept, protocol)?;
            return Ok(Some(Decided {
                accepted,
                endpoint: Arc::clone(endpoint),
                request: request.clone(),
                permit,
                response: acceptance.response().map(|()| body::empty()),
                #[cfg(engine)]
                seat,
            }));
        }
    }

    /// Asks a handler with callbacks what it says to a request, after the route's hook has said yes. What the
    /// handler accepts with counts, unless it says nothing and the hook does.
    #[cfg(engine)]
    async fn ask_callbacks(
        &self,
        endpoint: &Arc<Endpoint>,
        request: &UpgradeRequest,
        accept: Result<Accept, Decline>,
    ) -> (Result<Accept, Decline>, Option<Seat>) {
        let (Ok(accept), Some(handler)) = (&accept, endpoint.route.callbacks()) else {
            return (accept, None);
        };
        let Some(desk) = &self.desk else {
            tracing::error!(
                path = request.path(),
                "the handler of this route needs workers, and there are none"
            );
            return (Err(internal_error().into()), None);
        };
        match desk.upgrade(endpoint, handler, request).await {
            Ok((answer, seat)) => (Ok(accept.clone().and(answer)), Some(seat)),
            Err(decline) => (Err(decline), None),
        }
    }

    /// No request came, or none in time.
    pub(super) fn failed(&self, outcome: HandshakeOutcome) {
        self.shared.handshake(outcome, &self.info, None, None);
    }

    fn set_deadline(&self, deadline: Option<Instant>) {
        *lock(&self.deadline) = deadline;
        self.deadline_moved.notify_one();
    }
}

/// A handshake that is being decided on. That it came to nothing is told if this is dropped before: the
/// client may leave while the hook thinks, and the hook may panic.
struct Attempt<'e> {
    exchange: &'e Exchange,
    request: Option<UpgradeRequest>,
    is_decided: bool,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.is_decided {
            let Exchange { shared, info, .. } = self.exchange;
            shared.handshake(HandshakeOutcome::Failed, info, self.request.as_ref(), None);
        }
    }
}

/// The service that hyper calls.
#[derive(Clone)]
pub(super) struct HttpService(pub(super) Arc<Exchange>);

impl hyper::service::Service<Request<Incoming>> for HttpService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let exchange = Arc::clone(&self.0);
        Box::pin(async move { Ok(exchange.answer(request).await) })
    }
}

/// The host that a request is for, whether or not it is a proper request for a WebSocket.
fn asked_host(proxies: &TrustedProxies, request: &Request<Incoming>, info: &ConnectionInfo) -> String {
    let client = proxies.client(request.headers(), &info.peer);
    let of_target = || request.uri().authority().map(ToString::to_string);
    let of_field = || request.headers().get(HOST)?.to_str().ok().map(str::to_owned);
    client
        .host
        .or_else(of_target)
        .or_else(of_field)
        .unwrap_or_default()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a connection over a limit is told when nothing was read from it yet.
pub(super) const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
Content-Length: 0\r\nConnection: close\r\nRetry-After: 5\r\n\r\n";
