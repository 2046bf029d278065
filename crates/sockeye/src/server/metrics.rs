//! What a server counts besides what its WebSockets count.

use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};

use super::HandshakeOutcome;
use super::admission::Refusal;

/// Handles, registered once. A recorder must be installed before the server is built.
pub(super) struct ServerMetrics {
    accepted: Counter,
    open: Gauge,
    handshakes: [Counter; HandshakeOutcome::ALL.len()],
    handshake_seconds: Histogram,
    refused: [Counter; Refusal::ALL.len()],
}

impl ServerMetrics {
    pub(super) fn new() -> Self {
        describe_counter!(
            "sockeye_server_connections_total",
            "accepted connections, HTTP and WebSocket"
        );
        describe_gauge!(
            "sockeye_server_connections_open",
            "open connections, HTTP and WebSocket"
        );
        describe_counter!(
            "sockeye_server_handshakes_total",
            "opening handshakes, by outcome"
        );
        describe_histogram!(
            "sockeye_server_handshake_seconds",
            Unit::Seconds,
            "from accepting a connection to the end of its WebSocket handshake"
        );
        describe_counter!(
            "sockeye_server_refused_total",
            "connections over a limit, by limit"
        );
        Self {
            accepted: counter!("sockeye_server_connections_total"),
            open: gauge!("sockeye_server_connections_open"),
            handshakes: HandshakeOutcome::ALL
                .map(|outcome| counter!("sockeye_server_handshakes_total", "outcome" => outcome.label())),
            handshake_seconds: histogram!("sockeye_server_handshake_seconds"),
            refused: Refusal::ALL
                .map(|refusal| counter!("sockeye_server_refused_total", "limit" => refusal.name())),
        }
    }

    pub(super) fn opened(&self) {
        self.accepted.increment(1);
        self.open.increment(1);
    }

    pub(super) fn closed(&self) {
        self.open.decrement(1);
    }

    /// So many workers are at work, with this driver.
    #[cfg(engine)]
    pub(super) fn workers(&self, driver: crate::driver::DriverKind, count: usize) {
        describe_gauge!("sockeye_server_workers", "workers of the server, by driver");
        #[expect(clippy::cast_precision_loss, reason = "there are few")]
        gauge!("sockeye_server_workers", "driver" => driver.name()).set(count as f64);
    }

    pub(super) fn refused(&self, refusal: Refusal) {
        self.refused[refusal as usize].increment(1);
    }

    pub(super) fn handshake(&self, outcome: HandshakeOutcome) {
        self.handshakes[outcome as usize].increment(1);
    }

    pub(super) fn handshake_took(&self, time: Duration) {
        self.handshake_seconds.record(time);
    }
}

impl std::fmt::Debug for ServerMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerMetrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_limits_is_in_the_order_of_its_enum() {
        let in_order = |(at, refusal): (usize, &Refusal)| *refusal as usize == at;
        assert!(Refusal::ALL.iter().enumerate().all(in_order));
    }
}
