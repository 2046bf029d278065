//! The clients, each as its library's documentation has it. Where a library can hold messages back and send many at
//! once, it does so when many are on the way: what waits is sent when nothing more is there to be received.

use std::future::poll_fn;
use std::task::Poll;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use fastwebsockets::{Frame, OpCode, Payload, WebSocket, handshake};
use futures_util::{FutureExt, Sink, SinkExt, Stream, StreamExt};
use http::header::{CONNECTION, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http_body_util::Empty;
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioExecutor, TokioIo};
use sockeye::Client;
use sockeye_proto::deflate::{Deflate, Level};
use tokio::io::BufWriter;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, tungstenite};

use super::kind::Kind;
use super::library::Library;
use super::plan::{Compression, Plan, Scenario};
use super::task::Wanted;

/// A connection of one library.
pub(super) trait Link: Sized {
    /// A message as the library takes it, prepared ahead.
    type Message;

    fn message(kind: Kind, payload: &Bytes) -> Result<Self::Message>;

    async fn connect(plan: &Plan) -> Result<Self>;

    /// Sends a message, or keeps it until [`receive`](Self::receive) has to wait.
    async fn send(&mut self, message: &Self::Message) -> Result<()>;

    /// Receives a message and checks it, whole or its ends.
    async fn receive(&mut self, wanted: &Wanted, whole: bool) -> Result<()>;

    /// Sends what was kept, now that nothing more comes.
    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// The next item of a connection. Before it waits for one, it sends what was kept back.
async fn next<C, M>(connection: &mut C) -> Result<C::Item>
where
    C: Stream + Sink<M, Error: std::error::Error + Send + Sync + 'static> + Unpin,
{
    let item = poll_fn(|cx| match connection.poll_next_unpin(cx) {
        Poll::Pending => match connection.poll_flush_unpin(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
        },
        Poll::Ready(item) => Poll::Ready(Ok(item)),
    });
    item.await?.context("the connection ended")
}

/// Sends one message at a time at once, and keeps many.
async fn send<C, M>(connection: &mut C, message: M, window: usize) -> Result<()>
where
    C: Sink<M, Error: std::error::Error + Send + Sync + 'static> + Unpin,
{
    if window == 1 {
        Ok(connection.send(message).await?)
    } else {
        Ok(connection.feed(message).await?)
    }
}

/// A TCP connection whose messages leave at once.
async fn dial(plan: &Plan) -> Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", plan.port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// It collects by itself what is sent while its driver does not run.
pub(super) struct Sockeye {
    ws: sockeye::WebSocket,
}

impl Link for Sockeye {
    type Message = sockeye::Message;

    fn message(kind: Kind, payload: &Bytes) -> Result<Self::Message> {
        Ok(match kind {
            Kind::Text => sockeye::Message::text(str::from_utf8(payload)?),
            Kind::Binary => sockeye::Message::binary(payload.clone()),
        })
    }

    async fn connect(plan: &Plan) -> Result<Self> {
        let Some(deflate) = deflate(plan.scenario) else {
            let ws = sockeye::connect(&plan.url()).await?;
            return Ok(Self { ws });
        };
        let client = Client::builder().compression(deflate).build()?;
        let ws = client.connect(&plan.url()).await?;
        Ok(Self { ws })
    }

    async fn send(&mut self, message: &Self::Message) -> Result<()> {
        Ok(self.ws.send(message).await?)
    }

    async fn receive(&mut self, wanted: &Wanted, whole: bool) -> Result<()> {
        let message = self.ws.recv().await?.context("the connection ended")?;
        let kind = match &message {
            sockeye::Message::Text(_) => Kind::Text,
            sockeye::Message::Binary(_) => Kind::Binary,
        };
        wanted.check(kind, message.as_bytes(), whole)
    }
}

fn deflate(scenario: Scenario) -> Option<Deflate> {
    let single = match scenario.compression {
        Compression::Off => return None,
        Compression::Single => true,
        Compression::Context => false,
    };
    Some(Deflate {
        // What the others use.
        level: Level::new(6).unwrap_or_default(),
        threshold: 0,
        server_no_context_takeover: single,
        client_no_context_takeover: single,
        ..Deflate::default()
    })
}

/// After `client.rs` among the crate's examples.
pub(super) struct TokioTungstenite {
    ws: WebSocketStream<MaybeTlsStream<TcpStream>>,
    window: usize,
}

impl Link for TokioTungstenite {
    type Message = tungstenite::Message;

