//! What the tests that cross crates have in common.

#[cfg(doctest)]
pub mod guide;
