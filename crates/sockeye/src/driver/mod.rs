//! Drivers: they move bytes between many sockets and one owner, on one thread.
//!
//! A server's workers stand on this layer, and so does the load generator of the `sockeye` program. It knows sockets and
//! bytes; of WebSockets, TLS or timers it knows nothing. Programs that serve or open WebSockets do not need it: they use
//! [`Server`](crate::Server) and [`Client`](crate::Client).
//!
//! There are two: [`Readiness`] asks the system which sockets are ready, drains all of them in one loop, and writes at
//! once; `Uring` (Linux) hands its work to the kernel and takes the results, all of a turn in one system call.
//! [`DriverKind::Auto`] chooses.
//!
//! The owner keeps a slot for each socket, which it names by a [`Key`]; the driver's own state of the socket
//! ([`Driver::Socket`]) lies in that slot, so that an idle socket costs the slot and nothing else. In each
//! [`turn`](Driver::turn) the driver tells the [`Owner`] what happened. What the owner wants to send waits in the socket's
//! [`Outbox`]; it calls [`send`](Driver::send) when it has nothing to add to it for now, and when the driver says that
//! the socket is [writable](Owner::writable) again.

mod counters;
mod ends;
#[cfg(test)]
mod faults;
mod key;
mod kind;
mod output;
mod probe;
mod readiness;
mod system;
#[cfg(test)]
mod tests;
#[cfg(target_os = "linux")]
mod uring;

use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

pub use counters::Counters;
pub use key::Key;
pub use kind::DriverKind;
pub use output::{Outbox, Output, OutputPool};
pub use readiness::Readiness;
#[cfg(target_os = "linux")]
pub use uring::Uring;

/// Moves bytes between sockets and their [`Owner`].
///
/// Its descriptor ([`AsRawFd`]) becomes readable when there is something for a turn to do, so that a driver can be waited for
/// together with other things. Wait for it only after a turn that had no events: one that had some may have left others.
///
/// All sockets that it is given must be non-blocking.
pub trait Driver: Sized + AsRawFd {
    /// What the driver keeps of a connection, in the slot of its owner.
    ///
    /// It must be given back by [`close`](Self::close) or [`reset`](Self::reset): dropped instead, its descriptor may stay
    /// open until the driver is dropped.
    type Socket: fmt::Debug;
    /// What the driver keeps of a listening socket.
    type Listener: fmt::Debug;

    /// Which driver it is; never [`Auto`](DriverKind::Auto).
    fn kind(&self) -> DriverKind;

    /// Begins to accept: [`Owner::accepted`] gets the connections.
    ///
    /// # Errors
    /// The system's.
    fn listen(&mut self, listener: OwnedFd, key: Key) -> io::Result<Self::Listener>;

    /// Stops accepting for a while, or goes on. What waits meanwhile, waits in the system's queue.
    ///
    /// # Errors
    /// The system's.
    fn set_accepting(&mut self, listener: &mut Self::Listener, on: bool) -> io::Result<()>;

    /// Closes a listening socket. No connection is accepted after this call.
    fn stop_listening(&mut self, listener: Self::Listener);

    /// Takes a connected socket over and begins to receive.
    ///
    /// # Errors
    /// The system's; the socket is closed then.
    fn add(&mut self, socket: OwnedFd, key: Key) -> io::Result<Self::Socket>;

    /// Begins to connect a socket; [`Owner::connected`] tells the end of it. Receiving begins then by itself.
    ///
    /// # Errors
    /// The system's; the socket is closed then.
    fn connect(&mut self, socket: OwnedFd, address: &socket2::SockAddr, key: Key)
    -> io::Result<Self::Socket>;

    /// Stops receiving, so that the peer is held back by TCP, or goes on. What the driver had received already when it
    /// was told to stop may still come, once; how much that can be is bounded by the driver's own buffers.
    ///
    /// # Errors
    /// The system's.
    fn set_receiving(&mut self, socket: &mut Self::Socket, on: bool) -> io::Result<()>;

    /// Takes what waits in the outbox, or as much of it as the system takes now.
    ///
    /// What it could not take stays in the outbox or in [flight](Self::in_flight), and [`Owner::writable`] is called
    /// when the time has come to try again. Calling it earlier does no harm. Nothing is told of what the system takes whole
    /// unless somebody waits for that: by this call for more that stayed in the outbox, or by having asked what is in flight.
    ///
    /// # Errors
    /// The system's: the connection is lost. A reset by the peer may come here or by [`Owner::failed`].
    fn send(
        &mut self,
        socket: &mut Self::Socket,
        outbox: &mut Outbox,
        pool: &mut OutputPool,
    ) -> io::Result<()>;

    /// Sends `payload` behind what waits in the outbox, at once and without copying it; gives how many bytes of `payload`
    /// the system took. It is 0 when what waits before could not be sent whole. The rest is the caller's to put into the
    /// outbox. Worth its system call for large payloads.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    fn send_now(
        &mut self,
        socket: &mut Self::Socket,
        outbox: &mut Outbox,
        pool: &mut OutputPool,
        payload: &[IoSlice<'_>],
    ) -> io::Result<usize>;

