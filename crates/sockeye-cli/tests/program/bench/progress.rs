//! What a person at a terminal sees while it runs.

use std::process::Stdio;

use rustix::termios::{Winsize, tcsetwinsize};

use crate::support::{Server, sockeye};
use crate::terminal::{Screen, pseudoterminal};

/// A run on a terminal of this width, whose table goes elsewhere.
fn run_on(columns: u16, flags: &[&str], see: impl FnOnce(&mut Screen)) {
    let server = Server::start(&[]);
    let (person, program) = pseudoterminal();
    let size = Winsize {
        ws_row: 24,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&program, size).unwrap();
    let mut child = sockeye(&["bench", "echo", &server.url("ws"), "-c", "5"])
        .args(["--duration", "1s", "--settle", "0s"])
        .args(flags)
        .env("TERM", "xterm")
        .stdout(Stdio::null())
        .stderr(Stdio::from(program))
        .spawn()
        .unwrap();
    see(&mut Screen::of(person));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn each_phase_is_shown_with_what_matters_in_it() {
    run_on(80, &["--ramp", "600ms", "--warmup", "600ms"], |screen| {
        screen.shows("connecting");
        screen.shows(" of 5 open");
        screen.shows("warming up");
        screen.shows("measuring");
        // All of it has room in 80 columns.
        for words in ["5 open · ", "/s · p50 ", ", p99 ", "s"] {
            screen.shows(words);
        }
    });
}

#[test]
fn the_bar_is_gone_at_the_end() {
    run_on(80, &["--warmup", "0s"], |screen| {
        screen.shows("measuring");
        // The line is erased, and nothing is drawn behind that.
        let rest = screen.rest();
        let (_, end) = rest.rsplit_once("\u{1b}[2K").expect("it is erased");
        assert!(end.trim().is_empty(), "{rest:?}");
    });
}

#[test]
fn quiet_draws_nothing() {
    run_on(80, &["--warmup", "0s", "--quiet"], |screen| {
        assert_eq!(screen.rest(), "");
    });
}
