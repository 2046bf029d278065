//! What a server decides about a request for a WebSocket, step by step; in which order, whoever answers it
//! knows.

use std::sync::Arc;

use sockeye_proto::handshake::server::{Acceptance, Refusal, Rejection, Upgrade};

use super::admission::AddressPermit;
use super::builder::Shared;
use super::request::{ConnectionInfo, UpgradeRequest};
use super::router::NoMatch;
use super::routes::Endpoint;
use super::{Accept, HandshakeOutcome};
use crate::upgrade::{Accepted, choose_subprotocol};

/// An upgrade hook's no.
#[derive(Clone, Debug)]
pub enum Decline {
    /// Turns the client down with this answer.
    Reject(Rejection),
    /// Leaves the client to the next route that fits the request; if there is none, to the
    /// [fallback](super::ServerBuilder::fallback); without one it is answered 404. Routes that fit the
    /// same path are tried in this order: static segments before parameters before wildcards, those
    /// [for a subprotocol](super::ForProtocol::Named) before those for all, those of the
    /// [domain](super::ServerBuilder::host) before those of all domains.
    Next,
}

impl From<Rejection> for Decline {
    fn from(rejection: Rejection) -> Self {
        Self::Reject(rejection)
    }
}

/// Why a handshake is turned down: the answer, and what the metrics call it.
#[derive(Debug)]
pub(super) struct Turned(pub(super) Rejection, pub(super) HandshakeOutcome);

impl Turned {
    pub(super) fn down(rejection: impl Into<Rejection>, outcome: HandshakeOutcome) -> Self {
        Self(rejection.into(), outcome)
    }

    /// No route was found, after `passed` of them had passed the request on.
    pub(super) fn unmatched(no_match: NoMatch, passed: usize) -> Self {
        let text = match no_match {
            NoMatch::Encoding => return Self::down(Refusal::Target, HandshakeOutcome::Invalid),
            NoMatch::Protocol if passed == 0 => "None of the subprotocols that you offer is spoken here.",
            NoMatch::Path | NoMatch::Protocol => "There is nothing here.",
        };
        Self::down(Rejection::not_found(text), HandshakeOutcome::NotFound)
    }

    /// The application made a mistake, of which the client learns only that there was one.
    pub(super) fn by_mistake(mistake: &str, request: &UpgradeRequest) -> Self {
        tracing::error!(mistake, path = request.path(), "the upgrade hook made a mistake");
        Self::down(internal_error(), HandshakeOutcome::Failed)
    }
}

pub(super) fn internal_error() -> Rejection {
    Rejection::internal_error("The server made a mistake; its log says which.")
}

impl Shared {
    /// Checks a request against RFC 6455.
    pub(super) fn understand(
        &self,
        head: http::request::Parts,
        info: &Arc<ConnectionInfo>,
    ) -> Result<UpgradeRequest, Turned> {
        let upgrade = Upgrade::check(&head.method, head.version, &head.uri, &head.headers)
            .map_err(|refusal| Turned::down(refusal, HandshakeOutcome::Invalid))?;
        Ok(UpgradeRequest::new(
            head,
            upgrade,
            Arc::clone(info),
            &self.proxies,
        ))
    }

    /// A client behind a trusted proxy is counted once its address is known.
    pub(super) fn admit_client(&self, request: &UpgradeRequest) -> Result<Option<AddressPermit>, Turned> {
        let behind_proxy = self.proxies.contains(request.peer_address());
        let Some(ip) = request.client_ip().filter(|_| behind_proxy) else {
            return Ok(None);
        };
        self.admission.admit_address(ip).map_err(|refusal| {
            self.metrics.refused(refusal);
            let text = "There are too many connections from your address.";
            Turned::down(Rejection::unavailable(text), HandshakeOutcome::Limit)
        })
    }

    /// What was agreed on, and the response that says so; or the mistake that the hook made.
    pub(super) fn agree<'r>(
        &self,
        endpoint: &Endpoint,
        request: &'r UpgradeRequest,
        accept: Accept,
        protocol: Option<&str>,
    ) -> Result<(Accepted, Acceptance<'r>), Turned> {
        let mistake = |mistake: String| Turned::by_mistake(&mistake, request);
        let settings = accept.overrides.apply(&endpoint.settings);
        if let Some(name) = settings.zero() {
            return Err(mistake(format!("{name} must be more than zero")));
        }
        let mut acceptance = request.upgrade().accept();
        if let Some(deflate) = &settings.compression {
            acceptance = acceptance.deflate(deflate);
        }
        let protocol =
            protocol.or_else(|| choose_subprotocol(request.subprotocols(), &endpoint.route.subprotocols));
        let acceptance = accept.respond(acceptance, protocol).map_err(mistake)?;
        let accepted = Accepted::new(&acceptance, settings, accept.data, &self.context);
        Ok((accepted, acceptance))
    }
}

impl Endpoint {
    /// Whether the page that asks may connect.
    pub(super) fn check_origin(&self, request: &UpgradeRequest) -> Result<(), Turned> {
        let target = request.target_origin();
        self.origins
            .check(request.headers(), target.as_ref())
            .map_err(|refusal| {
                let target = target.as_ref().map(tracing::field::display);
                tracing::debug!(%refusal, target, "origin refused");
                let text = format!("This page may not connect here: {refusal}.");
                Turned::down(Rejection::forbidden(text), HandshakeOutcome::Origin)
            })
    }
}
