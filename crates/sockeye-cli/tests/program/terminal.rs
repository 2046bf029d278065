//! The client on a terminal: a line editor, and messages that arrive while a line is typed.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use tempfile::TempDir;

use crate::support::{PATIENCE, Server, accept_websocket, good_bye, read_frame, sockeye};

/// A person's side of a terminal on which the client runs.
struct Terminal {
    child: Child,
    keyboard: File,
    /// The program's side, kept to look at its modes.
    modes: File,
    screen: Screen,
}

/// The person's side and the program's side of a terminal.
pub(crate) fn pseudoterminal() -> (File, File) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("there are terminals");
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let path = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let program = OpenOptions::new().read(true).write(true).open(path).unwrap();
    (File::from(master), program)
}

/// What a terminal shows.
pub(crate) struct Screen {
    output: Receiver<Vec<u8>>,
    /// What was not waited for yet, and what was.
    seen: String,
    before: String,
}

impl Screen {
    pub(crate) fn of(mut terminal: File) -> Self {
        let (sender, output) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = terminal.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            output,
            seen: String::new(),
            before: String::new(),
        }
    }

    /// Waits until this is on the screen, behind what was waited for before.
    pub(crate) fn shows(&mut self, words: &str) {
        loop {
            if let Some(at) = self.seen.find(words) {
                self.before.extend(self.seen.drain(..at + words.len()));
                return;
            }
            let Ok(more) = self.output.recv_timeout(PATIENCE) else {
                panic!("{words:?} is not in {:?}, behind {:?}", self.seen, self.before)
            };
            self.seen.push_str(&String::from_utf8_lossy(&more));
        }
    }

    /// All that comes until nobody has the terminal open any more.
    pub(crate) fn rest(&mut self) -> String {
        while let Ok(more) = self.output.recv_timeout(PATIENCE) {
            self.seen.push_str(&String::from_utf8_lossy(&more));
        }
        std::mem::take(&mut self.seen)
    }
}

impl Terminal {
    fn connect(url: &str) -> Self {
        Self::connect_with(url, &["--no-history"], None)
    }

    /// With these flags, and a home for the history.
    fn connect_with(url: &str, flags: &[&str], home: Option<&Path>) -> Self {
        let (keyboard, program) = pseudoterminal();
        let mut command = sockeye(&["connect", url]);
        if let Some(home) = home {
            command.env("HOME", home).env_remove("XDG_STATE_HOME");
        }
        let child = command
            .args(flags)
            .env("TERM", "xterm")
            .env("NO_COLOR", "1")
            .stdin(Stdio::from(program.try_clone().unwrap()))
            .stdout(Stdio::from(program.try_clone().unwrap()))
            .stderr(Stdio::from(program.try_clone().unwrap()))
            .spawn()
            .unwrap();
        let screen = Screen::of(keyboard.try_clone().unwrap());
        let mut terminal = Self {
            child,
            keyboard,
            modes: program,
            screen,
        };
        // What is typed before the prompt is lost.
        if !flags.contains(&"--quiet") {
            terminal.shows("/help lists the commands");
        }
        terminal.shows("> ");
        terminal
    }

    fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Behind the prompt: between two lines, a terminal takes Ctrl-D for itself.
    fn types_ctrl_d(&mut self) {
        self.shows("> ");
        self.types("\u{4}");
    }

    fn shows(&mut self, words: &str) {
        self.screen.shows(words);
    }

    /// Waits for the end; the terminal is as it was before.
    fn ends(mut self, status: i32) {
        assert_eq!(
            self.child.wait().unwrap().code(),
            Some(status),
            "{}",
            self.screen.seen
        );
        let modes = tcgetattr(&self.modes).unwrap().local_modes;
        assert!(modes.contains(LocalModes::ICANON | LocalModes::ECHO));
    }
}

#[test]
fn a_typed_line_is_a_message_and_its_echo_is_shown() {
    let server = Server::start(&[]);
    let mut terminal = Terminal::connect(&server.url("ws"));
    terminal.types("hello\r");
    terminal.shows("< hello\r\n");
    terminal.types("/binary 00ff\r");
    terminal.shows("< [binary, 2 bytes] 00ff\r\n");
    terminal.types("//slash\r");
    terminal.shows("< /slash\r\n");
    terminal.types("/nothing\r");
    terminal.shows("* there is no command /nothing");
    terminal.types_ctrl_d();
    terminal.shows("sockeye: closed\r\n");
    terminal.ends(0);
}

/// A client on a terminal, and the server's side of its connection.
fn scripted() -> (Terminal, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || accept_websocket(&listener));
    let terminal = Terminal::connect(&url);
    (terminal, server.join().unwrap())
}

#[test]
fn a_message_arrives_above_the_line_being_typed() {
    let (mut terminal, mut server) = scripted();
    terminal.types("half a li");
    terminal.shows("half a li");
    server.write_all(b"\x81\x04news").unwrap();
    terminal.shows("< news\r\n");
    terminal.shows("> half a li");
    terminal.types("ne\r");
    assert_eq!(read_text(&mut server), "half a line");
}

