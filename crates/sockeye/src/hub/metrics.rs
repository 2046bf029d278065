//! What the hub counts.

use metrics::{Counter, counter, describe_counter};

/// Handles, registered once. A recorder must be installed before the server is built.
pub(super) struct HubMetrics {
    published: Counter,
    delivered: Counter,
    dropped: Counter,
    refused: Counter,
    limited: Counter,
}

impl HubMetrics {
    pub(super) fn new() -> Self {
        describe_counter!("sockeye_hub_published_total", "published messages");
        describe_counter!(
            "sockeye_hub_delivered_total",
            "published messages that were queued for a subscriber"
        );
        describe_counter!(
            "sockeye_hub_dropped_total",
            "published messages that a subscriber was too slow for"
        );
        describe_counter!(
            "sockeye_hub_refused_total",
            "messages not published because too many were on their way between threads"
        );
        describe_counter!(
            "sockeye_hub_subscriptions_refused_total",
            "subscriptions beyond the limit of a WebSocket"
        );
        Self {
            published: counter!("sockeye_hub_published_total"),
            delivered: counter!("sockeye_hub_delivered_total"),
            dropped: counter!("sockeye_hub_dropped_total"),
            refused: counter!("sockeye_hub_refused_total"),
            limited: counter!("sockeye_hub_subscriptions_refused_total"),
        }
    }

    /// So many messages were published, and so many given to subscribers.
    pub(super) fn flushed(&self, published: u64, delivered: u64) {
        self.published.increment(published);
        self.delivered.increment(delivered);
    }

    pub(super) fn dropped(&self) {
        self.dropped_many(1);
    }

    pub(super) fn dropped_many(&self, messages: u64) {
        self.dropped.increment(messages);
    }

    pub(super) fn refused(&self) {
        self.refused.increment(1);
    }

    pub(super) fn limited(&self) {
        self.limited.increment(1);
    }
}

impl std::fmt::Debug for HubMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HubMetrics").finish_non_exhaustive()
    }
}
