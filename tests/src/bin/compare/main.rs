//! For the record: what an echoed message costs a server's CPU or a client's, and an idle connection its memory, with
//! Sockeye and with other libraries, measured in one run.
//!
//! ```sh
//! cargo run --release -p sockeye-tests --bin compare -- server
//! cargo run --release -p sockeye-tests --bin compare -- client
//! ```

use std::process::ExitCode;

#[cfg(target_os = "linux")]
mod comparison;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    match comparison::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("compare pins processes to cores and reads their accounts under /proc: it needs Linux");
    ExitCode::FAILURE
}
