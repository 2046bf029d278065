//! The client against scripted peers, byte by byte, and against a server made of the protocol crate.
#![cfg(feature = "client")]

mod compression;
mod connecting;
#[cfg(feature = "cookies")]
mod cookies;
mod dialing;
mod facts;
mod opening;
mod peer;
mod proxies;
mod redirects;
mod refusal;
mod site;
#[cfg(feature = "tls")]
mod tls;
mod turns;
