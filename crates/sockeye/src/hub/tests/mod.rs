//! The hub of one or more workers, with sockets that only remember.

mod memory;
mod model;
mod order;
mod pressure;
mod replay;
mod sessions;
mod support;
mod topics;
mod workers;
