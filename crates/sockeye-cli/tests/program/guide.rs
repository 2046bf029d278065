//! The chapters of the guide about the program list what the program has.

use std::collections::BTreeMap;

use crate::support::run;

const CHAPTER: &str = include_str!("../../../../docs/src/program.md");

/// Names and defaults of the options in the tables of the chapter.
fn listed() -> BTreeMap<String, String> {
    let rows = CHAPTER.lines().filter_map(|line| line.strip_prefix("| `--"));
    rows.map(|row| {
        let mut cells = row.split(" | ");
        let name = cells.next().unwrap().trim_end_matches('`');
        let default = cells.next().unwrap().trim_matches('`');
        (name.to_owned(), default.replace('–', "none"))
    })
    .collect()
}

/// Names and defaults of the options in what `sockeye config print` writes.
fn printed() -> BTreeMap<String, String> {
    let text = run(&["config", "print"]).stdout;
    let mut options = BTreeMap::new();
    let mut default = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# Default: ") {
            let value = rest.split(". Environment: ").next().unwrap();
            default = value.trim_matches(['[', ']', '"']).to_owned();
        } else if let Some((key, _)) = line.trim_start_matches("# ").split_once(" = ") {
            options.insert(key.to_owned(), default.clone());
        }
    }
    options
}

#[test]
fn the_guide_lists_every_option_with_its_default() {
    assert!(printed().len() > 30, "{:?}", printed());
    assert_eq!(listed(), printed());
}

#[test]
fn the_guide_lists_every_command() {
    let help = run(&["--help"]).stdout;
    let commands = help.split("Commands:\n").nth(1).unwrap();
    let names = commands
        .lines()
        .map_while(|line| line.trim().split(' ').next().filter(|name| !name.is_empty()));
    for name in names.filter(|name| *name != "help") {
        assert!(CHAPTER.contains(&format!("`sockeye {name}")), "{name}");
    }
}

const CLIENT_CHAPTER: &str = include_str!("../../../../docs/src/connect.md");

/// The tests that run the client.
const CLIENT_TESTS: &[&str] = &[
    include_str!("connect.rs"),
    include_str!("echo_test.rs"),
    include_str!("network.rs"),
    include_str!("replay.rs"),
    include_str!("scripts.rs"),
    #[cfg(unix)]
    include_str!("terminal.rs"),
];

/// What --help says of an option.
#[derive(Debug, Default)]
struct InHelp {
    /// `-H`, or nothing.
    short: String,
    default: String,
}

/// The options of a command by their long names.
fn options_in_help(command: &str) -> BTreeMap<String, InHelp> {
    let words: Vec<_> = command.split(' ').chain(["--help"]).collect();
    let help = run(&words).stdout;
    // Wherever an option begins, so does its paragraph.
    let mut options = BTreeMap::<String, InHelp>::new();
    let mut name = String::new();
    for line in help.lines() {
        let words = line.trim_start();
        if let Some(option) = words.split_once("--").map(|(_, rest)| rest)
            && words.starts_with('-')
        {
            name = option.split([' ', '[', '=']).next().unwrap().to_owned();
            let short = words.split(',').next().filter(|short| short.len() == 2);
            let short = short.unwrap_or_default().to_owned();
            options.insert(
                name.clone(),
                InHelp {
                    short,
                    ..InHelp::default()
                },
            );
        }
        if let Some((_, default)) = line.split_once("[default: ")
            && let Some(option) = options.get_mut(&name)
        {
            option.default = default.split(']').next().unwrap_or_default().to_owned();
        }
    }
    options.remove("help");
    options
}

#[test]
fn the_guide_lists_every_option_of_the_client_with_its_default() {
    for command in ["connect", "replay", "echo-test"] {
        let options = options_in_help(command);
        assert!(options.len() > 20, "{command}: {options:?}");
        for (name, InHelp { default, .. }) in options {
            let mut rows = CLIENT_CHAPTER
                .lines()
                .filter(|line| line.starts_with(&format!("| `--{name}`")));
            assert!(
                rows.any(|row| default.is_empty() || row.split(" | ").nth(1) == Some(&format!("`{default}`"))),
                "{command} --{name} with default {default:?}"
            );
        }
    }
}

#[cfg(unix)]
const BENCH_CHAPTER: &str = include_str!("../../../../docs/src/bench.md");

#[cfg(unix)]
const BENCH: [&str; 5] = [
    "bench echo",
    "bench broadcast",
    "bench idle",
    "bench churn",
    "bench slow-reader",
];

#[cfg(unix)]
const BENCH_TESTS: &[&str] = &[
    include_str!("bench/mod.rs"),
    include_str!("bench/broadcast.rs"),
    include_str!("bench/echo.rs"),
    include_str!("bench/faults.rs"),
    include_str!("bench/holding.rs"),
    include_str!("bench/results.rs"),
];

#[cfg(unix)]
#[test]
fn the_guide_lists_every_option_of_the_load_generator_with_its_default() {
    for command in BENCH {
        let options = options_in_help(command);
        assert!(options.len() > 20, "{command}: {options:?}");
        for (name, InHelp { short, default }) in options {
            let mut rows = BENCH_CHAPTER
                .lines()
                .filter(|line| line.starts_with(&format!("| `--{name}`")));
            assert!(
                rows.any(|row| {
                    let has_default =
                        default.is_empty() || row.split(" | ").nth(1) == Some(&format!("`{default}`"));
                    has_default && (short.is_empty() || row.contains(&format!(", `{short}`")))
                }),
                "{command} --{name}, {short}, with default {default:?}"
            );
        }
    }
}

#[cfg(unix)]
#[test]
fn a_test_uses_every_option_of_the_load_generator() {
    for command in BENCH {
        check_use(command, BENCH_TESTS);
    }
}

#[test]
fn a_test_uses_every_option_of_the_client() {
    for command in ["connect", "replay", "echo-test"] {
        check_use(command, CLIENT_TESTS);
    }
}

fn check_use(command: &str, tests: &[&str]) {
    for (name, InHelp { short, .. }) in options_in_help(command) {
        let mut quoted = vec![format!("\"--{name}\""), format!("\"--{name}=")];
        quoted.extend((!short.is_empty()).then(|| format!("\"{short}\"")));
        assert!(
            tests
                .iter()
                .any(|test| quoted.iter().any(|quoted| test.contains(quoted))),
            "no test uses --{name} of {command}"
        );
    }
}
