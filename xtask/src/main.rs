//! Sockeye's own tasks, run as `cargo xtask`.

mod autobahn;
mod bench;
mod browser;
mod checkout;
mod fuzz;
mod process;
mod program;
mod report;
mod sanitize;
mod setup;
mod steps;

use std::ffi::OsString;
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::{CommandFactory, Parser, Subcommand};

use report::{Outcome, Report};
use steps::Step;

/// Time for a comparison with more rounds than the default ones, which take up to ten minutes.
const COMPARE_TIME: Duration = Duration::from_secs(60 * 60);

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "Sockeye's own tasks", version = None)]
#[command(disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    task: Option<Task>,
}

#[derive(Subcommand)]
enum Task {
    /// Install what tests need, then run every test there is, or one step of them
    Test {
        #[command(subcommand)]
        step: Option<Step>,
        /// Stop at the first step that fails
        #[arg(long)]
        fail_fast: bool,
    },
    /// Only install what tests need
    Setup,
    /// What a message costs clients, beside other libraries; --quick for a short run
    Compare {
        /// Handed on to the program
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// What servers cost beside µWebSockets and others: CPU per message, rate, latency, memory; --help for the presets
    #[command(disable_help_flag = true)]
    Bench {
        /// Handed on to the program, `--help` too
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// What must hold before a change is accepted: format, lints, docs, dependencies, then every test
    Ci {
        /// Stop at the first step that fails
        #[arg(long)]
        fail_fast: bool,
    },
}

fn main() -> ExitCode {
    let mut report = Report::default();
    let Some(task) = Arguments::parse().task else {
        return list_tasks();
    };
    if let Err(error) = process::end_children_on_interrupt() {
        eprintln!("{error:#}");
        return ExitCode::FAILURE;
    }
    match task {
        Task::Test { step, fail_fast } => steps::test(&mut report, step, fail_fast),
        Task::Setup => {
            report.step("setup", || {
                setup::ensure(&setup::Tool::ALL).map(|()| Outcome::Passed)
            });
        }
        Task::Compare { arguments } => {
            report.step("compare", || compare(&arguments));
        }
        Task::Bench { arguments } => {
            report.step("bench", || bench::run(&arguments).map(|()| Outcome::Passed));
        }
        Task::Ci { fail_fast } => steps::ci(&mut report, fail_fast),
    }
    println!("\n{report}");
    if report.passed() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn compare(arguments: &[OsString]) -> anyhow::Result<Outcome> {
    let program = program::build("sockeye-tests", "compare")?;
    let mut command = Command::new(program);
    // Node's `ws` is among the libraries.
    command.env("PATH", setup::node()?.search_path()?);
    process::run(command.args(arguments), COMPARE_TIME).map(|()| Outcome::Passed)
}

/// Prints each task with its line of explanation, the steps of `test` among them.
fn list_tasks() -> ExitCode {
    println!("Tasks of this repository:\n");
    for task in Arguments::command().get_subcommands() {
        let about = task.get_about().map(ToString::to_string).unwrap_or_default();
        println!("  cargo xtask {:14} {about}", task.get_name());
        for step in task.get_subcommands() {
            let about = step.get_about().map(ToString::to_string).unwrap_or_default();
            println!(
                "  cargo xtask {:14} {about}",
                format!("{} {}", task.get_name(), step.get_name())
            );
        }
    }
    println!("\nEach takes --help.");
    ExitCode::SUCCESS
}
