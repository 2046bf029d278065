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
    let help = run(&[command, "--help"]).stdout;
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
            option.default = default.trim_end_matches(']').to_owned();
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

#[test]
fn a_test_uses_every_option_of_the_client() {
    for command in ["connect", "replay", "echo-test"] {
        for (name, InHelp { short, .. }) in options_in_help(command) {
            let mut quoted = vec![format!("\"--{name}\""), format!("\"--{name}=")];
            quoted.extend((!short.is_empty()).then(|| format!("\"{short}\"")));
            assert!(
                CLIENT_TESTS
                    .iter()
                    .any(|test| quoted.iter().any(|quoted| test.contains(quoted))),
                "no test uses --{name} of {command}"
            );
        }
    }
}
