//! Counters and histograms, through the `metrics` facade.
//!
//! A program that installs a recorder before it makes a server or a client sees them; others pay an atomic no-op.

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};
use sockeye_proto::{Error, Limit, MessageKind, ProtocolError, Timeout};

/// The metrics of sessions, registered once and shared by all of a server or a client.
#[derive(Debug)]
pub(crate) struct SessionMetrics {
    received: Kinds,
    sent: Kinds,
    open: Gauge,
    send_queue: Histogram,
}

/// Messages and bytes of one direction, by kind.
struct Kinds {
    text: (Counter, Counter),
    binary: (Counter, Counter),
}

impl std::fmt::Debug for Kinds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kinds").finish_non_exhaustive()
    }
}

impl Kinds {
    fn new(direction: &'static str) -> Self {
        let pair = |kind: &'static str| {
            (
                counter!("sockeye_messages_total", "direction" => direction, "kind" => kind),
                counter!("sockeye_message_bytes_total", "direction" => direction, "kind" => kind),
            )
        };
        Self {
            text: pair("text"),
            binary: pair("binary"),
        }
    }

    fn of(&self, kind: MessageKind) -> &(Counter, Counter) {
        match kind {
            MessageKind::Text => &self.text,
            MessageKind::Binary => &self.binary,
        }
    }
}

/// What was received and sent by many sessions, counted without sharing until the [metrics are told](SessionMetrics::add).
#[derive(Debug, Default)]
pub(crate) struct Tally {
    received: [Count; 2],
    sent: [Count; 2],
    /// Messages that were dropped, because too much waited for the peer.
    dropped: u64,
    /// There is something in it.
    is_new: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    messages: u64,
    bytes: u64,
}

impl Count {
    #[inline]
    fn add(&mut self, messages: u64, bytes: usize) {
        self.messages += messages;
        self.bytes += bytes as u64;
    }
}

impl Tally {
    /// Counts bytes that were received, and the messages that they ended.
    #[inline]
    pub(crate) fn received(&mut self, kind: MessageKind, messages: u64, bytes: usize) {
        self.is_new = true;
        self.received[kind as usize].add(messages, bytes);
    }

    /// Counts bytes that were sent, and the messages that they ended.
    #[inline]
    pub(crate) fn sent(&mut self, kind: MessageKind, messages: u64, bytes: usize) {
        self.is_new = true;
        self.sent[kind as usize].add(messages, bytes);
    }

    /// Counts a message that was dropped.
    pub(crate) fn dropped(&mut self) {
        self.is_new = true;
        self.dropped += 1;
    }
}

impl SessionMetrics {
    pub(crate) fn new() -> Self {
        describe_counter!(
            "sockeye_messages_total",
            "WebSocket messages, by direction and kind"
        );
        describe_counter!(
            "sockeye_message_bytes_total",
            Unit::Bytes,
            "payload bytes of WebSocket messages after inflation, by direction and kind"
        );
        describe_counter!(
            "sockeye_messages_dropped_total",
            "messages not sent because too much waited for the peer"
        );
        describe_counter!(
            "sockeye_closes_total",
            "ended WebSocket connections, by close code"
        );
        describe_counter!("sockeye_failures_total", "failed WebSocket connections, by cause");
        describe_gauge!("sockeye_connections_open", "open WebSocket connections");
        describe_histogram!(
            "sockeye_send_queue_bytes",
            Unit::Bytes,
            "bytes waiting for a peer, each time its transport stops taking them"
        );
        Self {
            send_queue: histogram!("sockeye_send_queue_bytes"),
            received: Kinds::new("in"),
            sent: Kinds::new("out"),
            open: gauge!("sockeye_connections_open"),
        }
    }

    /// Adds what was counted, and starts the count anew.
    #[inline]
    pub(crate) fn add(&self, tally: &mut Tally) {
        if tally.is_new {
            self.add_all(tally);
        }
    }

    fn add_all(&self, tally: &mut Tally) {
        for (kinds, counts) in [(&self.received, &tally.received), (&self.sent, &tally.sent)] {
            for kind in [MessageKind::Text, MessageKind::Binary] {
                let count = counts[kind as usize];
                if count.bytes > 0 || count.messages > 0 {
                    let (messages, bytes) = kinds.of(kind);
                    messages.increment(count.messages);
                    bytes.increment(count.bytes);
                }
            }
        }
        if tally.dropped > 0 {
            counter!("sockeye_messages_dropped_total").increment(tally.dropped);
        }
        *tally = Tally::default();
    }

    pub(crate) fn received(&self, kind: MessageKind, bytes: usize) {
        let (messages, total) = self.received.of(kind);
        messages.increment(1);
        total.increment(bytes as u64);
    }

    pub(crate) fn received_piece(&self, kind: MessageKind, bytes: usize, ends_message: bool) {
        let (messages, total) = self.received.of(kind);
        messages.increment(u64::from(ends_message));
        total.increment(bytes as u64);
    }

    pub(crate) fn sent(&self, kind: MessageKind, bytes: usize) {
        let (messages, total) = self.sent.of(kind);
        messages.increment(1);
        total.increment(bytes as u64);
    }

    pub(crate) fn sent_piece(&self, kind: MessageKind, bytes: usize, ends_message: bool) {
        let (messages, total) = self.sent.of(kind);
        messages.increment(u64::from(ends_message));
        total.increment(bytes as u64);
    }

    pub(crate) fn opened(&self) {
        self.open.increment(1);
    }

    pub(crate) fn closed(&self, code: u16) {
        self.open.decrement(1);
        // Codes a peer makes up must not make up time series.
        let code = match code {
            1000..=1015 => code.to_string(),
            3000..=3999 => "3xxx".to_owned(),
            _ => "4xxx".to_owned(),
        };
        counter!("sockeye_closes_total", "code" => code).increment(1);
    }

    /// The transport takes no more, and this many bytes wait.
    pub(crate) fn blocked(&self, bytes: usize) {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a queue is far smaller than 2^52 bytes"
        )]
        self.send_queue.record(bytes as f64);
    }

    /// The peer took nothing for so long that it was dropped.
    pub(crate) fn write_stalled(&self) {
        counter!("sockeye_failures_total", "cause" => "write_stalled").increment(1);
    }

    pub(crate) fn failed(&self, error: &Error) {
        counter!("sockeye_failures_total", "cause" => cause(error)).increment(1);
    }
}

/// The cause of a failure as a label: one of a fixed set.
fn cause(error: &Error) -> &'static str {
    match error {
        Error::Protocol(ProtocolError::Utf8Invalid) => "utf8",
        Error::Protocol(ProtocolError::DeflateInvalid) => "deflate",
        Error::Protocol(_) => "protocol",
        Error::Limit(Limit::MessageSize(_)) => "limit_message_size",
        Error::Limit(Limit::FrameSize(_)) => "limit_frame_size",
        Error::Limit(Limit::Fragments(_)) => "limit_fragments",
        Error::Limit(Limit::ControlRate(_)) => "limit_control_rate",
        Error::Limit(_) => "limit",
        Error::Timeout(Timeout::Close(_)) => "timeout_close",
        Error::Timeout(Timeout::Idle(_)) => "timeout_idle",
        Error::Timeout(Timeout::Keepalive(_)) => "timeout_keepalive",
        Error::Timeout(Timeout::Lifetime(_)) => "timeout_lifetime",
        Error::Timeout(Timeout::Message(_)) => "timeout_message",
        Error::Timeout(_) => "timeout",
        Error::ConnectionLost => "connection_lost",
        _ => "other",
    }
}
