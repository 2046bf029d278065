//! What the hub needs of the sockets of a worker.

use bytes::Bytes;
use sockeye_proto::{Connection, MessageKind};

use super::Pressure;
use crate::driver::Output;

/// The sockets of a worker, by slot.
pub(crate) trait Recipients {
    /// One of them.
    type Recipient<'r>: Recipient
    where
        Self: 'r;

    /// The socket in this slot; `None` if nothing can be sent to it any more.
    fn recipient(&mut self, slot: u32) -> Option<Self::Recipient<'_>>;
}

/// A socket that published messages are sent to.
pub(crate) trait Recipient {
    /// Its protocol state.
    fn connection(&mut self) -> &mut Connection;

    /// Its output, to be added to. Whoever calls this calls [`touched`](Self::touched) as well.
    fn output(&mut self) -> &mut Output;

    /// How many bytes wait for the peer, those in flight too.
    fn waiting(&self) -> usize;

    /// The system took less than it was given, and will say when it takes more.
    fn is_blocked(&self) -> bool;

    /// How much may wait.
    fn pressure(&self) -> Pressure;

    /// Sends what waits now, as far as the system takes it.
    fn relieve(&mut self);

    /// Messages of so many bytes in all were added to the output: it is to be sent at the end of the turn.
    fn touched(&mut self, kind: MessageKind, messages: usize, bytes: usize);

    /// Too much waits, and the policy is to close.
    fn overflowed(&mut self);
}

/// Frames from this length on are referenced rather than copied, in bytes.
///
/// Adding to an output took 20 ns by reference, and 17, 23, 32 and 60 ns to copy 512, 1,024, 2,048 and 4,096 bytes; the
/// system has one more slice to walk by reference, and one cold buffer less to read.
const REFERENCED: usize = 2 * 1024;

/// Adds frames to the output of a socket: short ones are copied, long ones referenced.
///
/// Behind what waits already only frames are referenced that have their memory to themselves (`is_own`): parts of
/// something larger would keep all of it for as long as a slow peer takes.
pub(super) fn add(recipient: &mut impl Recipient, frames: Frames<'_>) {
    match frames {
        Frames::Lent(bytes) => recipient.output().tail().extend_from_slice(bytes),
        Frames::Shared { bytes, is_own } => {
            if bytes.len() >= REFERENCED && (is_own || !recipient.is_blocked()) {
                recipient.output().push(bytes);
            } else {
                recipient.output().tail().extend_from_slice(&bytes);
            }
        }
    }
}

/// Frames to be added to an output.
#[derive(Debug)]
pub(super) enum Frames<'f> {
    Lent(&'f [u8]),
    Shared { bytes: Bytes, is_own: bool },
}

/// Whether so many bytes are worth to be made sharable.
pub(super) const fn is_worth_sharing(len: usize) -> bool {
    len >= REFERENCED
}
