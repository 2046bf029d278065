//! Help, version, completions, and mistakes on the command line.

use crate::support::{complaint, run, sockeye};

#[test]
fn version_names_the_program() {
    let ended = run(&["--version"]);
    assert_eq!(
        (ended.status, ended.stdout),
        (0, format!("sockeye {}\n", env!("CARGO_PKG_VERSION")))
    );
}

#[test]
fn help_lists_commands_and_examples() {
    let help = run(&["--help"]).stdout;
    for words in [
        "serve ",
        "connect ",
        "config ",
        "completions ",
        "Examples:",
        "sockeye --tls-self-signed",
    ] {
        assert!(help.contains(words), "{words}: {help}");
    }
}

#[test]
fn help_of_serve_teaches() {
    let help = run(&["serve", "--help"]).stdout;
    for words in [
        "Listening:",
        "TLS:",
        "Compression:",
        "Messages:",
        "Times:",
        "Logging:",
        "[env: SOCKEYE_PORT=]",
        "[env: SOCKEYE_CONFIG=]",
        "[default: 64KiB]",
        "SIGHUP",
        "Exit status",
        "Examples:",
    ] {
        assert!(help.contains(words), "{words}: {help}");
    }
    assert_eq!(run(&["--port", "80", "--help"]).stdout, help);
}

#[test]
fn help_of_connect_explains_the_exit_status() {
    let help = run(&["connect", "--help"]).stdout;
    assert!(
        help.contains("Exit status") && help.contains("102-115") && help.contains("Examples:"),
        "{help}"
    );
    for command in ["replay", "echo-test"] {
        let help = run(&[command, "--help"]).stdout;
        assert!(
            help.contains("Exit status") && help.contains("Examples:"),
            "{help}"
        );
    }
}

#[test]
fn completions_are_made_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&["completions", shell]).stdout;
        for words in ["max-message-size", "echo-test", "replay", "timestamps"] {
            assert!(script.contains(words), "{shell}: {words}");
        }
    }
}

#[test]
fn mistakes_are_one_line_and_status_2() {
    let table: &[(&[&str], &str)] = &[
        (
            &["--prot", "80"],
            "unknown option --prot; did you mean --port?; --help lists the options",
        ),
        (
            &["serve", "--no-such-thing-at-all"],
            "unknown option --no-such-thing-at-all; --help lists the options",
        ),
        (
            &["conect"],
            "unknown command \"conect\"; did you mean connect?; --help lists the commands",
        ),
        (&["connect"], "<URL> is missing; --help tells more"),
        (
            &["--port", "70000"],
            "--port: \"70000\" is not a port: write a number from 0 to 65535, auto or off",
        ),
        (
            &["--driver", "stream"],
            "--driver: there is no driver \"stream\": write auto, uring or readiness",
        ),
        (
            &["--max-message-size", "64KX"],
            "--max-message-size: \"64KX\" is not a size: write bytes, or a whole number with KiB, MiB or GiB, as in 64KiB",
        ),
        (
            &["--ping-interval", "25"],
            "--ping-interval: \"25\" is not a duration: write a whole number with ms, s, m, h or d, as in 10s, or off",
        ),
        (
            &["--origin", "null"],
            "--origin: \"null\" is not an origin: write any, same-origin, or scheme, host and port without a path, \
             as in https://example.org:8443",
        ),
        (
            &["connect", "ws://localhost", "--header", "novalue"],
            "--header: \"novalue\" is not a header: write 'Name: value'",
        ),
        (
            &["--tls-cert", "chain.pem"],
            "tls-cert is given without tls-key: name the file of its private key too",
        ),
        (
            &["--tls-client-ca", "ca.pem"],
            "tls-client-ca needs TLS: give tls-cert and tls-key, or tls-self-signed",
        ),
        (
            &["--port", "off"],
            "port is off and there is no unix socket: nothing to listen on",
        ),
    ];
    for (arguments, line) in table {
        assert_eq!(complaint(&mut sockeye(arguments), 2), *line, "{arguments:?}");
    }
}
