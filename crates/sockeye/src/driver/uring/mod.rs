//! The driver on io_uring, for Linux 6.1 or newer.
//!
//! [`Uring`] in `driver` is the driver, with `receiving`, `sending`, `accepting` and, when the kernel runs out of memory, `losing`;
//! it is safe code over `ring`, which owns the io_uring and everything the kernel was lent: `buffers` to receive into, and what a `flight` holds while it is sent. `token` says which operation has
//! completed. All `unsafe` of the crate is in `ring`, `buffers` and `flight`; the guide has a table of it.

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
mod receiving;
mod ring;
#[deny(unsafe_code)]
mod sending;
#[deny(unsafe_code)]
mod token;

use super::probe::Unavailable;

pub use driver::Uring;

/// Whether the kernel has all that the driver needs.
pub(super) fn probe() -> Result<(), Unavailable> {
    ring::Ring::new(ring::Sizes::SMALL)?.probe()
}
