//! Where the settings of `sockeye serve` come from.
//!
//! Four layers, the first that names an option wins: flags, the environment, a TOML file, the embedded
//! defaults. [`ServeOptions`] is the only table of options; a layer below the flags is handed to clap as the
//! default of its argument, so each value is read by the same parser wherever it was written.

mod file;
mod options;
pub(crate) mod print;
pub(crate) mod units;
pub(crate) mod values;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::error::Failure;
pub(crate) use options::ServeOptions;

/// The option that names a file, and so cannot stand in one.
const FILE_OPTION: &str = "config";

/// The configuration file that the environment names, unless the name is empty.
pub(crate) fn file_in_environment() -> Option<PathBuf> {
    std::env::var_os(variable(FILE_OPTION))
        .filter(|name| !name.is_empty())
        .map(PathBuf::from)
}

/// The effective settings and, for each, the text it was read from.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) options: ServeOptions,
    matches: ArgMatches,
}

impl Resolved {
    /// The names of the options whose values differ from those of `earlier`.
    pub(crate) fn changed_since(&self, earlier: &Self) -> Vec<String> {
        let raw = |resolved: &Self, id: &str| -> Vec<OsString> {
            resolved
                .matches
                .get_raw(id)
                .into_iter()
                .flatten()
                .map(ToOwned::to_owned)
                .collect()
        };
        options(&table())
            .filter(|arg| raw(self, arg.get_id().as_str()) != raw(earlier, arg.get_id().as_str()))
            .filter_map(Arg::get_long)
            .map(str::to_owned)
            .collect()
    }
}

/// Whether there is an option of this name.
#[cfg(test)]
pub(crate) fn is_option(name: &str) -> bool {
    options(&table()).any(|arg| arg.get_long() == Some(name))
}

/// Puts the layers together. `flags` are the arguments that followed the command.
pub(crate) fn resolve(flags: &[OsString], file: Option<&Path>) -> Result<Resolved, Failure> {
    let mut command = table();
    if let Some(path) = file {
        command = with_file(command, path)?;
    }
    command = with_environment(command)?;
    let matches = command
        .try_get_matches_from(flags)
        .map_err(|error| Failure::usage(crate::args::one_line(&error)))?;
    let options = ServeOptions::from_arg_matches(&matches)
        .map_err(|error| Failure::usage(crate::args::one_line(&error)))?;
    check(&options)?;
    Ok(Resolved { options, matches })
}

/// Every option of `sockeye serve`, in the order of the table.
fn table() -> Command {
    let file = Arg::new(FILE_OPTION)
        .long(FILE_OPTION)
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf));
    let command = Command::new("sockeye")
        .no_binary_name(true)
        .disable_help_flag(true);
    with_variables(ServeOptions::augment_args(command).arg(file))
}

/// Gives each option its variable.
pub(crate) fn with_variables(command: Command) -> Command {
    command.mut_args(|arg| match arg.get_long() {
        Some("help") | None => arg,
        Some(name) => {
            let variable = variable(name);
            arg.env(variable)
        }
    })
}

/// The variable of the environment that an option has.
fn variable(option: &str) -> String {
    format!("SOCKEYE_{}", option.to_uppercase().replace('-', "_"))
}

/// The arguments of the table that may stand in a file and in the environment.
fn options(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| arg.get_id() != FILE_OPTION)
}

fn with_file(mut command: Command, path: &Path) -> Result<Command, Failure> {
    for file::Entry { key, values, line } in file::read(path)? {
        let place = format!("{}:{line}", path.display());
        let Some(arg) = options(&command).find(|arg| arg.get_long() == Some(&key)) else {
            let hint = nearest(&key, options(&command).filter_map(Arg::get_long));
            return Err(Failure::usage(format!(
                "{place}: unknown key {key:?}{hint}; sockeye config print lists all keys"
            )));
        };
        if values.len() != 1 && !takes_list(arg) {
            return Err(Failure::usage(format!(
                "{place}: {key}: write one value, not a list"
            )));
        }
        check_value(arg, &values)
            .map_err(|complaint| Failure::usage(format!("{place}: {key}: {complaint}")))?;
        let id = arg.get_id().clone();
        command = command.mut_arg(id, |arg| arg.default_values(values));
    }
    Ok(command)
}

