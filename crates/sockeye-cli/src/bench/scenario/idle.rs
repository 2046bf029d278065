//! Connections that do nothing but be there.

use sockeye_proto::Message;
use sockeye_proto::deflate::Parameters;

use super::echo::{Echo, Peer};
use super::{Out, Scenario};
use crate::bench::clock::{Moment, NEVER, Times};
use crate::bench::tally::Tally;
use crate::error::Failure;

/// A thread's part of the scenario `idle`: what each connection sends before it rests.
#[derive(Debug)]
pub(in crate::bench) struct Idle(pub(in crate::bench) Option<Echo>);

impl Scenario for Idle {
    type Peer = Peer;

    fn opened(&mut self, peer: &mut Peer, place: usize, deflate: Option<Parameters>) -> Result<(), Failure> {
        match &mut self.0 {
            Some(echo) => echo.opened(peer, place, deflate),
            None => Ok(()),
        }
    }

    fn message(&mut self, peer: &mut Peer, message: Message<'_>, at: Moment, tally: &mut Tally) {
        if let Some(echo) = &mut self.0 {
            echo.message(peer, message, at, tally);
        }
    }

    fn fill(&mut self, peer: &mut Peer, out: &mut Out<'_>, at: Moment, tally: &mut Tally) {
        if let Some(echo) = self.0.as_mut().filter(|_| peer.has_sent_nothing()) {
            echo.fill(peer, out, at, tally);
        }
    }

    fn ended(&mut self, peer: &mut Peer, place: usize, at: Moment, tally: &mut Tally) {
        if let Some(echo) = &mut self.0 {
            // Its time does not count, but its answer must come.
            tally.counted.unanswered += u64::from(!echo.is_idle(peer));
            echo.ended(peer, place, at, tally);
        }
    }

    fn schedule(&mut self, times: Times) {
        if let Some(echo) = &mut self.0 {
            echo.schedule(times);
        }
    }

    fn due(&mut self, _: Moment) -> Option<(usize, Moment)> {
        None
    }

    fn next_due(&self) -> Moment {
        NEVER
    }

    fn is_idle(&self, peer: &Peer) -> bool {
        self.0.as_ref().is_none_or(|echo| echo.is_idle(peer))
    }
}
