//! Happy Eyeballs: which of a host's addresses answers first (RFC 8305 §5).

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

/// What an address has before the next one is tried as well. RFC 8305 §5: "One recommended value for a default delay
/// is 250 milliseconds."
const HEAD_START: Duration = Duration::from_millis(250);

/// The addresses that were tried, in their order, each with what it said if it failed.
#[derive(Debug, Default)]
pub(super) struct Tries(Vec<(SocketAddr, Option<io::Error>)>);

/// Tries the addresses in their order, each a head start after the one before, or at once when one fails. The first
/// that connects wins; the others are dropped.
///
/// Gives `None` when all have failed. `tries` says what happened, also when this future is dropped.
pub(super) async fn race<T, F>(
    addresses: &[SocketAddr],
    connect: impl Fn(SocketAddr) -> F,
    tries: &mut Tries,
) -> Option<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut waiting = addresses.iter();
    let mut racing = FuturesUnordered::new();
    loop {
        if let Some(&address) = waiting.next() {
            let number = tries.0.len();
            tries.0.push((address, None));
            let attempt = connect(address);
            racing.push(async move { (number, attempt.await) });
        } else if racing.is_empty() {
            return None;
        }
        tokio::select! {
            biased;
            Some((number, result)) = racing.next() => match result {
                Ok(io) => return Some(io),
                Err(error) => tries.0[number].1 = Some(error),
            },
            () = tokio::time::sleep(HEAD_START), if waiting.len() > 0 => {}
        }
    }
}

impl Tries {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// What the last address to fail said.
    pub(super) fn into_last_failure(self) -> Option<io::Error> {
        self.0.into_iter().rev().find_map(|(_, error)| error)
    }
}

/// Each address with its failure.
impl fmt::Display for Tries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (address, error)) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str("; ")?;
            }
            match error {
                Some(error) => write!(f, "{address}: {error}")?,
                None => write!(f, "{address}: no answer")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::time::{Instant, sleep, timeout};

    use super::*;

    /// How an address behaves, and after how many milliseconds.
    #[derive(Clone, Copy)]
    enum Answer {
        Connects(u64),
        Refuses(u64),
        Never,
    }
    use Answer::{Connects, Never, Refuses};

    /// What a race came to.
    #[derive(Debug)]
    struct Outcome {
        winner: Option<u16>,
        /// When each address was tried, in milliseconds from the start.
        tried_at: Vec<u128>,
        ended_at: u128,
        tries: Tries,
    }

    /// Races addresses that behave like this, under paused time, for at most ten seconds.
    async fn run(answers: &[Answer]) -> Outcome {
        let addresses: Vec<_> = (0..answers.len())
            .map(|at| SocketAddr::from(([192, 0, 2, 1], at as u16)))
            .collect();
        let started = Instant::now();
        let tried_at = Mutex::new(Vec::new());
        let connect = async |address: SocketAddr| {
            tried_at.lock().unwrap().push(started.elapsed().as_millis());
            let after = |milliseconds| sleep(Duration::from_millis(milliseconds));
            match answers[usize::from(address.port())] {
                Connects(milliseconds) => after(milliseconds).await,
                Refuses(milliseconds) => {
                    after(milliseconds).await;
                    return Err(io::ErrorKind::ConnectionRefused.into());
                }
                Never => std::future::pending().await,
            }
            Ok(address.port())
        };
        let mut tries = Tries::default();
        let race = race(&addresses, connect, &mut tries);
        let winner = timeout(Duration::from_secs(10), race).await.ok().flatten();
        Outcome {
            winner,
            tried_at: tried_at.into_inner().unwrap(),
            ended_at: started.elapsed().as_millis(),
            tries,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_start_a_head_start_apart_or_when_one_fails() {
        for (answers, winner, tried_at, ended_at) in [
            // The first is quick: nobody else is bothered.
            (&[Connects(20), Connects(0)][..], Some(0), &[0][..], 20),
            // The first is slow: the second is tried, but the first may still win.
            (&[Connects(260), Connects(500)], Some(0), &[0, 250], 260),
            (&[Connects(900), Connects(30)], Some(1), &[0, 250], 280),
            (&[Never, Never, Connects(5)], Some(2), &[0, 250, 500], 505),
            // A failure lets the next one start at once.
            (&[Refuses(0), Refuses(10), Connects(5)], Some(2), &[0, 0, 10], 15),
            (&[Never, Refuses(40), Connects(5)], Some(2), &[0, 250, 290], 295),
            // Nobody is left to be tried: the slow ones have all the time there is.
            (&[Connects(8000), Refuses(0)], Some(0), &[0, 250], 8000),
            (&[Refuses(300), Refuses(0)], None, &[0, 250], 300),
            (&[], None, &[], 0),
        ] {
            let outcome = run(answers).await;
            assert_eq!(outcome.winner, winner, "{outcome:?}");
            assert_eq!(outcome.tried_at, tried_at, "{outcome:?}");
            assert_eq!(outcome.ended_at, ended_at, "{outcome:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_address_is_listed_with_its_failure() {
        let outcome = run(&[Refuses(5), Never, Refuses(300)]).await;
        assert_eq!(
            outcome.tries.to_string(),
            "192.0.2.1:0: connection refused; 192.0.2.1:1: no answer; 192.0.2.1:2: connection refused"
        );
        assert_eq!(outcome.ended_at, 10_000);
        let last = outcome.tries.into_last_failure().unwrap();
        assert_eq!(last.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test(start_paused = true)]
    async fn the_losers_are_dropped_when_one_wins() {
        let attempts = Arc::new(());
        let addresses = [([192, 0, 2, 1], 0), ([192, 0, 2, 1], 1)].map(SocketAddr::from);
        let connect = |address: SocketAddr| {
            let attempt = Arc::clone(&attempts);
            async move {
                if address.port() == 0 {
                    std::future::pending::<()>().await;
                }
                drop(attempt);
                Ok(address)
            }
        };
        let won = race(&addresses, connect, &mut Tries::default()).await;
        assert_eq!(won, Some(addresses[1]));
        assert_eq!(Arc::strong_count(&attempts), 1);
    }
}
