//! The command line: commands, help, and mistakes told in one line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

#[cfg(unix)]
use crate::bench::BenchOptions;
use crate::config::{self, ServeOptions};
use crate::connect::ConnectOptions;
use crate::echo_test::EchoTestOptions;
use crate::error::Failure;
use crate::replay::ReplayOptions;

/// A WebSocket server with a console page, and a command-line client.
#[derive(Debug, Parser)]
#[command(name = "sockeye", version, override_usage = USAGE, after_help = EXAMPLES, arg_required_else_help = false)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the console page, echo endpoints, health and metrics. The default command.
    ///
    /// Every option is also a variable of the environment and a key of a TOML file (--config), under the same
    /// name. Flags win over the environment, the environment over the file, the file over the defaults.
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(Box<ServeCommand>),
    /// Connect to a WebSocket: type messages on a terminal, or filter lines in a pipe.
    #[command(after_help = CONNECT_EXAMPLES)]
    Connect(Box<ConnectOptions>),
    /// Play what connect --record has recorded to a server again.
    #[command(after_help = REPLAY_EXAMPLES)]
    Replay(Box<ReplayOptions>),
    /// Check an echo server, and time it.
    #[command(after_help = ECHO_TEST_EXAMPLES)]
    EchoTest(Box<EchoTestOptions>),
    /// Put a load on a WebSocket server, and measure what it does.
    #[cfg(unix)]
    #[command(after_help = BENCH_EXAMPLES)]
    Bench(Box<BenchOptions>),
    /// Check or print the configuration of serve.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print a completion script for a shell.
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// The shell to complete in.
        shell: Shell,
    },
}

/// What `sockeye serve` takes.
#[derive(Debug, Args)]
pub(crate) struct ServeCommand {
    /// Read this TOML file; sockeye config print writes one to start from.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) options: ServeOptions,
}

