//! Servers in the process of the test.

use std::sync::Arc;
use std::time::Duration;

use sockeye::server::Server;
use sockeye::{CloseCode, Message, Sender, WebSocket};
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// A server that runs as long as this is there.
pub(super) struct Host {
    _runtime: Runtime,
    address: String,
}

impl Host {
    /// Serves every connection with this.
    pub(super) fn start<F>(serve: impl Fn(WebSocket) -> F + Clone + Send + Sync + 'static) -> Self
    where
        F: Future<Output = sockeye::Result<()>> + Send + 'static,
    {
        let runtime = Runtime::new().unwrap();
        let handler = move |ws: WebSocket| {
            let served = serve(ws);
            async move { Ok(served.await?) }
        };
        let server = Server::builder().route("/{*path}", handler).bind("127.0.0.1:0");
        let server = runtime.block_on(server.listen()).unwrap();
        let address = server.addresses()[0].to_string();
        runtime.spawn(server.serve());
        Self {
            _runtime: runtime,
            address,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("ws://{}/path", self.address)
    }
}

/// Sends back what `change` makes of each message and its number.
pub(super) async fn echo(
    mut ws: WebSocket,
    change: impl Fn(usize, Message) -> Message,
) -> sockeye::Result<()> {
    let mut number = 0;
    while let Some(message) = ws.recv().await? {
        ws.send(change(number, message)).await?;
        number += 1;
    }
    Ok(())
}

/// Echoes, but rests for this long before it answers the message with the number 100.
pub(super) async fn stall(mut ws: WebSocket, rest: Duration) -> sockeye::Result<()> {
    let mut number = 0;
    while let Some(message) = ws.recv().await? {
        if number == 100 {
            // The rest is what is measured.
            tokio::time::sleep(rest).await;
        }
        ws.send(message).await?;
        number += 1;
    }
    Ok(())
}

/// Closes after the first message.
pub(super) async fn dismiss(mut ws: WebSocket) -> sockeye::Result<()> {
    ws.recv().await?;
    ws.close(CloseCode::POLICY_VIOLATION, "enough").await.map(drop)
}

/// What a relay does with each sixth of ten messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    Lose,
    Double,
    /// Sends it behind the next one.
    Reorder,
}

impl Fault {
    /// Whether something happens to the message with this number.
    pub(super) fn strikes(number: u64) -> bool {
        number % 10 == 5
    }
}

/// Sends what it gets to everybody, faultily.
#[derive(Debug, Clone)]
pub(super) struct Relay {
    fault: Fault,
    everybody: Arc<watch::Sender<Vec<Sender>>>,
    /// How many connections it waits for before it begins.
    members: usize,
}

impl Relay {
    pub(super) fn new(fault: Fault, members: usize) -> Self {
        Self {
            fault,
            everybody: Arc::default(),
            members,
        }
    }

    pub(super) async fn serve(self, ws: WebSocket) -> sockeye::Result<()> {
        let (sender, mut receiver) = ws.split();
        self.everybody.send_modify(|everybody| everybody.push(sender));
        let mut joined = self.everybody.subscribe();
        let mut held = None;
        let mut number = 0;
        while let Some(message) = receiver.recv().await? {
            let strikes = Fault::strikes(number);
            number += 1;
            let mut now = Vec::new();
            match self.fault {
                Fault::Lose if strikes => {}
                Fault::Double if strikes => now.extend([message.clone(), message]),
                Fault::Reorder if strikes => held = Some(message),
                _ => now.extend(std::iter::once(message).chain(held.take())),
            }
            // A connection is open for the client before its handler runs.
            let everybody = match joined.wait_for(|everybody| everybody.len() >= self.members).await {
                Ok(everybody) => everybody.clone(),
                Err(_) => return Ok(()),
            };
            for message in now {
                for sender in &everybody {
                    // Some are gone already.
                    let _ = sender.send(message.clone()).await;
                }
            }
        }
        Ok(())
    }
}
