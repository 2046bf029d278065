//! A thread of the load: a driver, its connections, and what a scenario does with them.
//!
//! `thread` is its course, from the first connection to the last; `connections` are what it holds open
//! meanwhile. `measure` is the time that counts, and `report` what the coordinator is told.

mod connections;
mod measure;
mod report;
mod thread;

pub(super) use report::{Agreed, Meter, Part, Report};
pub(super) use thread::{Load, Task};