impl ServeCommand {
    /// The configuration file to read: the flag's, else the environment's.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        self.config.clone().or_else(config::file_in_environment)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check a configuration file, the environment and the certificates they name.
    Check {
        /// The TOML file to check. Default: the one that SOCKEYE_CONFIG names, if any.
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Print every option as TOML, with its comment, default, environment name and effective value.
    ///
    /// Takes the options of serve: their values are the ones printed.
    #[command(after_help = PRINT_EXAMPLES)]
    Print(Box<ServeCommand>),
}

const USAGE: &str = "\
sockeye [OPTIONS OF SERVE]
       sockeye <COMMAND>";

const EXAMPLES: &str = "\
Examples:
  sockeye                                   serve on port 3000 and print the addresses
  sockeye --port 8080 --host 0.0.0.0        serve to the network: options of serve need no command
  sockeye --tls-self-signed                 try wss:// locally
  sockeye connect ws://localhost:3000/echo  talk to it
  sockeye serve --help                      every option of the server";

const SERVE_EXAMPLES: &str = "\
Sizes are bytes or carry a unit: 64KiB, 1MiB. Durations carry one: 500ms, 10s,
5m, 1h. off removes a limit.

Signals:
  Ctrl-C, SIGTERM  drain and stop; a second one stops at once
  SIGHUP           read the configuration and the certificates again; a bad one
                   is logged and changes nothing

Exit status:
  0  stopped as asked
  1  could not serve (a taken port, a bad certificate), or stopped at once
  2  a wrong option

Examples:
  sockeye serve --host 0.0.0.0 --port 80 --origin https://example.org
  sockeye serve --tls-cert chain.pem --tls-key key.pem --compression on
  SOCKEYE_LOG_FORMAT=json sockeye serve --config /etc/sockeye.toml
  sockeye serve --port off --unix /run/sockeye.sock --trusted-proxy unix";

const CONNECT_EXAMPLES: &str = "\
On a terminal, each line typed is a message, and lines that begin with / are
commands: /help lists them. What was typed is kept in a history, in
~/.local/state/sockeye; lines that begin with a space are not.

In a pipe, each line of standard input is a message, each message received is
a line of standard output, and everything else is said on standard error.

Passwords and tokens on a command line can be seen by everybody on the
machine: --auth @FILE and --bearer @FILE read them from a file.

Exit status, by how the connection closed:
  0        1000, 1001 or no code at all, or it was we who closed
  1        no connection: the name, the network, TLS or the handshake failed
  2        a wrong option, or a line that cannot be sent
  3        an application code from 3000 to 3999
  4        an application code from 4000 to 4999
  5        any other code
  6        no message matched --expect
  102-115  1002 to 1015; 106 is a connection that broke off
  124      --timeout ran out
  130      interrupted by Ctrl-C

Examples:
  sockeye connect ws://localhost:3000/echo
  echo hello | sockeye connect ws://localhost:3000/echo
  sockeye connect wss://example.org/feed -H 'Cookie: id=1' -n 10 < /dev/null
  sockeye connect ws://localhost:3000/echo -1 -m '{\"op\":\"status\"}' --json
  sockeye connect wss://example.org/ -m login -e '^welcome' --timeout 5s
  echo 00ff | sockeye connect ws://localhost:3000/echo --binary
  sockeye connect wss://localhost:3000/echo --insecure --subprotocol chat
  sockeye connect ws://localhost/echo --unix /run/sockeye.sock";

const REPLAY_EXAMPLES: &str = "\
What the client sent is sent again, at the same times. Without --check, what is
received is written to standard output, a line for each message.

Exit status:
  0        played to the end; with --check, everything came as recorded
  1        no connection, or it ended before the recording did
  2        a wrong option, or a file that is no recording
  6        with --check: something else came, or nothing
  3-130    otherwise as of sockeye connect, by how the connection closed

Examples:
  sockeye connect ws://localhost:3000/echo --record talk.jsonl
  sockeye replay talk.jsonl
  sockeye replay talk.jsonl ws://staging.example.org/echo --speed 10
  sockeye replay talk.jsonl --speed max --check --ignore '\"time\":[0-9]+'";

const ECHO_TEST_EXAMPLES: &str = "\
Sends messages of all kinds and sizes, whole and in fragments, pings, closes,
and compares what comes back. What a server may do without, such as messages
of any size, is marked with \u{2013} and is no failure.

Exit status:
  0    all checks passed
  1    no connection: the name, the network, TLS or the handshake failed
  2    a wrong option
  6    a check failed
  130  interrupted by Ctrl-C

Examples:
  sockeye echo-test ws://localhost:3000/echo
  sockeye echo-test wss://example.org/echo --compress --max-size 16MiB
  sockeye echo-test ws://localhost:3000/echo --json | jq .messages.p99_ms";

#[cfg(unix)]
const BENCH_EXAMPLES: &str = "\
Many connections on few threads, against any WebSocket server; several tools of
this kind measure themselves, so the share of this one is told too. Each
scenario has options of its own: sockeye bench echo --help.

Exit status:
  0    everything came as it should
  1    no connection could be opened
  2    a wrong option
  6    messages were wrong, lost or without an answer, or connections failed
  130  interrupted by Ctrl-C; what was measured until then is told

Examples:
  sockeye bench echo ws://localhost:3000/echo
  sockeye bench echo ws://localhost:3000/echo --rate 20k -w 1000 --plot echo.svg
  sockeye bench broadcast ws://localhost:3000/topics/a --subscribers 1000
  sockeye bench idle ws://localhost:3000/echo -c 10000 --touch";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  sockeye completions bash > ~/.local/share/bash-completion/completions/sockeye
  sockeye completions zsh > \"${fpath[1]}/_sockeye\"
  sockeye completions fish > ~/.config/fish/completions/sockeye.fish";

const PRINT_EXAMPLES: &str = "\
Examples:
  sockeye config print > sockeye.toml
  sockeye config print --config sockeye.toml --port 80";

/// A command line that was understood, or what to print instead.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// The command, and the arguments after its name.
    Run(Command, Vec<OsString>),
    /// Help or the version: asked for, so it is no failure.
    Print(clap::Error),
}

/// Reads the arguments, the program's name first.
pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Parsed, Failure> {
    let mut arguments: Vec<_> = arguments.collect();
    if serves_by_default(arguments.get(1)) {
        arguments.insert(1.min(arguments.len()), "serve".into());
    }
    // The environment is read by `config::resolve`, which can say which variable was wrong. Here it is left out,
    // except that help names the variables.
    let matches = match Cli::command().try_get_matches_from(&arguments) {
        Ok(matches) => matches,
        Err(error) if !error.use_stderr() => return Ok(Parsed::Print(help(&arguments, error))),
        Err(error) => return Err(Failure::usage(one_line(&error))),
    };
    let command = Cli::from_arg_matches(&matches)
        .map_err(|error| Failure::usage(one_line(&error)))?
        .command;
    let words = if matches!(command, Command::Config(_)) {
        3
    } else {
        2
    };
    Ok(Parsed::Run(
        command,
        arguments.split_off(words.min(arguments.len())),
    ))
}

/// `sockeye --port 80` means `sockeye serve --port 80`; `sockeye --help` is about the program.
fn serves_by_default(first: Option<&OsString>) -> bool {
    first.is_none_or(|first| {
        first.to_string_lossy().starts_with('-')
            && !["-h", "--help", "-V", "--version"]
                .iter()
                .any(|option| first == option)
    })
}