    fn message(kind: Kind, payload: &Bytes) -> Result<Self::Message> {
        Ok(match kind {
            Kind::Text => tungstenite::Message::Text(payload.clone().try_into()?),
            Kind::Binary => tungstenite::Message::Binary(payload.clone()),
        })
    }

    async fn connect(plan: &Plan) -> Result<Self> {
        let config = match plan.library {
            Library::TokioTungstenite4k => WebSocketConfig::default().read_buffer_size(4 * 1024),
            _ => WebSocketConfig::default(),
        };
        let (ws, _) = tokio_tungstenite::connect_async_with_config(plan.url(), Some(config), true).await?;
        let window = plan.scenario.window;
        Ok(Self { ws, window })
    }

    async fn send(&mut self, message: &Self::Message) -> Result<()> {
        send(&mut self.ws, message.clone(), self.window).await
    }

    async fn receive(&mut self, wanted: &Wanted, whole: bool) -> Result<()> {
        match next(&mut self.ws).await?? {
            tungstenite::Message::Text(text) => wanted.check(Kind::Text, text.as_bytes(), whole),
            tungstenite::Message::Binary(bytes) => wanted.check(Kind::Binary, &bytes, whole),
            other => bail!("received {other}"),
        }
    }
}

/// After `autobahn_client.rs` among the crate's examples.
///
/// Receiving makes it send what was fed before: many messages leave at once only if they are fed when all that came has
/// been received.
pub(super) struct TokioWebsockets {
    ws: tokio_websockets::WebSocketStream<TcpStream>,
    window: usize,
    kept: Vec<tokio_websockets::Message>,
}

impl Link for TokioWebsockets {
    type Message = tokio_websockets::Message;

    fn message(kind: Kind, payload: &Bytes) -> Result<Self::Message> {
        Ok(match kind {
            Kind::Text => tokio_websockets::Message::text(String::from_utf8(payload.to_vec())?),
            Kind::Binary => tokio_websockets::Message::binary(payload.clone()),
        })
    }

    async fn connect(plan: &Plan) -> Result<Self> {
        let (ws, _) = tokio_websockets::ClientBuilder::new()
            .uri(&plan.url())?
            .config(tokio_websockets::Config::default().flush_threshold(64 * 1024))
            .connect_on(dial(plan).await?)
            .await?;
        Ok(Self {
            ws,
            window: plan.scenario.window,
            kept: Vec::new(),
        })
    }

    async fn send(&mut self, message: &Self::Message) -> Result<()> {
        if self.window == 1 {
            self.ws.send(message.clone()).await?;
        } else {
            self.kept.push(message.clone());
        }
        Ok(())
    }

    async fn receive(&mut self, wanted: &Wanted, whole: bool) -> Result<()> {
        let mut message = None;
        if !self.kept.is_empty() {
            message = self.ws.next().now_or_never();
            if message.is_none() {
                self.flush().await?;
            }
        }
        let message = match message {
            Some(message) => message,
            None => self.ws.next().await,
        };
        let message = message.context("the connection ended")??;
        let kind = match (message.is_text(), message.is_binary()) {
            (true, _) => Kind::Text,
            (_, true) => Kind::Binary,
            _ => bail!("received {message:?}"),
        };
        wanted.check(kind, message.as_payload(), whole)
    }

    async fn flush(&mut self) -> Result<()> {
        for message in self.kept.drain(..) {
            self.ws.feed(message).await?;
        }
        Ok(self.ws.flush().await?)
    }
}

/// How many messages it keeps before it sends them: it cannot tell whether there is more to be received, so that it
/// sends when a good part of the window waits.
const FASTWEBSOCKETS_BATCH: usize = 16;

/// After the client among the documentation of `handshake::client`.
pub(super) struct Fastwebsockets {
    ws: WebSocket<TokioIo<Upgraded>>,
    batch: usize,
    kept: usize,
}

impl Link for Fastwebsockets {
    type Message = (Kind, Bytes);

