//! The peers as child processes; the README beside this file tells what they do.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// How many messages a client sends, and so how many echoes it reports.
pub(crate) const MESSAGES_OF_A_CLIENT: usize = 8;

/// A peer that says nothing for so long has failed. Starting an interpreter takes a fraction of a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// A WebSocket library that users have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Library {
    /// Node `ws`.
    Ws,
    /// Node `websocket`, also called WebSocket-Node.
    WebSocketNode,
    /// The `WebSocket` that Node has built in, a client.
    Builtin,
    /// Python `websockets`.
    Websockets,
}

impl Library {
    /// Those that have clients.
    pub(crate) const CLIENTS: [Self; 4] = [Self::Ws, Self::WebSocketNode, Self::Builtin, Self::Websockets];

    /// Those that have servers.
    pub(crate) const SERVERS: [Self; 3] = [Self::Ws, Self::WebSocketNode, Self::Websockets];

    /// Those that can be told all parameters of permessage-deflate.
    pub(crate) const WITH_WINDOW_BITS: [Self; 2] = [Self::Ws, Self::Websockets];

    /// Whether it can send a message in fragments.
    pub(crate) fn fragments(self) -> bool {
        self != Self::Builtin
    }

    /// Whether it takes a window of this size. zlib cannot compress with 8 bits, and Python's library refuses them.
    pub(crate) fn takes_window(self, bits: u8) -> bool {
        bits > 8 || self != Self::Websockets
    }

    fn command(self, script: &str) -> Command {
        let node = |library: &str| {
            let mut command = node(script);
            command.args(["--library", library]);
            command
        };
        match self {
            Self::Ws => node("ws"),
            Self::WebSocketNode => node("websocket"),
            Self::Builtin => node("builtin"),
            Self::Websockets => {
                let mut command = Command::new(python());
                command.arg(tests().join(format!("python/{script}.py")));
                command
            }
        }
    }
}

/// One of the scripts for Node.
fn node(script: &str) -> Command {
    let mut command = Command::new("node");
    // Node 20 has its own WebSocket behind this flag; later ones ignore it.
    command
        .arg("--experimental-websocket")
        .arg(tests().join(format!("node/{script}.mjs")));
    command
}

/// The folder of these tests.
fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("interop")
}

/// The interpreter of the environment that `cargo xtask test interop` makes.
fn python() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/python/bin/python3")
}

/// What a peer reports.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(crate) enum Event {
    /// A server listens.
    Ready { port: u16 },
    /// A connection is open; what was agreed.
    Open { subprotocol: String, extensions: String },
    /// A client's message came back unchanged.
    Echo { kind: String, length: usize },
    /// A connection is closed; what the library tells of it.
    Closed { code: u16, reason: String },
    /// A connection failed.
    Error { message: String },
    /// TLS is set up.
    Secured { version: String, resumed: bool },
    /// A proxy was asked for a way to this place, `host:port`.
    Proxied { to: String },
}

/// A running peer, ended when dropped.
#[derive(Debug)]
pub(crate) struct Peer {
    name: String,
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
}

impl Peer {
    /// Starts an echo server; returns its URL too.
    pub(crate) async fn server(library: Library, options: &[&str]) -> (Self, String) {
        let mut peer = Self::start(format!("{library:?}"), library.command("server").args(options));
        let port = peer.ready().await;
        (peer, format!("ws://127.0.0.1:{port}/"))
    }

    /// Starts a proxy of this package; returns its port on 127.0.0.1 too.
    pub(crate) async fn proxy(package: &str, options: &[&str]) -> (Self, u16) {
        let command = &mut node("proxy");
        let mut peer = Self::start(package, command.args(["--package", package]).args(options));
        let port = peer.ready().await;
        (peer, port)
    }

    /// Starts a client that sends its messages to `url`, checks their echoes and closes.
    pub(crate) fn client(library: Library, url: &str, options: &[&str]) -> Self {
        Self::start(
            format!("{library:?}"),
            library.command("client").args(["--url", url]).args(options),
        )
    }

    /// The same, for a server whose certificate is in this file.
    pub(crate) fn client_trusting(library: Library, certificate: &Path, url: &str) -> Self {
        let mut command = library.command("client");
        command
            .args(["--url", url])
            .env("NODE_EXTRA_CA_CERTS", certificate)
            .env("SSL_CERT_FILE", certificate);
        Self::start(format!("{library:?}"), &mut command)
    }

    /// Starts the client that tests TLS.
    pub(crate) fn tls(options: &[&str]) -> Self {
        Self::start("TLS", node("tls").args(options))
    }

    fn start(name: impl Into<String>, command: &mut Command) -> Self {
        let name = name.into();
        let spawned = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut child = spawned.unwrap_or_else(|error| {
            panic!(
                "cannot start the {name} peer ({error}): `cargo xtask test interop` installs what it needs"
            )
        });
        let stdout = child.stdout.take().expect("standard output is piped");
        Self {
            name,
            child,
            output: BufReader::new(stdout).lines(),
        }
    }

    /// The port on which a server listens.
    async fn ready(&mut self) -> u16 {
        match self.event().await {
            Event::Ready { port } => port,
            other => panic!("the {} peer is not ready: {other:?}", self.name),
        }
    }

    /// The next thing the peer reports.
    pub(crate) async fn event(&mut self) -> Event {
        let line = timeout(PATIENCE, self.output.next_line()).await;
        let line = line
            .unwrap_or_else(|_| panic!("the {} peer hangs", self.name))
            .expect("output is readable");
        let line = line.unwrap_or_else(|| panic!("the {} peer ended too early, see its output", self.name));
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line}"))
    }

    /// The subprotocol and the extensions that the peer reports for the connection it opens next.
    pub(crate) async fn opened(&mut self) -> (String, String) {
        match self.event().await {
            Event::Open {
                subprotocol,
                extensions,
            } => (subprotocol, extensions),
            other => panic!("{} opened no connection: {other:?}", self.name),
        }
    }

    /// The code and the reason that the peer reports once the connection has closed.
    pub(crate) async fn closed(&mut self) -> (u16, String) {
        match self.event().await {
            Event::Closed { code, reason } => (code, reason),
            other => panic!("{} did not close: {other:?}", self.name),
        }
    }

    /// Reads a client's reports of its echoes.
    pub(crate) async fn echoes(&mut self) {
        for number in 1..=MESSAGES_OF_A_CLIENT {
            let event = self.event().await;
            assert!(
                matches!(event, Event::Echo { .. }),
                "{}, echo {number}: {event:?}",
                self.name
            );
        }
    }

    /// Where a proxy was asked for a way to.
    pub(crate) async fn proxied(&mut self) -> String {
        match self.event().await {
            Event::Proxied { to } => to,
            other => panic!("{} gave no way: {other:?}", self.name),
        }
    }

    /// Kills the peer and waits for its end.
    pub(crate) async fn killed(mut self) {
        self.child.kill().await.expect("a child can be killed");
    }

    /// Waits for a client's end, which must be a success.
    pub(crate) async fn finished(mut self) {
        let status = timeout(PATIENCE, self.child.wait()).await;
        let status = status.unwrap_or_else(|_| panic!("the {} client hangs", self.name));
        assert!(
            status.expect("a child can be waited for").success(),
            "the {} client failed",
            self.name
        );
    }
}
