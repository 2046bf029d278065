//! The client on a terminal: a line editor, and messages that arrive while a line is typed.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

use crate::support::{PATIENCE, Server, accept_websocket, sockeye};

/// A person's side of a terminal on which the client runs.
struct Terminal {
    child: Child,
    keyboard: File,
    /// The program's side, kept to look at its modes.
    modes: File,
    screen: Screen,
}

/// The person's side and the program's side of a terminal.
fn pseudoterminal() -> (File, File) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("there are terminals");
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let path = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let program = OpenOptions::new().read(true).write(true).open(path).unwrap();
    (File::from(master), program)
}

/// What a terminal shows.
struct Screen {
    output: Receiver<Vec<u8>>,
    seen: String,
}

impl Screen {
    fn of(mut terminal: File) -> Self {
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
        }
    }

    /// Waits until this is on the screen, behind what was waited for before.
    fn shows(&mut self, words: &str) {
        loop {
            if let Some(at) = self.seen.find(words) {
                self.seen.drain(..at + words.len());
                return;
            }
            let Ok(more) = self.output.recv_timeout(PATIENCE) else {
                panic!("{words:?} is not in {:?}", self.seen)
            };
            self.seen.push_str(&String::from_utf8_lossy(&more));
        }
    }
}

impl Terminal {
    fn connect(url: &str) -> Self {
        let (keyboard, program) = pseudoterminal();
        let child = sockeye(&["connect", url])
            .env("TERM", "xterm")
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
        terminal.shows("/help lists the commands");
        terminal.shows("> ");
        terminal
    }

    fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
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
    // Ctrl-D
    terminal.types("\u{4}");
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
        let _ = stream.read_to_end(&mut Vec::new());
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

/// The payload of one short masked text frame.
fn read_text(stream: &mut TcpStream) -> String {
    let mut header = [0; 6];
    stream.read_exact(&mut header).unwrap();
    assert_eq!((header[0], header[1] & 0x80), (0x81, 0x80));
    let mut payload = vec![0; usize::from(header[1] & 0x7f)];
    stream.read_exact(&mut payload).unwrap();
    for (byte, key) in payload.iter_mut().zip(header[2..].iter().cycle()) {
        *byte ^= key;
    }
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
