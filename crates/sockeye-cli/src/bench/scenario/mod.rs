//! What connections do once they are open: a scenario is told what happens, and fills outputs.

mod broadcast;
mod churn;
mod echo;
mod idle;
mod slow;
mod track;

use bytes::Bytes;
use sockeye::driver::Output;
use sockeye_proto::Message;
use sockeye_proto::deflate::Parameters;

use super::clock::{Moment, Times};
use super::tally::Tally;
use crate::error::Failure;
pub(super) use broadcast::{Broadcast, BroadcastPlan, Deliveries};
pub(super) use churn::{Churn, ChurnPlan};
pub(super) use echo::{Echo, EchoPlan};
pub(super) use idle::Idle;
pub(super) use slow::{SlowPlan, SlowReader};
pub(super) use track::Track;

/// A thread's part of a load.
///
/// Connections have places, from 0 on; those of all threads are numbered beyond.
pub(super) trait Scenario: Send + Sized + 'static {
    /// What is remembered of each connection.
    type Peer: Default + Send;

    /// Whether connections are opened and closed all the time, when they are [due](Self::due), instead of once.
    const CHURNS: bool = false;

    /// A connection is open; `deflate` is what was agreed on.
    fn opened(
        &mut self,
        peer: &mut Self::Peer,
        place: usize,
        deflate: Option<Parameters>,
    ) -> Result<(), Failure>;

    /// A message came.
    fn message(&mut self, peer: &mut Self::Peer, message: Message<'_>, at: Moment, tally: &mut Tally);

    /// Adds what the connection has to send now. Called when something came, or is due, or when there is room again.
    fn fill(&mut self, peer: &mut Self::Peer, out: &mut Out<'_>, at: Moment, tally: &mut Tally);

    /// The connection ended or could not be opened, or the run ends: what is unanswered stays so.
    fn ended(&mut self, peer: &mut Self::Peer, place: usize, at: Moment, tally: &mut Tally);

    /// Times changed.
    fn schedule(&mut self, times: Times);

    /// The place of a connection that has something to do by the clock, and since when; called until there is none.
    fn due(&mut self, at: Moment) -> Option<(usize, Moment)>;

    /// When the next is due.
    fn next_due(&self) -> Moment;

    /// Whether nothing is on the way any more to or from this connection.
    fn is_idle(&self, peer: &Self::Peer) -> bool;

    /// Whether what comes is read now.
    fn reads(&self, _: &Self::Peer) -> bool {
        true
    }

    /// Whether the connection has done its part and is to be closed.
    fn leave(&self, _: &Self::Peer) -> Option<Leave> {
        None
    }

    /// Whether a server has reason to end this connection, so that it is no fault.
    fn provokes(&self, _: &Self::Peer) -> bool {
        false
    }
}

/// How a connection is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// By a closing handshake.
    Close,
    /// By a reset, without a word.
    Reset,
}

/// Where a connection's messages go.
#[derive(Debug)]
pub(super) struct Out<'a> {
    place: OutPlace<'a>,
    /// Bytes that waited already.
    waiting: usize,
    /// Bytes that were added.
    pub(super) added: usize,
}

#[derive(Debug)]
enum OutPlace<'a> {
    Plain(&'a mut Output),
    /// To be encrypted.
    Clear(&'a mut Vec<u8>),
}

impl<'a> Out<'a> {
    /// A connection with more waiting than this is not given more.
    const ROOM: usize = 256 * 1024;
    /// From here on a reference is cheaper than a copy.
    const REFERENCED: usize = 4 * 1024;

    pub(super) fn plain(output: &'a mut Output, in_flight: usize) -> Self {
        Self {
            waiting: output.len() + in_flight,
            place: OutPlace::Plain(output),
            added: 0,
        }
    }

    pub(super) fn clear(bytes: &'a mut Vec<u8>, waiting: usize) -> Self {
        Self {
            waiting: waiting + bytes.len(),
            place: OutPlace::Clear(bytes),
            added: 0,
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.waiting + self.added < Self::ROOM
    }

    /// Adds a frame that is ready.
    pub(super) fn frame(&mut self, frame: &Bytes) {
        self.added += frame.len();
        match &mut self.place {
            OutPlace::Plain(output) if frame.len() >= Self::REFERENCED => output.push(frame.clone()),
            OutPlace::Plain(output) => output.tail().extend_from_slice(frame),
            OutPlace::Clear(bytes) => bytes.extend_from_slice(frame),
        }
    }

    /// Adds what `write` appends.
    pub(super) fn write(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let bytes = match &mut self.place {
            OutPlace::Plain(output) => output.tail(),
            OutPlace::Clear(bytes) => bytes,
        };
        let before = bytes.len();
        write(bytes);
        self.added += bytes.len() - before;
    }
}
