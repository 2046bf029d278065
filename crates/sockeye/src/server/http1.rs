//! What a server answers to HTTP requests: 101 to those that open a WebSocket on one of its routes, the fallback's
//! answer to all others.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::request::Parts;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use sockeye_proto::handshake::Field;
use sockeye_proto::handshake::server::{Refusal, Rejection, Upgrade, wants_websocket};
use tokio::sync::Notify;
use tokio::time::Instant;
use tower::ServiceExt;

use super::admission::AddressPermit;
use super::body::{self, Body};
use super::builder::Shared;
use super::clients::Knock;
use super::request::{ConnectionInfo, UpgradeRequest};
use super::router::{Match, NoMatch};
use super::routes::Endpoint;
use super::{Accept, HandshakeOutcome};
use crate::upgrade::{Accepted, Adoption, choose_subprotocol};

/// The HTTP side of one connection.
pub(super) struct Exchange {
    shared: Arc<Shared>,
    info: Arc<ConnectionInfo>,
    /// When the connection is dropped unless it has become a WebSocket by then; `None` while a request is with the
    /// fallback.
    deadline: Mutex<Option<Instant>>,
    deadline_moved: Notify,
    had_request: AtomicBool,
    pending: Mutex<Option<Pending>>,
    /// The session that the fallback may make of the connection.
    adoption: Adoption,
}

/// A WebSocket whose 101 response is on its way.
pub(super) struct Pending {
    pub(super) on_upgrade: OnUpgrade,
    pub(super) accepted: Accepted,
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) request: UpgradeRequest,
    pub(super) permit: Option<AddressPermit>,
    pub(super) knock: Knock,
}

/// A request that was accepted, and the response that says so.
struct Decided {
    accepted: Accepted,
    endpoint: Arc<Endpoint>,
    request: UpgradeRequest,
    permit: Option<AddressPermit>,
    response: Response<Body>,
}

/// Why a handshake is turned down: the answer, and what the metrics call it.
struct Turned(Rejection, HandshakeOutcome);

impl Turned {
    fn down(rejection: impl Into<Rejection>, outcome: HandshakeOutcome) -> Self {
        Self(rejection.into(), outcome)
    }
}

impl Exchange {
    /// `deadline` is that of the first request.
    pub(super) fn new(shared: Arc<Shared>, info: Arc<ConnectionInfo>, deadline: Instant) -> Arc<Self> {
        Arc::new(Self {
            shared,
            info,
            deadline: Mutex::new(Some(deadline)),
            deadline_moved: Notify::new(),
            had_request: AtomicBool::new(false),
            pending: Mutex::default(),
            adoption: Adoption::default(),
        })
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
        if wants_websocket(request.headers()) && self.shared.routes.now().has_path(request.uri().path()) {
            self.upgrade(request).await
        } else {
            self.plain(request).await
        }
    }