#[test]
fn what_a_peer_sends_cannot_control_the_terminal() {
    let (mut terminal, mut server) = scripted();
    server.write_all(b"\x81\x06a\x1b[31m").unwrap();
    terminal.shows("< a\\u{1b}[31m\r\n");
}

#[test]
fn nor_can_it_when_only_the_input_is_a_pipe() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let mut stream = accept_websocket(&listener);
        stream
            .write_all(b"\x81\x06a\x1b[31m\x88\x07\x0b\xb9b\x1b\nc!")
            .unwrap();
        // Until the client has gone.
        good_bye(stream);
    });
    let (keyboard, program) = pseudoterminal();
    let mut child = sockeye(&["connect", &url, "--wait", "off"])
        .stdin(Stdio::null())
        .stdout(Stdio::from(program.try_clone().unwrap()))
        .stderr(Stdio::from(program))
        .spawn()
        .unwrap();
    let mut screen = Screen::of(keyboard);
    screen.shows("a\\u{1b}[31m\r\n");
    screen.shows("sockeye: the server closed with 3001: b\\u{1b}\\nc!\r\n");
    assert_eq!(child.wait().unwrap().code(), Some(3));
    server.join().unwrap();
}

fn read_text(stream: &mut TcpStream) -> String {
    let (opcode, payload) = read_frame(stream).expect("a message comes");
    assert_eq!(opcode, 1);
    String::from_utf8(payload).unwrap()
}

#[test]
fn the_end_is_told_and_the_terminal_put_back_in_the_middle_of_a_line() {
    let server = Server::start(&[]);
    let mut terminal = Terminal::connect(&server.url("ws"));
    terminal.types("hello\r");
    terminal.shows("< hello");
    terminal.types("half a line");
    terminal.shows("half a line");
    server.signal("TERM");
    terminal.shows("sockeye: the server closed with 1001: server is shutting down");
    terminal.ends(0);
}

#[test]
fn commands_do_what_help_says() {
    let server = Server::start(&[]);
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("some file");
    std::fs::write(&file, "from a file").unwrap();
    let mut terminal = Terminal::connect(&server.url("ws"));
    terminal.types("/help\r");
    terminal.shows("* /ping [TEXT]");
    terminal.types("/ping hello\r");
    terminal.shows("* pong after ");
    terminal.types("/headers\r");
    terminal.shows("* > GET /echo HTTP/1.1");
    terminal.shows("* < HTTP/1.1 101 Switching Protocols");
    terminal.types("/binary base64:AP8=\r");
    terminal.shows("< [binary, 2 bytes] 00ff");
    terminal.types(&format!("/file {}\r", file.display()));
    // Which of them comes first is not said.
    terminal.shows("from a file");
    terminal.types("/file /no/such/file\r");
    terminal.shows("* cannot read /no/such/file");
    terminal.types("/quit\r");
    terminal.shows("sockeye: closed\r\n");
    terminal.ends(0);
}

#[test]
fn close_takes_its_code_to_the_server() {
    let (mut terminal, mut server) = scripted();
    terminal.types("/close 3001 see you\r");
    assert_eq!(read_frame(&mut server), Some((8, b"\x0b\xb9see you".to_vec())));
    server.write_all(b"\x88\x02\x0b\xb9").unwrap();
    drop(server);
    terminal.shows("sockeye: closed\r\n");
    terminal.ends(0);
}

#[test]
fn json_is_laid_out_and_coloured() {
    let (mut terminal, mut server) = scripted();
    server.write_all(b"\x81\x0b{\"a\":[1,2]}").unwrap();
    terminal.shows("< {\r\n    \"a\": [\r\n      1,\r\n      2\r\n    ]\r\n  }\r\n");
}

#[test]
fn colours_are_there_unless_they_are_unwanted() {
    for (no_color, want) in [("", "\u{1b}[36m1\u{1b}[0m"), ("1", "1\r\n")] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let mut stream = accept_websocket(&listener);
            stream.write_all(b"\x81\x03[1]\x88\x02\x03\xe8").unwrap();
            good_bye(stream);
        });
        let (keyboard, program) = pseudoterminal();
        let mut child = sockeye(&["connect", &url, "--wait", "off"])
            .env("TERM", "xterm")
            .env("NO_COLOR", no_color)
            .env_remove("CLICOLOR")
            .stdin(Stdio::null())
            .stdout(Stdio::from(program))
            .spawn()
            .unwrap();
        let mut screen = Screen::of(keyboard);
        screen.shows(want);
        assert_eq!(child.wait().unwrap().code(), Some(0));
        server.join().unwrap();
    }
}

#[test]
fn what_is_pasted_is_one_message() {
    let (mut terminal, mut server) = scripted();
    terminal.types("\u{1b}[200~{\n  \"a\": 1\n}\n\u{1b}[201~");
    terminal.types("\r");
    assert_eq!(read_text(&mut server), "{\n  \"a\": 1\n}");
}

