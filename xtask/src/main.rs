//! Sockeye.
fn main() {}
