//! What the outside asks of the running program.

use crate::error::Failure;

/// A wish from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// Ctrl-C or SIGTERM.
    Stop,
    /// SIGHUP.
    Reload,
}

fn failure(error: std::io::Error) -> Failure {
    Failure::new(format!("cannot listen for signals: {error}"))
}

#[cfg(unix)]
pub(super) use on_unix::Signals;

#[cfg(unix)]
mod on_unix {
    use tokio::signal::unix::{Signal, SignalKind, signal};

    use super::{Failure, Wish, failure};

    /// The signals that mean something.
    #[derive(Debug)]
    pub(in crate::serve) struct Signals {
        interrupt: Signal,
        terminate: Signal,
        hangup: Signal,
    }

    impl Signals {
        pub(in crate::serve) fn listen() -> Result<Self, Failure> {
            let listen = |kind| signal(kind).map_err(failure);
            Ok(Self {
                interrupt: listen(SignalKind::interrupt())?,
                terminate: listen(SignalKind::terminate())?,
                hangup: listen(SignalKind::hangup())?,
            })
        }

        /// The next wish.
        pub(in crate::serve) async fn next(&mut self) -> Wish {
            tokio::select! {
                _ = self.interrupt.recv() => Wish::Stop,
                _ = self.terminate.recv() => Wish::Stop,
                _ = self.hangup.recv() => Wish::Reload,
            }
        }
    }
}

#[cfg(not(unix))]
pub(super) use elsewhere::Signals;

#[cfg(not(unix))]
mod elsewhere {
    use super::{Failure, Wish};

    /// Ctrl-C is all there is.
    #[derive(Debug)]
    pub(in crate::serve) struct Signals;

    impl Signals {
        pub(in crate::serve) fn listen() -> Result<Self, Failure> {
            Ok(Self)
        }

        /// The next wish.
        pub(in crate::serve) async fn next(&mut self) -> Wish {
            match tokio::signal::ctrl_c().await {
                Ok(()) => Wish::Stop,
                Err(_) => std::future::pending().await,
            }
        }
    }
}