#[test]
fn several_lines_can_be_typed() {
    let (mut terminal, mut server) = scripted();
    terminal.types("one\\\r");
    terminal.types("two\u{1b}\r");
    terminal.types("three\r");
    assert_eq!(read_text(&mut server), "one\ntwo\nthree");
}

#[test]
fn incomplete_json_goes_on_in_the_next_line() {
    let server = Server::start(&[]);
    let mut terminal = Terminal::connect_with(&server.url("ws"), &["--json", "--no-history"], None);
    terminal.types("no json\r");
    terminal.shows("* that is not JSON: ");
    terminal.types("{\"a\":\r");
    terminal.types("[]}\r");
    terminal.shows("< {\r\n    \"a\": []\r\n  }");
}

#[test]
fn history_is_kept_for_the_next_time_and_completes() {
    let server = Server::start(&[]);
    let home = TempDir::new().unwrap();
    let mut terminal = Terminal::connect_with(&server.url("ws"), &[], Some(home.path()));
    terminal.types("a long message\r");
    terminal.shows("< a long message");
    terminal.types(" secret\r");
    terminal.shows("<  secret");
    terminal.types_ctrl_d();
    terminal.ends(0);

    let file = home.path().join(".local/state/sockeye/history");
    let kept = std::fs::read_to_string(&file).unwrap();
    assert_eq!(kept, "#V2\na long message\n");
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );

    let mut terminal = Terminal::connect_with(&server.url("ws"), &[], Some(home.path()));
    // Tab, then Enter.
    terminal.types("a l\t\r");
    terminal.shows("< a long message");
    // The arrow upwards.
    terminal.types("\u{1b}[A\r");
    terminal.shows("< a long message");
    terminal.types("/he\t\t");
    terminal.shows("/headers");
    terminal.types("lp\r");
    terminal.shows("* /ping [TEXT]");
}

#[test]
fn without_history_nothing_is_kept() {
    let server = Server::start(&[]);
    let home = TempDir::new().unwrap();
    let mut terminal = Terminal::connect_with(&server.url("ws"), &["--no-history"], Some(home.path()));
    terminal.types("hello\r");
    terminal.shows("< hello");
    terminal.types_ctrl_d();
    terminal.ends(0);
    assert!(!home.path().join(".local").exists());
}

#[test]
fn ctrl_c_closes_and_a_second_one_does_not_wait() {
    let (mut terminal, mut server) = scripted();
    terminal.types("\u{3}");
    assert_eq!(read_frame(&mut server), Some((8, b"\x03\xe9".to_vec())));
    // From now on it is a signal, which this terminal, not being the one that controls the process, does not send.
    let interrupt = format!("kill -INT {}", terminal.child.id());
    assert!(
        Command::new("sh")
            .args(["-c", &interrupt])
            .status()
            .unwrap()
            .success()
    );
    terminal.ends(130);
}

#[test]
fn quiet_says_nothing_of_its_own() {
    let server = Server::start(&[]);
    let mut terminal = Terminal::connect_with(&server.url("ws"), &["--quiet", "--no-history"], None);
    terminal.types("hello\r");
    terminal.shows("< hello");
    terminal.types_ctrl_d();
    assert_eq!(terminal.child.wait().unwrap().code(), Some(0));
    assert!(
        !terminal.screen.seen.contains("closed"),
        "{}",
        terminal.screen.seen
    );
}

#[test]
fn what_the_command_line_sends_and_waits_for_needs_nobody_to_type() {
    let server = Server::start(&[]);
    let (keyboard, program) = pseudoterminal();
    let mut child = sockeye(&[
        "connect",
        &server.url("ws"),
        "-m",
        "hello",
        "--once",
        "--timestamps",
    ])
    .env("NO_COLOR", "1")
    .stdin(Stdio::from(program.try_clone().unwrap()))
    .stdout(Stdio::from(program))
    .spawn()
    .unwrap();
    let mut screen = Screen::of(keyboard);
    screen.shows(" hello\r\n");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_long_check_shows_its_progress_and_leaves_nothing_of_it() {
    let server = Server::start(&[]);
    let (keyboard, program) = pseudoterminal();
    let mut child = sockeye(&["echo-test", &server.url("ws"), "-n", "2000", "--max-size", "1KiB"])
        .env("TERM", "xterm")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::from(program.try_clone().unwrap()))
        .stderr(Stdio::from(program))
        .spawn()
        .unwrap();
    let mut screen = Screen::of(keyboard);
    screen.shows("/2000 messages");
    screen.shows("2000 messages of 20 bytes");
    screen.shows("100 pings");
    screen.shows("Close\r\n");
    screen.shows(" passed, 0 failed, 0 unsupported");
    assert!(!screen.seen.contains("100 pings"), "{}", screen.seen);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
