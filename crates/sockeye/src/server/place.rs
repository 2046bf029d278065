//! A connection in the counts of its server, in the least memory: what a worker keeps of it there.

use std::num::NonZeroU64;
use std::sync::Arc;

use super::admission::{AddressPermit, Permit};
use super::builder::Shared;
use super::connection::Connection;
use super::request::ConnectionInfo;
use super::shutdown::Tracked;
use crate::spread::share;

/// A connection in the counts of its server. It must be [taken out](Self::leave): dropping it does not do so.
#[derive(Debug)]
#[must_use = "the connection stays in the counts until this leaves"]
pub(crate) struct Place {
    /// The number of the connection, and one more; the highest bit tells that it is a WebSocket, the next one
    /// that it has not asked for anything yet.
    bits: NonZeroU64,
    /// What few connections need.
    keeps: Option<Box<Keeps>>,
}

#[derive(Debug, Default)]
struct Keeps {
    address_permit: Option<AddressPermit>,
    /// The one of the client behind a proxy.
    client_permit: Option<AddressPermit>,
    /// Who it is, if somebody wants to be told of the end.
    info: Option<Arc<ConnectionInfo>>,
}

impl Place {
    const IS_WEBSOCKET: u64 = 1 << 63;
    const IS_HALF_OPEN: u64 = 1 << 62;

    /// The place of a connection that is in the counts.
    pub(super) fn new(id: u64, is_half_open: bool, address_permit: Option<AddressPermit>) -> Self {
        let half_open = if is_half_open { Self::IS_HALF_OPEN } else { 0 };
        Self {
            bits: NonZeroU64::MIN.saturating_add(id) | half_open,
            keeps: address_permit.map(|permit| {
                Box::new(Keeps {
                    address_permit: Some(permit),
                    ..Keeps::default()
                })
            }),
        }
    }

    /// Takes a permit along for the address that it counts for.
    pub(super) fn counts_for(&mut self, permit: Option<AddressPermit>) {
        if permit.is_some() {
            self.keeps.get_or_insert_default().address_permit = permit;
        }
    }

    /// The number of the connection.
    pub(crate) fn id(&self) -> u64 {
        (self.bits.get() & !(Self::IS_WEBSOCKET | Self::IS_HALF_OPEN)) - 1
    }

    /// Its share of the time over which a server closes its connections.
    pub(crate) fn share(&self) -> f64 {
        share(self.id())
    }

    fn is_websocket(&self) -> bool {
        self.bits.get() & Self::IS_WEBSOCKET != 0
    }

    fn is_half_open(&self) -> bool {
        self.bits.get() & Self::IS_HALF_OPEN != 0
    }

    /// The first request has come.
    pub(super) fn arrived(&mut self, shared: &Shared) {
        // The number is more than zero, whatever the bits.
        if self.is_half_open()
            && let Some(bits) = NonZeroU64::new(self.bits.get() & !Self::IS_HALF_OPEN)
        {
            self.bits = bits;
            shared.admission.arrived();
        }
    }

    /// The connection is a WebSocket from here on.
    pub(super) fn upgraded(&mut self, shared: &Shared, permit: Option<AddressPermit>) {
        if !self.is_websocket() {
            self.bits |= Self::IS_WEBSOCKET;
            shared.lifecycle.upgraded();
        }
        if permit.is_some() {
            self.keeps.get_or_insert_default().client_permit = permit;
        }
    }

    /// Remembers who it is.
    pub(super) fn remember(&mut self, info: Arc<ConnectionInfo>) {
        self.keeps.get_or_insert_default().info = Some(info);
    }

    /// Who it is, if that is remembered.
    pub(crate) fn info(&self) -> Option<&Arc<ConnectionInfo>> {
        self.keeps.as_ref()?.info.as_ref()
    }

    /// Makes a connection with a task of it.
    pub(super) fn into_connection(
        self,
        shared: &Arc<Shared>,
        accepted_at: tokio::time::Instant,
    ) -> Connection {
        let tracked = shared.lifecycle.remembered(self.id(), self.is_websocket());
        let permit = Permit::remembered(&shared.admission, self.is_half_open());
        let address_permit = self.keeps.and_then(|keeps| keeps.address_permit);
        Connection::new(shared, accepted_at, tracked, permit, address_permit)
    }

    /// Takes the connection out of the counts.
    pub(super) fn leave(self, shared: &Arc<Shared>) {
        let _: Tracked = shared.lifecycle.remembered(self.id(), self.is_websocket());
        let _ = Permit::remembered(&shared.admission, self.is_half_open());
        shared.metrics.closed();
    }
}
