//! Where settings come from: flags, the environment, a file, the defaults.

use std::path::PathBuf;

use tempfile::TempDir;

use crate::support::{complaint, finish, run, sockeye};

struct File {
    path: PathBuf,
    _folder: TempDir,
}

impl File {
    fn new(text: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("sockeye.toml");
        std::fs::write(&path, text).unwrap();
        Self {
            path,
            _folder: folder,
        }
    }

    fn name(&self) -> &str {
        self.path.to_str().unwrap()
    }
}

/// The line of `key` in the output of `config print`.
fn setting(printed: &str, key: &str) -> String {
    let line = printed
        .lines()
        .find(|line| line.starts_with(&format!("{key} = ")));
    line.unwrap_or_else(|| panic!("no {key} in {printed}")).to_owned()
}

#[test]
fn flags_win_over_the_environment_over_the_file_over_the_default() {
    let file = File::new("queue-size = \"3MiB\"\n");
    let table: &[(bool, Option<&str>, Option<&str>, &str)] = &[
        (false, None, None, "queue-size = \"1MiB\""),
        (true, None, None, "queue-size = \"3MiB\""),
        (true, Some("4MiB"), None, "queue-size = \"4MiB\""),
        (true, Some("4MiB"), Some("5MiB"), "queue-size = \"5MiB\""),
        (true, None, Some("5MiB"), "queue-size = \"5MiB\""),
        (false, Some("4MiB"), Some("5MiB"), "queue-size = \"5MiB\""),
    ];
    for (from_file, variable, flag, expected) in table {
        let mut command = sockeye(&["config", "print"]);
        if *from_file {
            command.args(["--config", file.name()]);
        }
        if let Some(value) = variable {
            command.env("SOCKEYE_QUEUE_SIZE", value);
        }
        if let Some(value) = flag {
            command.args(["--queue-size", value]);
        }
        assert_eq!(setting(&finish(&mut command).stdout, "queue-size"), *expected);
    }
}

#[test]
fn lists_replace_each_other_as_a_whole() {
    let file = File::new("origin = [\"https://a.test\", \"https://b.test\"]\n");
    let print = |variable: Option<&str>, flags: &[&str]| {
        let mut command = sockeye(&["config", "print", "--config", file.name()]);
        command
            .args(flags)
            .envs(variable.map(|value| ("SOCKEYE_ORIGIN", value)));
        setting(&finish(&mut command).stdout, "origin")
    };
    assert_eq!(
        print(None, &[]),
        "origin = [\"https://a.test\", \"https://b.test\"]"
    );
    assert_eq!(
        print(Some("https://c.test,any"), &[]),
        "origin = [\"https://c.test\", \"any\"]"
    );
    assert_eq!(
        print(
            Some("any"),
            &["--origin", "https://d.test", "--origin", "https://e.test"]
        ),
        "origin = [\"https://d.test\", \"https://e.test\"]"
    );
}

#[test]
fn the_file_can_be_named_by_the_environment() {
    let file = File::new("port = 8123\n");
    let ended = finish(sockeye(&["config", "print"]).env("SOCKEYE_CONFIG", file.name()));
    assert_eq!(setting(&ended.stdout, "port"), "port = 8123");
}

#[test]
fn what_is_printed_is_a_file_that_gives_the_same_settings() {
    let defaults = run(&["config", "print"]).stdout;
    let file = File::new(&defaults);
    assert_eq!(
        run(&["config", "print", "--config", file.name()]).stdout,
        defaults
    );
    assert_eq!(run(&["config", "check", file.name()]).status, 0);

    let flags = [
        "config",
        "print",
        "--port",
        "0",
        "--origin",
        "any,https://a.test",
        "--unix",
        "a \"b\"",
        "--greeting",
        "--idle-timeout",
        "1m30s",
        "--trusted-proxy",
        "10.0.0.0/8",
        "--log-level",
        "info,sockeye=debug",
    ];
    let changed = run(&flags).stdout;
    assert_ne!(changed, defaults);
    let file = File::new(&changed);
    assert_eq!(run(&["config", "print", "--config", file.name()]).stdout, changed);
}