/// A variable that is empty counts as not set, which is how compose files leave one out.
fn with_environment(mut command: Command) -> Result<Command, Failure> {
    let known: Vec<_> = options(&command).cloned().collect();
    for arg in known {
        let variable = arg.get_env().unwrap_or_default();
        let value = std::env::var_os(variable).unwrap_or_default();
        let variable = variable.to_string_lossy();
        let Some(value) = value.to_str() else {
            return Err(Failure::usage(format!("the variable {variable} is not UTF-8")));
        };
        let values: Vec<_> = match value {
            "" => Vec::new(),
            list if takes_list(&arg) => list.split(',').map(str::to_owned).collect(),
            value => vec![value.to_owned()],
        };
        check_value(&arg, &values)
            .map_err(|complaint| Failure::usage(format!("the variable {variable}: {complaint}")))?;
        command = command.mut_arg(arg.get_id().clone(), |arg| {
            let arg = arg.env(None::<&str>);
            if values.is_empty() {
                arg
            } else {
                arg.default_values(values)
            }
        });
    }
    // That one was read already, to find the file.
    Ok(command.mut_arg(FILE_OPTION, |arg| arg.env(None::<&str>)))
}

/// What to say of variables that begin like ours and are none: most likely a misspelling, so worth a warning.
pub(crate) fn unknown_variables() -> Vec<String> {
    let command = table();
    let known: Vec<_> = options(&command)
        .filter_map(Arg::get_env)
        .filter_map(|name| name.to_str())
        .collect();
    std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| {
            name.starts_with("SOCKEYE_") && *name != variable(FILE_OPTION) && !known.contains(&name.as_str())
        })
        .map(|name| {
            let hint = nearest(&name, known.iter().copied());
            format!("the variable {name} is none of sockeye's{hint}")
        })
        .collect()
}

fn takes_list(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append)
}

/// Reads `values` as clap would read them from the command line, and says what is wrong with them.
fn check_value(arg: &Arg, values: &[String]) -> Result<(), String> {
    let name = arg.get_long().unwrap_or_default();
    let flags = values.iter().map(|value| format!("--{name}={value}"));
    Command::new("sockeye")
        .no_binary_name(true)
        .arg(arg.clone().env(None::<&str>))
        .try_get_matches_from(flags)
        .map(drop)
        .map_err(|error| complaint(&error))
}

/// What a value parser had against a value.
pub(crate) fn complaint(error: &clap::Error) -> String {
    use std::error::Error;
    if let Some(source) = error.source() {
        return source.to_string();
    }
    let value = match error.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(value)) => value.as_str(),
        _ => "",
    };
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(valid)) if !valid.is_empty() => {
            format!("{value:?} is not possible: write {}", either(valid))
        }
        _ => format!("{value:?} is not possible"),
    }
}

/// `a`, `a or b`, `a, b or c`.
fn either(words: &[String]) -> String {
    match words {
        [first @ .., one, other] => {
            let first: String = first.iter().map(|word| format!("{word}, ")).collect();
            format!("{first}{one} or {other}")
        }
        few => few.concat(),
    }
}

/// `; did you mean …?` when a known name is near enough to `name`.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    known
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map_or_else(String::new, |(_, candidate)| {
            format!("; did you mean {candidate}?")
        })
}

/// What options demand of each other.
fn check(options: &ServeOptions) -> Result<(), Failure> {
    use units::Port;
    let own_certificate = options.tls_cert.is_some();
    let complaint = if own_certificate && options.tls_key.is_none() {
        "tls-cert is given without tls-key: name the file of its private key too"
    } else if options.tls_key.is_some() && !own_certificate {
        "tls-key is given without tls-cert: name the file of its certificate too"
    } else if own_certificate && options.tls_self_signed.is_on() {
        "tls-self-signed makes a certificate and tls-cert names one: choose one of the two"
    } else if options.tls_client_ca.is_some() && !own_certificate && !options.tls_self_signed.is_on() {
        "tls-client-ca needs TLS: give tls-cert and tls-key, or tls-self-signed"
    } else if options.port == Port::Off && options.unix.is_none() {
        "port is off and there is no unix socket: nothing to listen on"
    } else if options.api_listen.is_some() && options.api_token_file.is_none() {
        "api-listen needs a token: name a file that has it with api-token-file"
    } else {
        return Ok(());
    };
    Err(Failure::usage(complaint))
}