/// The help that was asked for, with the names of the variables.
fn help(arguments: &[OsString], plain: clap::Error) -> clap::Error {
    let command = Cli::command()
        .mut_subcommand("serve", config::with_variables)
        .mut_subcommand("config", |config| {
            config.mut_subcommand("print", config::with_variables)
        });
    let again = command.try_get_matches_from(arguments).err();
    again
        .filter(|error| error.kind() == plain.kind())
        .unwrap_or(plain)
}

/// What was wrong with the command line, and what to do, without clap's layout.
pub(crate) fn one_line(error: &clap::Error) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(", "),
        _ => String::new(),
    };
    let argument = context(ContextKind::InvalidArg);
    let name = argument.split([' ', '=', '[']).next().unwrap_or_default();
    let hint = |kind| match context(kind) {
        suggested if suggested.is_empty() => String::new(),
        suggested => format!("; did you mean {suggested}?"),
    };
    match error.kind() {
        ErrorKind::UnknownArgument if argument.starts_with('-') => {
            let hint = hint(ContextKind::SuggestedArg);
            format!("unknown option {argument}{hint}; --help lists the options")
        }
        ErrorKind::UnknownArgument => {
            format!("unexpected argument {argument:?}; --help lists what is understood")
        }
        ErrorKind::InvalidSubcommand => {
            let (command, hint) = (
                context(ContextKind::InvalidSubcommand),
                hint(ContextKind::SuggestedSubcommand),
            );
            format!("unknown command {command:?}{hint}; --help lists the commands")
        }
        ErrorKind::InvalidValue if context(ContextKind::InvalidValue).is_empty() => {
            format!("{name} needs a value: write {argument}")
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            format!("{name}: {}", config::complaint(error))
        }
        ErrorKind::MissingRequiredArgument => format!("{argument} is missing; --help tells more"),
        ErrorKind::ArgumentConflict => match context(ContextKind::PriorArg) {
            other if other.is_empty() || other == argument => {
                format!("{argument} was given twice: give it once")
            }
            other => format!("{argument} and {other} exclude each other: give one"),
        },
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "a command is missing; --help lists the commands".to_owned()
        }
        _ => {
            let text = error.to_string();
            text.lines()
                .next()
                .unwrap_or_default()
                .trim_start_matches("error: ")
                .to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(words: &[&str]) -> Result<Command, String> {
        let arguments = std::iter::once("sockeye")
            .chain(words.iter().copied())
            .map(OsString::from);
        match parse(arguments) {
            Ok(Parsed::Run(command, _)) => Ok(command),
            Ok(Parsed::Print(error)) => Err(error.to_string()),
            Err(failure) => Err(failure.to_string()),
        }
    }

    #[test]
    fn the_table_of_arguments_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serve_is_the_default_command() {
        for words in [&[][..], &["--port", "80"], &["serve"], &["serve", "--port=80"]] {
            assert!(matches!(command(words), Ok(Command::Serve(_))), "{words:?}");
        }
    }

    #[test]
    fn mistakes_are_told_in_one_line_that_says_what_to_do() {
        let table: &[(&[&str], &str)] = &[
            (
                &["--prot", "80"],
                "unknown option --prot; did you mean --port?; --help lists the options",
            ),
            (
                &["serv"],
                "unknown command \"serv\"; did you mean serve?; --help lists the commands",
            ),
            (&["connect"], "<URL> is missing; --help tells more"),
            (
                &["--port", "http"],
                "--port: \"http\" is not a port: write a number from 0 to 65535, auto or off",
            ),
            (
                &["--workers", "100000"],
                "--workers: \"100000\" is not possible: write a number from 1 to 4096, or auto",
            ),
            (&["--port"], "--port needs a value: write --port <PORT>"),
            (
                &["--compression", "maybe"],
                "--compression: \"maybe\" is not possible: write on or off",
            ),
            (
                &["serve", "now"],
                "unexpected argument \"now\"; --help lists what is understood",
            ),
            (&["config"], "a command is missing; --help lists the commands"),
            (
                &["config", "prnt"],
                "unknown command \"prnt\"; did you mean print?; --help lists the commands",
            ),
            (
                &["connect", "ws://localhost", "--binary=octal"],
                "--binary: \"octal\" is not possible: write hex, base64 or raw",
            ),
            (
                &["--compression-level", "10"],
                "--compression-level: \"10\" is not possible: write a number from 0 to 9",
            ),
            (
                &["--port", "1", "--port", "2"],
                "--port <PORT> was given twice: give it once",
            ),
        ];
        for (words, line) in table {
            assert_eq!(command(words).unwrap_err(), *line, "{words:?}");
        }
    }
}
