//! An open connection: what is queued goes out on it, until it ends.

use std::pin::{Pin, pin};
use std::time::Duration;

use sockeye_proto::SendError;
use tokio::time::timeout;

use super::cause::Cause;
use super::shared::{Ended, Shared, Stop};
use crate::error::{Error, Result};
use crate::session::CloseInfo;
use crate::websocket::Sender;

/// Bytes that are given to a connection before it is flushed. Should it be lost, the fate of no more than these is
/// unknown.
const BATCH: usize = 64 * 1024;

/// What a message counts beside its payload, so that a batch of empty ones ends too.
const OVERHEAD: usize = 64;

/// How long a connection may take to close.
const CLOSE_PATIENCE: Duration = Duration::from_secs(30);

/// One connection.
pub(super) struct Carrier<'a> {
    pub(super) shared: &'a Shared,
    pub(super) sender: &'a Sender,
    /// Its number.
    pub(super) connection: u64,
    /// How long the answer to a probe may take.
    pub(super) probe: Duration,
}

/// What to do on an open connection.
enum Work {
    /// There is something to send.
    Send,
    /// The network changed: is the peer still there?
    Probe,
    /// The application cannot use it.
    Drop(Error),
    Stop(Stop),
}

impl Carrier<'_> {
    /// Gives the connection what is queued, until it ends or is to be closed.
    pub(super) async fn carry(&self) -> Result<Cause, Stop> {
        let mut closed = pin!(self.sender.closed());
        let mut probe = pin!(None);
        let mut probes = 0;
        loop {
            let work = self.shared.until(|state| {
                if let Some(error) = state.unusable.take() {
                    Some(Work::Drop(error))
                } else if state.queue.has_next() {
                    Some(Work::Send)
                } else if let Some(stop) = &state.stop {
                    Some(Work::Stop(stop.clone()))
                } else {
                    std::mem::take(&mut state.network_changed).then_some(Work::Probe)
                }
            });
            let work = tokio::select! {
                biased;
                closed = &mut closed => return Ok(cause(closed)),
                work = work => work,
                Some(alive) = answer(probe.as_mut()) => {
                    probe.set(None);
                    if !alive {
                        self.sender.abort();
                    }
                    continue;
                }
            };
            match work {
                Work::Send => {
                    if let Err(error) = self.hand_over().await {
                        return Ok(self.end_of(error).await);
                    }
                }
                Work::Probe => {
                    probes += 1;
                    probe.set(Some(self.is_alive(probes)));
                }
                Work::Drop(error) => {
                    self.sender.abort();
                    let _ = closed.await;
                    return Ok(Cause::Lost(error));
                }
                Work::Stop(stop) => return Err(stop),
            }
        }
    }

    /// Whether the peer answers the probe of this number in time. The Pong of an earlier one says nothing about now.
    ///
    /// Time in which nothing was read, because the application was behind, says nothing about the peer.
    async fn is_alive(&self, number: u64) -> bool {
        let payload = format!("probe {number}");
        let mut pong = pin!(self.sender.ping(payload.as_bytes()));
        loop {
            let pauses = self.sender.pauses();
            if let Ok(pong) = timeout(self.probe, &mut pong).await {
                return pong.is_ok();
            }
            if pauses.is_some() && pauses == self.sender.pauses() {
                return false;
            }
        }
    }

    /// Gives the connection one batch, and waits until the transport has it.
    async fn hand_over(&self) -> Result<()> {
        let mut taken = Ok(());
        let mut size = 0;
        while size < BATCH {
            // The peer may drop what comes behind its Close frame.
            if self.sender.close_info().is_some() {
                taken = Err(SendError::Closed.into());
                break;
            }
            let Some((id, message)) = self.shared.change(|state| state.queue.take_next(self.connection))
            else {
                break;
            };
            size += message.len() + OVERHEAD;
            taken = self.sender.send(&message).await;
            self.shared.change(|state| match &taken {
                Ok(()) => state.queue.given(id, self.connection),
                Err(_) => state.queue.put_back(id),
            });
            if taken.is_err() {
                break;
            }
        }
        // Also when one was not taken: those before it may still leave.
        self.sender.flush().await?;
        self.shared.change(|state| state.queue.flushed(self.connection));
        taken
    }

    /// Waits for the end of a connection that takes no messages any more.
    async fn end_of(&self, error: Error) -> Cause {
        if !error.is_closed() {
            self.sender.abort();
            let _ = self.sender.closed().await;
            return Cause::Lost(error);
        }
        // Nobody may take what has arrived, and the end lies behind it.
        let impatient = async {
            self.shared.until(|state| state.stop.as_ref().map(|_| ())).await;
            tokio::time::sleep(CLOSE_PATIENCE).await;
        };
        tokio::select! {
            biased;
            closed = self.sender.closed() => cause(closed),
            () = impatient => {
                self.sender.abort();
                cause(self.sender.closed().await)
            }
        }
    }

    pub(super) async fn close(&self, stop: &Stop) -> Ended {
        // The reason was checked when it was given.
        let _ = self.sender.start_close(stop.code, &stop.reason);
        let closed = match timeout(CLOSE_PATIENCE, self.sender.closed()).await {
            Ok(closed) => closed,
            Err(_) => {
                self.sender.abort();
                self.sender.closed().await
            }
        };
        match closed {
            Ok(info) => Ended::Closed(Some(info)),
            Err(error) => Ended::Failed(error),
        }
    }
}

/// Why a connection ended that this client did not close.
fn cause(closed: Result<CloseInfo>) -> Cause {
    match closed {
        Ok(info) => Cause::Closed(info),
        Err(error) => Cause::Lost(error),
    }
}

/// What a probe found, if there is one.
async fn answer(probe: Pin<&mut Option<impl Future<Output = bool>>>) -> Option<bool> {
    match probe.as_pin_mut() {
        Some(probe) => Some(probe.await),
        None => None,
    }
}
