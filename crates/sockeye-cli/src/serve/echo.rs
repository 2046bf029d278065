//! What the server does with a WebSocket: it sends every message back as it came.

use std::sync::Arc;

use sockeye::MessageRef;
use sockeye::server::{Accept, Decline, Handler, Sent, Socket, UpgradeRequest};

use super::pages::Site;
use super::terms::InForce;

/// Echoes, on the terms in force.
#[derive(Debug, Clone)]
pub(super) struct Echo {
    pub(super) terms: InForce,
    pub(super) site: Arc<Site>,
}

impl Handler for Echo {
    type Data = ();

    /// Checks the origin by the terms in force.
    fn upgrade(&self, request: &UpgradeRequest, (): &mut ()) -> Result<Accept, Decline> {
        Ok(self.terms.decide(request)?)
    }

    fn open(&self, socket: &mut Socket<'_, ()>) {
        if self.terms.now().greeting {
            socket.send(format!("Request served by {}", self.site.hostname).as_str());
        }
    }

    fn message(&self, socket: &mut Socket<'_, ()>, message: MessageRef<'_>) {
        // A client that sends and does not read is not read from either. If that fails, the connection is lost.
        if socket.send(message) == Sent::Buffered {
            let _ = socket.pause();
        }
    }

    fn drain(&self, socket: &mut Socket<'_, ()>) {
        socket.resume();
    }
}
