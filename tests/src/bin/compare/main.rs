//! For the record: what an echoed message costs a client, with Sockeye and with other libraries, measured in one run.
//! Servers are compared by the package `bench/`.
//!
//! ```sh
//! cargo run --release -p sockeye-tests --bin compare
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
