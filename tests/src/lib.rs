//! What the tests that cross crates have in common.

pub mod api_table;
#[cfg(doctest)]
pub mod guide;
