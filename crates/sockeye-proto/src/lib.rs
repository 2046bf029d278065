//! Sockeye.
