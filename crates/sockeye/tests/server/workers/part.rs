//! Tests that need several processes: each part is this program once more, running the same test in another role.

use std::process::{Child, Command, Stdio};

/// Starts a part of this test, whose name is `test`, with `role` in the environment variable `mark`. It is told what to do
/// by its input, and answers by its output.
pub(crate) fn start_part(test: &str, mark: &str, role: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads", "1"])
        .env(mark, role)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}
