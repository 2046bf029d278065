//! Counts how many bytes the inner loops look at, so that a test can show a cost to be linear without a clock.

use std::cell::Cell;

thread_local! {
    static BYTES: Cell<u64> = const { Cell::new(0) };
}

/// Notes that a loop looked at this many bytes.
pub(crate) fn count(bytes: usize) {
    BYTES.set(BYTES.get() + bytes as u64);
}

/// How many bytes the loops of this thread look at while `task` runs.
pub(crate) fn measure(task: impl FnOnce()) -> u64 {
    let before = BYTES.get();
    task();
    BYTES.get() - before
}
