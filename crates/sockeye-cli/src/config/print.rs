//! The effective configuration as a TOML file with comments.

use std::fmt::Write;

use clap::{Arg, ArgMatches};

use super::{Resolved, options, table, takes_list};

/// Longest line of a comment.
const WIDTH: usize = 98;

/// Every option with its comment, default, variable and effective value. The result is a valid file that
/// gives the same settings again.
pub(crate) fn to_toml(resolved: &Resolved) -> String {
    let command = table();
    let mut text = String::from(
        "# Configuration of sockeye serve. Each key is also a flag (--key) and a variable of the\n\
         # environment; flags win over the environment, the environment wins over this file.\n",
    );
    let mut heading = None;
    for arg in options(&command) {
        if arg.get_help_heading() != heading {
            heading = arg.get_help_heading();
            let _ = write!(text, "\n# ---- {} ----\n", heading.unwrap_or_default());
        }
        text.push('\n');
        option(&mut text, arg, &resolved.matches);
    }
    text
}

fn option(text: &mut String, arg: &Arg, matches: &ArgMatches) {
    let key = arg.get_long().unwrap_or_default();
    let help = arg
        .get_long_help()
        .or_else(|| arg.get_help())
        .map(ToString::to_string)
        .unwrap_or_default();
    for paragraph in help.lines().filter(|line| !line.is_empty()) {
        // clap takes the full stop away from a help of one line.
        let stop = if paragraph.ends_with('.') { "" } else { "." };
        comment(text, &format!("{paragraph}{stop}"));
    }
    let default = values(
        arg.get_default_values().iter().filter_map(|value| value.to_str()),
        takes_list(arg),
    );
    let variable = arg.get_env().unwrap_or_default().to_string_lossy();
    comment(
        text,
        &format!(
            "Default: {}. Environment: {variable}.",
            default.as_deref().unwrap_or("none")
        ),
    );
    let effective = matches
        .get_raw(arg.get_id().as_str())
        .and_then(|raw| values(raw.filter_map(|value| value.to_str()), takes_list(arg)));
    let _ = match effective {
        Some(value) => writeln!(text, "{key} = {value}"),
        None if takes_list(arg) => writeln!(text, "{key} = []"),
        None => writeln!(text, "# {key} = \"\""),
    };
}

/// One value, or a list, in TOML. Nothing for no value.
fn values<'a>(values: impl Iterator<Item = &'a str>, list: bool) -> Option<String> {
    let values: Vec<_> = values.map(value).collect();
    match (list, values.is_empty()) {
        (_, true) => None,
        (true, false) => Some(format!("[{}]", values.join(", "))),
        (false, false) => values.into_iter().next(),
    }
}

fn value(text: &str) -> String {
    match text.parse::<u32>() {
        Ok(number) => number.to_string(),
        Err(_) => toml::Value::from(text).to_string(),
    }
}

fn comment(text: &mut String, paragraph: &str) {
    let mut width = WIDTH;
    for word in paragraph.split(' ') {
        if width + 1 + word.len() > WIDTH {
            if !text.ends_with('\n') {
                text.push('\n');
            }
            text.push('#');
            width = 1;
        }
        text.push(' ');
        text.push_str(word);
        width += 1 + word.len();
    }
    text.push('\n');
}
