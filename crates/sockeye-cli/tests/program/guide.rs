//! The chapter of the guide about the program lists what the program has.

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
