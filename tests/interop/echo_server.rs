//! The server of these tests: Sockeye, echoing.

use sockeye::driver::DriverKind;
use sockeye::proto::deflate::Deflate;
use sockeye::server::{CloseEvent, Handler, Route, ServerBuilder, Socket};
use sockeye::tls::ServerTls;
use sockeye::{CloseCode, Config, HandlerResult, MessageRef, Server, WebSocket};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Room for every message of the peers.
pub(crate) const LARGEST_MESSAGE: u64 = 16 << 20;

/// How a connection ended: code, reason, clean.
type End = (u16, String, bool);

/// A Sockeye server that echoes every message and closes when told to, by the text `close CODE REASON`.
///
/// It runs where `SOCKEYE_TEST_DRIVER` says: an async handler on the test's own runtime (`runtime`, and without the
/// variable), or callbacks on workers, whose driver it names (`readiness`; `uring`, where the system has it).
pub(crate) struct EchoServer {
    pub(crate) url: String,
    closed: mpsc::UnboundedReceiver<End>,
    task: JoinHandle<()>,
}

impl EchoServer {
    /// Starts on a free port; the subprotocols `a` and `b` are spoken.
    pub(crate) async fn start(compression: Option<Deflate>) -> Self {
        Self::start_with("ws", Server::builder().compression(compression)).await
    }

    /// The same over TLS, for the name `localhost`.
    pub(crate) async fn start_tls(tls: ServerTls) -> Self {
        Self::start_with("wss", Server::builder().tls(tls)).await
    }

    /// The same on a worker, whose TLS has no stream.
    pub(crate) async fn start_tls_on_a_worker(tls: ServerTls) -> Self {
        Self::start_with("wss", Server::builder().tls(tls).workers(1)).await
    }

    async fn start_with(scheme: &str, builder: ServerBuilder) -> Self {
        let (report, closed) = mpsc::unbounded_channel();
        let (route, builder) = match std::env::var("SOCKEYE_TEST_DRIVER").as_deref() {
            Err(_) | Ok("" | "runtime") => {
                (Route::new(move |ws: WebSocket| echo(ws, report.clone())), builder)
            }
            Ok(driver) => {
                let driver: DriverKind = driver.parse().expect("a driver");
                let driver = driver.resolve().unwrap_or(DriverKind::Readiness);
                (Route::handler(Echo { report }), builder.workers(2).driver(driver))
            }
        };
        let limits = Config {
            max_message_size: LARGEST_MESSAGE,
            max_frame_size: LARGEST_MESSAGE,
            ..Config::server()
        };
        let server = builder
            .bind("127.0.0.1:0")
            .limits(limits)
            .route_with("/", route.subprotocols(["a", "b"]))
            .listen()
            .await
            .expect("the server starts");
        let address = server.tcp_address().expect("the server listens on TCP");
        let task = tokio::spawn(async move {
            server.serve().await;
        });
        let host = if scheme == "wss" { "localhost" } else { "127.0.0.1" };
        Self {
            url: format!("{scheme}://{host}:{}/", address.port()),
            closed,
            task,
        }
    }

    /// How the next connection to end ended, as the server sees it: code, reason, clean.
    pub(crate) async fn closed(&mut self) -> End {
        self.closed.recv().await.expect("the server runs")
    }
}

impl Drop for EchoServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn echo(mut ws: WebSocket, report: mpsc::UnboundedSender<End>) -> HandlerResult {
    while let Some(message) = ws.recv().await? {
        if let Some((code, reason)) = message.as_text().and_then(close_request) {
            ws.close(code, reason).await?;
        } else {
            ws.send(message).await?;
        }
    }
    let info = ws.close_info().ok_or("closed without a trace")?;
    report.send((info.code, info.reason.to_string(), info.clean))?;
    Ok(())
}

/// The same with callbacks.
struct Echo {
    report: mpsc::UnboundedSender<End>,
}

impl Handler for Echo {
    type Data = ();

    fn message(&self, socket: &mut Socket<'_, ()>, message: MessageRef<'_>) {
        let request = match message {
            MessageRef::Text(text) => close_request(text),
            MessageRef::Binary(_) => None,
        };
        match request {
            Some((code, reason)) => socket.close(code, reason).expect("a short reason"),
            None => {
                socket.send(message);
            }
        }
    }

    fn close(&self, _: &mut Socket<'_, ()>, end: CloseEvent<'_>) {
        // The test may be over.
        let _ = self.report.send((end.code, end.reason.to_owned(), end.was_clean));
    }
}

fn close_request(text: &str) -> Option<(CloseCode, &str)> {
    let (code, reason) = text.strip_prefix("close ")?.split_once(' ')?;
    Some((CloseCode::new(code.parse().ok()?)?, reason))
}
