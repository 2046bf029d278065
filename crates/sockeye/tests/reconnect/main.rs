//! The client that comes back, against servers that do not stay: in memory under a clock that the tests hold, and over
//! sockets.
#![cfg(all(feature = "client", feature = "hyper", feature = "server"))]

mod closing;
mod faults;
mod giving_up;
mod hooks;
mod network;
mod queueing;
mod receiving;
mod sockets;
mod story;
mod waiting;