    async fn plain(&self, mut request: Request<Incoming>) -> Response<Body> {
        let Some(fallback) = self.shared.fallback.clone() else {
            return body::rejection(self.without_fallback(&request));
        };
        // From here on it is the fallback's business how long its requests take; reading the next head is under
        // hyper's own deadline.
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
        if !self.shared.routes.now().has_path(request.uri().path()) {
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

    async fn upgrade(&self, mut request: Request<Incoming>) -> Response<Body> {
        /// After the deadline there is this long to get the answer out that says so.
        const LAST_WORD: Duration = Duration::from_secs(1);

        let on_upgrade = hyper::upgrade::on(&mut request);
        let (head, _) = request.into_parts();
        // A request that is not the connection's first gets the same time from here.
        let first = *lock(&self.deadline);
        let deadline = first.unwrap_or_else(|| Instant::now() + self.shared.handshake.timeout);
        self.set_deadline(Some(deadline + LAST_WORD));

        let knock = self.shared.lifecycle.clients().knock();
        let mut attempt = Attempt {
            exchange: self,
            request: None,
            is_decided: false,
        };
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
            Ok(decided) => {
                *lock(&self.pending) = Some(Pending {
                    on_upgrade,
                    accepted: decided.accepted,
                    endpoint: decided.endpoint,
                    request: decided.request,
                    permit: decided.permit,
                    knock,
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

    /// The request is left in `asked` once it is understood.
    async fn decide(&self, head: Parts, asked: &mut Option<UpgradeRequest>) -> Result<Decided, Turned> {
        let upgrade = Upgrade::check(&head.method, head.version, &head.uri, &head.headers)
            .map_err(|refusal| Turned::down(refusal, HandshakeOutcome::Invalid))?;
        let router = self.shared.routes.now();
        let Match {
            value: endpoint,
            params,
            protocol,
        } = router
            .find(head.uri.path(), upgrade.subprotocols())
            .map_err(turn_down)?;

        let proxies = &self.shared.proxies;
        let request = UpgradeRequest::new(head, upgrade, Arc::clone(&self.info), proxies, params);
        let request = &*asked.insert(request);
        let permit = self.admit_client(request)?;
        let target = request.target_origin();
        endpoint.origins.check(request.headers(), target.as_ref()).map_err(|refusal| {
            tracing::debug!(%refusal, target = target.as_ref().map(tracing::field::display), "origin refused");
            let text = format!("This page may not connect here: {refusal}.");
            Turned::down(Rejection::forbidden(text), HandshakeOutcome::Origin)
        })?;
        let accept = match &endpoint.route.hook {
            Some(hook) => hook(request.clone())
                .await
                .map_err(|rejection| Turned::down(rejection, HandshakeOutcome::Rejected))?,
            None => Accept::new(),
        };
        let protocol =
            protocol.or_else(|| choose_subprotocol(request.subprotocols(), &endpoint.route.subprotocols));
        let (accepted, response) = self
            .accept(endpoint, request, accept, protocol)
            .map_err(|mistake| {
                tracing::error!(mistake, path = request.path(), "the upgrade hook made a mistake");
                Turned::down(internal_error(), HandshakeOutcome::Failed)
            })?;
        Ok(Decided {
            accepted,
            endpoint: Arc::clone(endpoint),
            request: request.clone(),
            permit,
            response,
        })
    }

    /// A client behind a trusted proxy is counted once its address is known.
    fn admit_client(&self, request: &UpgradeRequest) -> Result<Option<AddressPermit>, Turned> {
        let behind_proxy = self.shared.proxies.contains(request.peer_address());
        let Some(ip) = request.client_ip().filter(|_| behind_proxy) else {
            return Ok(None);
        };
        self.shared.admission.admit_address(ip).map_err(|refusal| {
            self.shared.metrics.refused(refusal);
            let text = "There are too many connections from your address.";
            Turned::down(Rejection::unavailable(text), HandshakeOutcome::Limit)
        })
    }

    fn accept(
        &self,
        endpoint: &Endpoint,
        request: &UpgradeRequest,
        accept: Accept,
        protocol: Option<&str>,
    ) -> Result<(Accepted, Response<Body>), String> {
        let settings = accept.overrides.apply(&endpoint.settings);
        if let Some(name) = settings.zero() {
            return Err(format!("{name} must be more than zero"));
        }
        let mut acceptance = request.upgrade().accept();
        if let Some(deflate) = &settings.compression {
            acceptance = acceptance.deflate(deflate);
        }
        let acceptance = accept.respond(acceptance, protocol)?;
        let response = acceptance.response().map(|()| body::empty());
        Ok((
            Accepted::new(&acceptance, settings, accept.data, &self.shared.context),
            response,
        ))
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

/// A handshake that is being decided on. That it came to nothing is told if this is dropped before: the client may
/// leave while the hook thinks, and the hook may panic.
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

fn turn_down(no_match: NoMatch) -> Turned {
    match no_match {
        NoMatch::Path => Turned::down(
            Rejection::not_found("There is nothing here."),
            HandshakeOutcome::NotFound,
        ),
        NoMatch::Protocol => {
            let text = "None of the subprotocols that you offer is spoken here.";
            Turned::down(Rejection::not_found(text), HandshakeOutcome::NotFound)
        }
        NoMatch::Encoding => Turned::down(Refusal::Target, HandshakeOutcome::Invalid),
    }
}

fn internal_error() -> Rejection {
    Rejection::internal_error("The server made a mistake; its log says which.")
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

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a connection over a limit is told when nothing was read from it yet.
pub(super) const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
Content-Length: 0\r\nConnection: close\r\nRetry-After: 5\r\n\r\n";
