//! The program as its users meet it: real processes, their output, their exit status.

mod api;
#[cfg(unix)]
mod bench;
mod config;
mod connect;
mod echo_test;
mod guide;
mod lifecycle;
mod network;
mod replay;
mod scripts;
mod serve;
mod support;
#[cfg(unix)]
mod terminal;
mod topics;
mod usage;