    /// How many bytes left the outbox and were not taken by the system yet. If there are any, [`Owner::writable`] is called
    /// when they were.
    fn in_flight(&self, socket: &Self::Socket) -> usize;

    /// Whether the system had no room for what is in flight, so that it waits for the peer. [`Owner::writable`] is called when
    /// that changes, one way or the other.
    fn is_behind(&self, socket: &Self::Socket) -> bool;

    /// Ends the sending direction when what is in flight has left. The outbox must be empty.
    fn shutdown(&mut self, socket: &mut Self::Socket);

    /// Closes a connection. What is in flight still goes out, if the system takes it without waiting; what is in the
    /// outbox does not. No event of its key comes after this call.
    fn close(&mut self, socket: Self::Socket);

    /// Closes a connection with a reset, and throws away what the system has not sent yet.
    fn reset(&mut self, socket: Self::Socket);

    /// The socket itself, to ask it for addresses or set its options.
    fn descriptor<'s>(&'s self, socket: &'s Self::Socket) -> BorrowedFd<'s>;

    /// Waits until something happens, at most for `timeout` (`None`: as long as it takes), and tells the owner of all that
    /// happened. Gives how many events there were: 0 when the time was over or the [`Waker`] was used.
    ///
    /// # Errors
    /// The driver itself failed. Whatever concerns one socket goes to the owner.
    fn turn(&mut self, timeout: Option<Duration>, owner: &mut impl Owner<Self>) -> io::Result<usize>;

    /// What ends a turn's waiting from any thread.
    fn waker(&self) -> Waker;

    /// What it has done so far.
    fn counters(&self) -> Counters;
}

/// What a driver tells of its sockets. The driver is lent along, so that the owner can act at once.
///
/// Each call is about a socket that [`socket`](Self::socket) or [`listener`](Self::listener) knew a moment before. The owner may
/// close any socket within any call.
pub trait Owner<D: Driver> {
    /// The driver's part of the slot with this key; `None` if the socket was closed and the slot is empty or in other use.
    fn socket(&mut self, key: Key) -> Option<&mut D::Socket>;

    /// The keys of all connections. A driver asks for them when it has lost sight of how things are with any of them.
    fn keys(&mut self) -> Vec<Key>;

    /// The same for a listening socket. Their keys may be equal to those of connections.
    fn listener(&mut self, key: Key) -> Option<&mut D::Listener>;

    /// A connection was accepted. It is non-blocking and closed on exec.
    fn accepted(&mut self, driver: &mut D, listener: Key, socket: OwnedFd);

    /// Accepting failed in a way that concerns the system, not the connection: out of descriptors or memory, mostly. The
    /// driver stopped accepting; [`Driver::set_accepting`] goes on.
    fn accept_failed(&mut self, driver: &mut D, listener: Key, error: io::Error);

    /// Connecting is over. After an error only closing is left to do.
    fn connected(&mut self, driver: &mut D, key: Key, result: io::Result<()>);

    /// Lets the next bytes of a connection be received into memory of the owner's, if it has some waiting for them: calls
    /// `receive` with that, which gives how it went. `None` if they are to come by [`received`](Self::received); a driver may
    /// let them come so without asking, too.
    fn receive_in_place<R>(
        &mut self,
        _key: Key,
        _receive: impl FnOnce(&mut D::Socket, &mut [u8]) -> R,
    ) -> Option<R> {
        None
    }

    /// So many bytes came into the memory that [`receive_in_place`](Self::receive_in_place) lent just before.
    fn received_in_place(&mut self, _driver: &mut D, _key: Key, _count: usize) {}

    /// Bytes came. They are the owner's to change, until it returns.
    fn received(&mut self, driver: &mut D, key: Key, bytes: &mut [u8]);

    /// The peer ended its sending direction; nothing more is received.
    fn ended(&mut self, driver: &mut D, key: Key);

    /// The connection is lost, for example by a reset; only closing is left to do.
    fn failed(&mut self, driver: &mut D, key: Key, error: io::Error);

    /// The peer has made room: some of what was in flight has left, or the system takes more again. Whatever waits in the
    /// outbox can be given to [`Driver::send`], which may leave it there once more.
    fn writable(&mut self, driver: &mut D, key: Key);
}

/// Ends the waiting of a driver's [`turn`](Driver::turn), from any thread. Clones wake the same driver.
#[derive(Clone)]
pub struct Waker(std::sync::Arc<dyn Fn() -> io::Result<()> + Send + Sync>);

impl Waker {
    pub(crate) fn new(wake: impl Fn() -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self(std::sync::Arc::new(wake))
    }

    /// Ends the present turn's waiting, or that of the next one.
    pub fn wake(&self) {
        if let Err(error) = (self.0)() {
            // It cannot fail for a driver that exists; for one that is gone there is nobody to wake.
            tracing::debug!(%error, "a driver could not be woken");
        }
    }
}

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waker").finish_non_exhaustive()
    }
}
