//! The server of these tests: Sockeye, echoing.

use sockeye::proto::deflate::Deflate;
use sockeye::server::{Route, ServerBuilder};
use sockeye::tls::ServerTls;
use sockeye::{CloseCode, CloseInfo, Config, HandlerResult, Message, Server, WebSocket};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Room for every message of the peers.
pub(crate) const LARGEST_MESSAGE: u64 = 16 << 20;

/// A Sockeye server that echoes every message and closes when told to, by the text `close CODE REASON`.
pub(crate) struct EchoServer {
    pub(crate) url: String,
    closed: mpsc::UnboundedReceiver<CloseInfo>,
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
        let route = Route::new(move |ws: WebSocket| echo(ws, report.clone()));
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
    pub(crate) async fn closed(&mut self) -> (u16, String, bool) {
        let CloseInfo {
            code, reason, clean, ..
        } = self.closed.recv().await.expect("the server runs");
        (code, reason.to_string(), clean)
    }
}

impl Drop for EchoServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn echo(mut ws: WebSocket, report: mpsc::UnboundedSender<CloseInfo>) -> HandlerResult {
    while let Some(message) = ws.recv().await? {
        if let Some((code, reason)) = close_request(&message) {
            ws.close(code, &reason).await?;
        } else {
            ws.send(message).await?;
        }
    }
    report.send(ws.close_info().ok_or("closed without a trace")?)?;
    Ok(())
}

fn close_request(message: &Message) -> Option<(CloseCode, String)> {
    let (code, reason) = message.as_text()?.strip_prefix("close ")?.split_once(' ')?;
    Some((CloseCode::new(code.parse().ok()?)?, reason.to_owned()))
}
