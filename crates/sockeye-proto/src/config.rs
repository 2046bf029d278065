//! The limits and timeouts of a connection.

use std::num::NonZeroUsize;
use std::time::Duration;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// What a connection puts up with, and how it hands messages out.
///
/// A plain struct: take the defaults of your role and change what you need. Every value that a peer can make grow
/// has a limit here, and reaching one closes the connection with a code and a reason that names it.
///
/// ```
/// use sockeye_proto::Config;
///
/// let config = Config { max_message_size: 1024 * 1024, ..Config::server() };
/// assert_eq!(config.max_fragments, 1024);
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// The largest message, in bytes, after inflation; `u64::MAX` for no limit.
    ///
    /// Server: 1 MiB, since anybody may connect, and browsers send a file or a picture in one message without asking.
    /// Client: 16 MiB, since it chose its server.
    /// Reached: 1009.
    pub max_message_size: u64,
    /// The largest payload of a single frame, in bytes on the wire; `u64::MAX` for no limit.
    ///
    /// No limit by default: a frame is never larger than its message, and nothing is reserved for a declared
    /// length. Reached: 1009.
    pub max_frame_size: u64,
    /// The most fragments, empty ones included, that one message may arrive in.
    ///
    /// Server: 1,024; client: 65,536. Each fragment costs a header to parse whatever it carries. Reached: 1008.
    pub max_fragments: u32,
    /// The most control frames (Ping, Pong) that may arrive in one second.
    ///
    /// Default: 1,000. Each may cost an answer. Reached: 1008.
    pub max_control_rate: u32,
    /// How received messages are handed out. Default: whole.
    pub delivery: Delivery,
    /// Whether Pings are answered without the application. Default: yes.
    ///
    /// RFC 6455 §5.5.2: an endpoint "MUST send a Pong frame in response, unless it already received a Close frame".
    /// Without this the application has to, with [`Connection::pong`](crate::Connection::pong).
    pub auto_pong: bool,
    /// The longest payload of a frame to send whole messages in, in bytes on the wire: longer messages are sent in
    /// several frames. Default: none, every message is one frame.
    ///
    /// Worth it for a peer that accepts small frames only. Fragments that the application makes itself stay as they
    /// are.
    pub fragmentation_threshold: Option<NonZeroUsize>,
    /// Whether and when to send Pings by itself. Server: after 25 s of silence, 10 s for the answer, which is below
    /// the 60 s after which common proxies drop an idle connection. Client: none.
    ///
    /// While the application has paused receiving, an unsolicited Pong goes out after each interval instead, and no
    /// answer is waited for.
    pub keepalive: Option<Keepalive>,
    /// From the first byte of a message to its last. Server: 30 s; client: none. Reached: 1008.
    pub message_timeout: Option<Duration>,
    /// From the start of the closing handshake to the end of the transport. Default: 10 s.
    pub close_timeout: Duration,
    /// How long the peer may send nothing at all. Default: none, since keepalive finds dead peers. Reached: 1001.
    pub idle_timeout: Option<Duration>,
    /// How old the connection may get. Default: none. Reached: 1001.
    pub max_lifetime: Option<Duration>,
    /// By how much a connection may end before its [`max_lifetime`](Self::max_lifetime), in percent of it, so that
    /// connections that were opened together do not all come back together. Default: 10. More than 100 counts as 100.
    ///
    /// Which part of it a connection loses is up to the caller
    /// ([`Connection::shorten_lifetime`](crate::Connection::shorten_lifetime)): unless that is called, none.
    pub lifetime_jitter: u8,
}

impl Config {
    /// The defaults of a server: small limits, since anybody may connect.
    #[must_use]
    pub const fn server() -> Self {
        Self {
            max_message_size: MIB,
            max_frame_size: u64::MAX,
            max_fragments: 1024,
            max_control_rate: 1000,
            delivery: Delivery::Messages,
            auto_pong: true,
            fragmentation_threshold: None,
            keepalive: Some(Keepalive {
                interval: Duration::from_secs(25),
                timeout: Duration::from_secs(10),
            }),
            message_timeout: Some(Duration::from_secs(30)),
            close_timeout: Duration::from_secs(10),
            idle_timeout: None,
            max_lifetime: None,
            lifetime_jitter: 10,
        }
    }

    /// The defaults of a client: larger limits, since it chose its server.
    #[must_use]
    pub const fn client() -> Self {
        Self {
            max_message_size: 16 * MIB,
            max_fragments: 65_536,
            keepalive: None,
            message_timeout: None,
            ..Self::server()
        }
    }
}

/// How received messages are handed out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Delivery {
    /// As whole messages, assembled from their fragments.
    #[default]
    Messages,
    /// Piece by piece, as the bytes arrive, with frame boundaries shown: memory stays constant however large the
    /// message is. Raise [`Config::max_message_size`] and [`Config::message_timeout`] to match.
    Chunks,
    /// Frame by frame, each whole, for programs that look at the framing itself: proxies, test tools.
    Frames,
}

/// When to probe a silent peer with a Ping.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Keepalive {
    /// How long the peer may be silent before it is sent a Ping.
    pub interval: Duration,
    /// How long after the Ping left for the network its Pong may take. Reached: 1011.
    pub timeout: Duration,
}
