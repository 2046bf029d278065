//! The client against scripted peers, byte by byte, and against a server made of the protocol crate.
#![cfg(feature = "client")]

mod compression;
mod connecting;
mod dialing;
mod facts;
mod opening;
mod peer;
mod refusal;
#[cfg(feature = "tls")]
mod tls;
mod turns;
