//! The program as its users meet it: real processes, their output, their exit status.

mod config;
mod connect;
mod guide;
mod lifecycle;
mod serve;
mod support;
#[cfg(unix)]
mod terminal;
mod usage;
