//! The driver on io_uring, for Linux 6.1 or newer.
//!
//! [`Uring`] in `driver` is the driver, with `receiving`, `sending`, `accepting` and, when the kernel runs out of memory, `losing`;
//! it is safe code over `ring`, which owns the io_uring and everything the kernel was lent: `buffers` to receive into, and what a
//! `flight` holds while it is sent. `token` says which operation has completed; `probe` asks whether the kernel has all of it. All
//! `unsafe` of the driver is in `ring`, `buffers` and `flight`; the guide has a table of it.

#![allow(unsafe_code)]

#[deny(unsafe_code)]
mod accepting;
mod buffers;
#[deny(unsafe_code)]
mod driver;
mod flight;
#[deny(unsafe_code)]
mod losing;
#[deny(unsafe_code)]
mod probe;
#[deny(unsafe_code)]
mod receiving;
mod ring;
#[deny(unsafe_code)]
mod sending;
#[deny(unsafe_code)]
mod token;

pub use driver::Uring;
pub(super) use probe::probe;
