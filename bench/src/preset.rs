//! Runs that are asked for often: which servers, which scenarios, how much effort.

use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;

use crate::measure::Effort;
use crate::peer::Peer;
use crate::proof;
use crate::scenario::{self, Scenario};

/// What is measured unless other options say otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Preset {
    /// Some standard scenarios, all servers, 3 rounds of 0.5 seconds
    Quick,
    /// The rows that have a goal, µWebSockets, Sockeye's drivers and all Rust libraries, 15 rounds of 0.2 seconds; says
    /// which goals are reached
    Proof,
    /// All standard scenarios, all servers, 2 rounds of 0.2 seconds
    Survey,
    /// All standard scenarios, all servers, 6 rounds of 1.5 seconds: hours
    Full,
}

impl Preset {
    pub(crate) const fn effort(self) -> Effort {
        let (rounds, millis) = match self {
            Self::Quick => (3, 500),
            // The median of many short rounds is moved less by neighbours than that of few long ones.
            Self::Proof => (15, 200),
            Self::Survey => (2, 200),
            Self::Full => (6, 1500),
        };
        Effort {
            rounds,
            duration: Duration::from_millis(millis),
        }
    }

    pub(crate) fn scenarios(self) -> Result<Vec<Scenario>> {
        match self {
            Self::Quick => Ok(scenario::standard(true)),
            Self::Proof => proof::GOALS.iter().map(|goal| goal.scenario.parse()).collect(),
            Self::Survey | Self::Full => Ok(scenario::standard(false)),
        }
    }

    /// The servers, the first of which the others are compared with. Other sources of µWebSockets take part where there
    /// are any.
    pub(crate) fn peers(self, other_sources: bool) -> Vec<Peer> {
        Peer::value_variants()
            .iter()
            .copied()
            .filter(|&peer| match peer {
                Peer::UwebsocketsSources => other_sources,
                Peer::Uwebsockets | Peer::SockeyeUring | Peer::SockeyeReadiness => true,
                _ => self != Self::Proof || peer.is_rust_rival(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proof_measures_every_goal_beside_the_reference_and_the_rust_libraries() {
        let scenarios = Preset::Proof.scenarios().unwrap();
        assert_eq!(scenarios.len(), proof::GOALS.len());
        let peers = Preset::Proof.peers(false);
        assert_eq!(peers[0], Peer::Uwebsockets);
        assert!(peers.contains(&Peer::Fastwebsockets));
        assert!(!peers.contains(&Peer::Ws) && !peers.contains(&Peer::UwebsocketsSources));
        assert!(Preset::Proof.peers(true).contains(&Peer::UwebsocketsSources));
    }
}
