//! From received bytes to plaintext: driving rustls through what came.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, UnbufferedStatus};

/// Type, version and length of a record.
pub(super) const HEADER: usize = 5;

/// The longest record that rustls reads, in bytes: that of TLS 1.2.
pub(super) const MAX_RECORD: usize = HEADER + (1 << 14) + 2048;

/// What came of received bytes.
#[derive(Default)]
pub(super) struct Progress {
    /// How many of them, from the front, are not needed any more.
    pub(super) used: usize,
    /// The peer says that it has sent everything.
    pub(super) is_closed: bool,
}

/// Lets rustls work until it has nothing more to do. Plaintext is appended to `plain`, and what TLS has to say to `out`.
pub(super) fn advance(
    connection: &mut UnbufferedServerConnection,
    bytes: &mut [u8],
    plain: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Result<Progress, rustls::Error> {
    let mut progress = Progress::default();
    loop {
        let UnbufferedStatus { mut discard, state } =
            connection.process_tls_records(&mut bytes[progress.used..]);
        let rests = match state? {
            ConnectionState::EncodeTlsData(data) => {
                encode(data, out);
                false
            }
            ConnectionState::TransmitTlsData(data) => {
                data.done();
                false
            }
            ConnectionState::ReadTraffic(mut traffic) => {
                while let Some(record) = traffic.next_record() {
                    let record = record?;
                    discard += record.discard;
                    plain.extend_from_slice(record.payload);
                }
                false
            }
            ConnectionState::PeerClosed => {
                progress.is_closed = true;
                false
            }
            ConnectionState::BlockedHandshake
            | ConnectionState::WriteTraffic(_)
            | ConnectionState::Closed => true,
            // Data before the handshake is not asked for, and what states there may be one day is not known.
            _ => return Err(rustls::Error::General("an unexpected state".to_owned())),
        };
        progress.used += discard;
        if rests {
            return Ok(progress);
        }
    }
}

/// The same behind our `close_notify`. It is over with the connection when this fails.
///
/// Whatever is wrong with a record has an alert for it, and rustls asserts, where debug assertions are on, that no alert
/// falls due behind `close_notify`. No peer may end the thread by that, so it is one more way to fail; what is wrong is
/// then in the message of the assertion only.
pub(super) fn advance_mute(
    connection: &mut UnbufferedServerConnection,
    bytes: &mut [u8],
    plain: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Result<Progress, rustls::Error> {
    let advance = AssertUnwindSafe(|| advance(connection, bytes, plain, out));
    catch_unwind(advance).unwrap_or_else(|_| {
        Err(rustls::Error::General(
            "a record behind our end is wrong".to_owned(),
        ))
    })
}

/// Appends what rustls has prepared before it failed, an alert mostly.
pub(super) fn say_rest(connection: &mut UnbufferedServerConnection, out: &mut Vec<u8>) {
    // Once nothing waits, rustls would go on with what was received, and must not after an error.
    while connection.wants_write() {
        match connection.process_tls_records(&mut []).state {
            Ok(ConnectionState::EncodeTlsData(data)) => encode(data, out),
            _ => return,
        }
    }
}

fn encode(mut data: EncodeTlsData<'_, ServerConnectionData>, out: &mut Vec<u8>) {
    // Asked with no room, it tells how much it takes.
    if let Err(EncodeError::InsufficientSize(needed)) = data.encode(&mut []) {
        let at = out.len();
        out.resize(at + needed.required_size, 0);
        let written = data.encode(&mut out[at..]).unwrap_or(0);
        out.truncate(at + written);
    }
}

/// How much of the record that begins here is still to come; `None` if it is whole.
pub(super) fn missing(begun: &[u8]) -> Option<usize> {
    let len = match begun.first_chunk::<HEADER>() {
        Some(&[.., high, low]) => HEADER + usize::from(u16::from_be_bytes([high, low])),
        None => HEADER,
    };
    len.checked_sub(begun.len()).filter(|&missing| missing > 0)
}
