//! How many instructions Sockeye's hot paths take, and whether that is more than before.
//!
//! Time varies with the machine and with what else it does; a count of instructions hardly does, so that continuous
//! integration can refuse a change that makes a hot path longer. Valgrind's callgrind counts, from the first instruction
//! of [`case::Case::measured`] to its last: this program runs itself under it once for each case.
//!
//! ```sh
//! cargo xtask test instructions
//! ```

mod case;

use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};

use case::{CASES, Case, ROUNDS};

/// By how much a count may be above what is written down, in percent, before it is refused: other versions of the compiler
/// lay code out differently.
const TOLERANCE: u64 = 8;

fn main() -> ExitCode {
    let outcome = match std::env::args().nth(1) {
        Some(name) => run_case(&name).map(|()| true),
        None => count_all(),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What runs under Valgrind.
fn run_case(name: &str) -> Result<()> {
    let case = CASES.iter().find(|case| case.name == name);
    Case::new(case.with_context(|| format!("no case {name:?}"))?)?.measured()
}

/// Counts every case; whether none takes more than it may.
fn count_all() -> Result<bool> {
    println!(
        "{:<44} {:>12} {:>12}",
        "instructions per message", "now", "written down"
    );
    let mut fine = true;
    for case in &CASES {
        let now = count(case.name)? / (ROUNDS * case.messages as u64);
        let verdict = match now {
            now if now * 100 > case.instructions * (100 + TOLERANCE) => {
                fine = false;
                "  MORE than it may"
            }
            now if now * (100 + TOLERANCE) < case.instructions * 100 => "  less: write it down",
            _ => "",
        };
        println!("{:<44} {now:>12} {:>12}{verdict}", case.name, case.instructions);
    }
    Ok(fine)
}

/// Runs a case under Valgrind; how many instructions its measured part took.
fn count(name: &str) -> Result<u64> {
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            "--toggle-collect=*measured*",
        ])
        .arg(std::env::current_exe()?)
        .arg(name)
        .stdin(Stdio::null())
        .output()
        .context("cannot run valgrind")?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name} failed under Valgrind:\n{text}");
    text.lines()
        .find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok())
        .with_context(|| format!("Valgrind tells no count of {name}:\n{text}"))
}
