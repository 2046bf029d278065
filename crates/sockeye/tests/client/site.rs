//! A server that answers each opening handshake as a function says, and tells what it was asked.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::peer::read_request;

/// A running server on 127.0.0.1.
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    requests: mpsc::UnboundedReceiver<String>,
}

impl Site {
    /// Answers each request with what `answer` makes of it, and leaves the connection open.
    pub(crate) async fn start(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (report, requests) = mpsc::unbounded_channel();
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            while let Ok((mut io, _)) = listener.accept().await {
                let (report, answer) = (report.clone(), Arc::clone(&answer));
                tokio::spawn(async move {
                    let request = read_request(&mut io).await;
                    let text = answer(&request);
                    let _ = report.send(request);
                    io.write_all(text.as_bytes()).await.unwrap();
                    let _ = tokio::io::copy(&mut io, &mut tokio::io::sink()).await;
                });
            }
        });
        Self { address, requests }
    }

    /// The URL of a path, with the host as an address.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    /// The next request that was answered.
    pub(crate) fn asked(&mut self) -> String {
        self.requests.try_recv().expect("the server was asked")
    }

    /// Whether all requests were looked at.
    pub(crate) fn is_quiet(&self) -> bool {
        self.requests.is_empty()
    }
}

/// What is asked for.
pub(crate) fn path(request: &str) -> &str {
    request.split(' ').nth(1).unwrap()
}