    fn message(kind: Kind, payload: &Bytes) -> Result<Self::Message> {
        Ok((kind, payload.clone()))
    }

    async fn connect(plan: &Plan) -> Result<Self> {
        // It writes each frame by itself: what collects them is a buffer below it.
        let (batch, buffer) = match plan.scenario.window {
            1 => (1, 0),
            _ => (FASTWEBSOCKETS_BATCH, 128 * 1024),
        };
        let stream = BufWriter::with_capacity(buffer, dial(plan).await?);
        let request = http::Request::get(plan.url())
            .header(HOST, format!("127.0.0.1:{}", plan.port))
            .header(UPGRADE, "websocket")
            .header(CONNECTION, "upgrade")
            .header(SEC_WEBSOCKET_KEY, handshake::generate_key())
            .header(SEC_WEBSOCKET_VERSION, "13")
            .body(Empty::<Bytes>::new())?;
        let (ws, _) = handshake::client(&TokioExecutor::new(), request, stream).await?;
        Ok(Self { ws, batch, kept: 0 })
    }

    async fn send(&mut self, (kind, payload): &Self::Message) -> Result<()> {
        let payload = Payload::Borrowed(payload);
        let frame = match kind {
            Kind::Text => Frame::text(payload),
            Kind::Binary => Frame::binary(payload),
        };
        self.ws.write_frame(frame).await?;
        self.kept += 1;
        if self.kept == self.batch {
            self.flush().await?;
        }
        Ok(())
    }

    async fn receive(&mut self, wanted: &Wanted, whole: bool) -> Result<()> {
        let frame = self.ws.read_frame().await?;
        let kind = match frame.opcode {
            OpCode::Text if frame.fin => Kind::Text,
            OpCode::Binary if frame.fin => Kind::Binary,
            opcode => bail!("received {opcode:?}"),
        };
        wanted.check(kind, &frame.payload, whole)
    }

    async fn flush(&mut self) -> Result<()> {
        self.kept = 0;
        Ok(self.ws.flush().await?)
    }
}

/// After the crate's README, with the buffers of its own benchmark.
pub(super) struct Yawc {
    ws: yawc::WebSocket<TcpStream>,
    window: usize,
}

impl Link for Yawc {
    type Message = yawc::Frame;

    fn message(kind: Kind, payload: &Bytes) -> Result<Self::Message> {
        Ok(match kind {
            Kind::Text => yawc::Frame::text(payload.clone()),
            Kind::Binary => yawc::Frame::binary(payload.clone()),
        })
    }

    async fn connect(plan: &Plan) -> Result<Self> {
        // All the others check that text is UTF-8.
        let options = yawc::Options::default()
            .with_utf8()
            .with_read_buffer_capacity(128 * 1024)
            .with_backpressure_boundary(64 * 1024);
        let balanced = options.clone().with_balanced_compression();
        let options = match plan.scenario.compression {
            Compression::Off => options,
            Compression::Single => balanced.server_no_context_takeover().client_no_context_takeover(),
            Compression::Context => balanced,
        };
        let ws = yawc::WebSocket::handshake(plan.url().parse()?, dial(plan).await?, options).await?;
        let window = plan.scenario.window;
        Ok(Self { ws, window })
    }

    async fn send(&mut self, message: &Self::Message) -> Result<()> {
        send(&mut self.ws, message.clone(), self.window).await
    }

    async fn receive(&mut self, wanted: &Wanted, whole: bool) -> Result<()> {
        let frame = next(&mut self.ws).await?;
        let kind = match frame.opcode() {
            yawc::OpCode::Text => Kind::Text,
            yawc::OpCode::Binary => Kind::Binary,
            opcode => bail!("received {opcode:?}"),
        };
        wanted.check(kind, frame.payload(), whole)
    }
}