#[test]
fn every_option_is_printed_with_its_comment_default_and_variable() {
    let printed = run(&["config", "print"]).stdout;
    let expected = "# Largest message accepted, counted after decompression. A larger one closes with 1009.\n\
        # Default: \"1MiB\". Environment: SOCKEYE_MAX_MESSAGE_SIZE.\nmax-message-size = \"1MiB\"\n";
    assert!(printed.contains(expected), "{printed}");
    let keys = printed.lines().filter(|line| line.contains(" = ")).count();
    assert_eq!(keys, printed.matches("Environment: SOCKEYE_").count());
    assert!(printed.lines().all(|line| line.len() <= 100), "{printed}");
}

#[test]
fn a_bad_file_is_one_line_with_the_place() {
    let table = [
        (
            "\nprot = 80\n",
            "2: unknown key \"prot\"; did you mean port?; sockeye config print lists all keys",
        ),
        (
            "max_message_size = 1\n",
            "1: unknown key \"max_message_size\"; did you mean max-message-size?; sockeye config print lists all keys",
        ),
        (
            "zzz = 80\n",
            "1: unknown key \"zzz\"; sockeye config print lists all keys",
        ),
        (
            "config = \"x\"\n",
            "1: unknown key \"config\"; sockeye config print lists all keys",
        ),
        (
            "port = \"http\"\n",
            "1: port: \"http\" is not a port: write a number from 0 to 65535, auto or off",
        ),
        (
            "port = -1\n",
            "1: port: \"-1\" is not a port: write a number from 0 to 65535, auto or off",
        ),
        ("port = [1, 2]\n", "1: port: write one value, not a list"),
        (
            "metrics = \"maybe\"\n",
            "1: metrics: \"maybe\" is not possible: write on or off",
        ),
        ("host = [\"localhost\"]\nport = \n", "2: not valid TOML: "),
        (
            "[server]\nport = 1\n",
            "1: server: options are not grouped: write the key at the top level",
        ),
    ];
    for (text, expected) in table {
        let file = File::new(text);
        for arguments in [
            &["config", "check", file.name()],
            &["serve", "--config", file.name()],
        ] {
            let line = complaint(&mut sockeye(arguments), 2);
            let line = line
                .strip_prefix(&format!("{}:", file.name()))
                .unwrap_or_else(|| panic!("{line}"));
            assert!(line.starts_with(expected), "{line}");
        }
    }
}

#[test]
fn a_missing_file_is_named() {
    let line = complaint(&mut sockeye(&["serve", "--config", "/nowhere/sockeye.toml"]), 2);
    assert_eq!(
        line,
        "cannot read the configuration /nowhere/sockeye.toml: No such file or directory"
    );
}

#[test]
fn a_bad_variable_is_named() {
    let line = complaint(sockeye(&["serve"]).env("SOCKEYE_PORT", "tcp://10.0.0.1:3000"), 2);
    assert_eq!(
        line,
        "the variable SOCKEYE_PORT: \"tcp://10.0.0.1:3000\" is not a port: write a number from 0 to 65535, auto or off"
    );
}

#[test]
fn an_empty_variable_is_not_set() {
    let defaults = run(&["config", "print"]).stdout;
    let mut command = sockeye(&["config", "print"]);
    command
        .env("SOCKEYE_PORT", "")
        .env("SOCKEYE_ORIGIN", "")
        .env("SOCKEYE_CONFIG", "");
    assert_eq!(finish(&mut command).stdout, defaults);
}

#[test]
fn check_reports_variables_that_no_option_has() {
    let ended = finish(sockeye(&["config", "check"]).env("SOCKEYE_PROT", "80"));
    assert_eq!(ended.status, 0);
    assert!(
        ended
            .stdout
            .contains("the variable SOCKEYE_PROT is none of sockeye's; did you mean SOCKEYE_PORT?"),
        "{ended:?}"
    );
}

#[test]
fn a_switch_may_be_a_boolean_of_toml() {
    let file = File::new("greeting = true\nmetrics = false\n");
    let printed = run(&["config", "print", "--config", file.name()]).stdout;
    assert_eq!(setting(&printed, "greeting"), "greeting = \"true\"");
    assert_eq!(setting(&printed, "metrics"), "metrics = \"false\"");
}

#[test]
fn check_reads_the_certificates() {
    let line = complaint(
        sockeye(&["config", "check"])
            .env("SOCKEYE_TLS_CERT", "/nowhere/chain.pem")
            .env("SOCKEYE_TLS_KEY", "/nowhere/key.pem"),
        1,
    );
    assert!(
        line.starts_with("TLS: cannot read /nowhere/chain.pem: "),
        "{line}"
    );
}
