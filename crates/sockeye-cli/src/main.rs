//! The program `sockeye`: a WebSocket server with a console page, and a command-line client.

#![forbid(unsafe_code)]
#![allow(
    rustdoc::bare_urls,
    reason = "the documentation of an option is its text in --help"
)]

mod args;
#[cfg(unix)]
mod bench;
mod client;
mod config;
mod connect;
mod echo_test;
mod error;
mod log;
mod payload;
mod record;
mod replay;
mod serve;
mod status;
mod style;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use clap::CommandFactory;

use crate::args::{Cli, Command, ConfigCommand, Parsed};
use crate::error::Failure;

fn main() -> ExitCode {
    run().unwrap_or_else(|failure| failure.report())
}

fn run() -> Result<ExitCode, Failure> {
    let (command, flags) = match args::parse(std::env::args_os())? {
        Parsed::Run(command, flags) => (command, flags),
        Parsed::Print(help) => return done(help.print()),
    };
    match command {
        Command::Serve(command) => serve::run(flags, command.file()),
        Command::Connect(options) => connect::run(&options),
        Command::Replay(options) => replay::run(&options),
        #[cfg(unix)]
        Command::Bench(options) => bench::run(&options),
        Command::EchoTest(options) => echo_test::run(&options),
        Command::Config(ConfigCommand::Check { file }) => check(file),
        Command::Config(ConfigCommand::Print(command)) => {
            let resolved = config::resolve(&flags, command.file().as_deref())?;
            print(&config::print::to_toml(&resolved))
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "sockeye", &mut script);
            print(&String::from_utf8_lossy(&script))
        }
    }
}

/// Runs a client's part of the program.
fn run_async<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    // A slow reader of our output blocks one thread; the other keeps the connection alive.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start: {error}")))?;
    let result = runtime.block_on(work);
    // A thread may still wait for standard input, for ever.
    runtime.shutdown_background();
    result
}

/// Reads everything that `serve` would read, and says that it is in order.
fn check(file: Option<std::path::PathBuf>) -> Result<ExitCode, Failure> {
    let file = file.or_else(config::file_in_environment);
    let resolved = config::resolve(&[], file.as_deref())?;
    serve::check(&resolved.options)?;
    let mut text = match &file {
        Some(file) => format!("{} is in order\n", file.display()),
        None => "the environment and the defaults are in order; name a file to check it\n".to_owned(),
    };
    for warning in config::unknown_variables() {
        text.push_str(&format!("{warning}\n"));
    }
    print(&text)
}

fn print(text: &str) -> Result<ExitCode, Failure> {
    let mut out = std::io::stdout().lock();
    done(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// A reader that has seen enough, such as `head`, is no failure.
fn done(written: std::io::Result<()>) -> Result<ExitCode, Failure> {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}
