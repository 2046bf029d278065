//! A network in memory: clients dial, and the test is the server.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sockeye::reconnect::{Event, Events, ReconnectBuilder, Reconnecting};
use sockeye::{Message, WebSocket};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Sleep, sleep, timeout};

/// What a transport holds of each direction, in bytes.
const PIPE: usize = 16 * 1024;

/// Where clients dial.
#[derive(Clone)]
pub(crate) struct Network {
    dialled: mpsc::UnboundedSender<DuplexStream>,
    /// What will go wrong with the connections from now on.
    faults: Arc<Mutex<Box<dyn FnMut() -> Fault + Send>>>,
    muted: Arc<AtomicBool>,
}

/// Where servers get their connections.
pub(crate) struct Listener(mpsc::UnboundedReceiver<DuplexStream>);

pub(crate) fn network() -> (Network, Listener) {
    let (dialled, listener) = mpsc::unbounded_channel();
    let faults: Box<dyn FnMut() -> Fault + Send> = Box::new(Fault::default);
    let network = Network {
        dialled,
        faults: Arc::new(Mutex::new(faults)),
        muted: Arc::default(),
    };
    (network, Listener(listener))
}

impl Network {
    /// A client of this network whose waits are half of what they could be: 2.5 s, 5 s, 10 s.
    pub(crate) fn client(&self) -> ReconnectBuilder {
        let network = self.clone();
        Reconnecting::builder("ws://server.test/")
            .random(|| 0.5)
            .connect_with(move |target| {
                let io = network.dial();
                async move { target.handshake(io?).await }
            })
    }

    pub(crate) fn faults(&self, faults: impl FnMut() -> Fault + Send + 'static) {
        *self.faults.lock().unwrap() = Box::new(faults);
    }

    /// Loses whatever clients send from now on, and tells nobody.
    pub(crate) fn mute(&self) {
        self.muted.store(true, Ordering::Relaxed);
    }

    /// Fails when the listener is gone.
    fn dial(&self) -> io::Result<Transport> {
        let (client, server) = duplex(PIPE);
        let refused = |_| io::Error::from(io::ErrorKind::ConnectionRefused);
        self.dialled.send(server).map_err(refused)?;
        let fault = (self.faults.lock().unwrap())();
        Ok(Transport {
            io: Some(client),
            fault,
            death: None,
            muted: self.muted.clone(),
        })
    }
}

impl Listener {
    /// The server's end of the next connection.
    pub(crate) async fn accept(&mut self) -> DuplexStream {
        in_time(self.0.recv()).await.expect("a network")
    }

    /// The next connection, answered with these bytes; gives what was asked.
    pub(crate) async fn answer(&mut self, response: &str) -> String {
        let mut io = self.accept().await;
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(io.read_u8().await.unwrap());
        }
        io.write_all(response.as_bytes()).await.unwrap();
        String::from_utf8(request).unwrap()
    }

    /// The next connection, refused with this status.
    pub(crate) async fn refuse(&mut self, status: u16) -> String {
        self.answer(&format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n"))
            .await
    }

    /// The next connection as a WebSocket.
    pub(crate) async fn open(&mut self) -> WebSocket {
        upgrade(self.accept().await).await.expect("an upgrade")
    }
}

/// Answers the opening handshake; `None` if it comes to nothing.
pub(crate) async fn upgrade(io: DuplexStream) -> Option<WebSocket> {
    let (opened, websocket) = oneshot::channel();
    let opened = Mutex::new(Some(opened));
    let service = service_fn(move |mut request: Request<Incoming>| {
        let opened = opened.lock().unwrap().take();
        async move {
            let response: Result<Response<Full<Bytes>>, Infallible> =
                Ok(match sockeye::hyper::upgrade(&mut request) {
                    Ok((response, upgrading)) => {
                        tokio::spawn(async move {
                            if let (Ok(ws), Some(opened)) = (upgrading.await, opened) {
                                let _ = opened.send(ws);
                            }
                        });
                        response
                    }
                    Err(rejection) => sockeye::hyper::response(rejection),
                });
            response
        }
    });
    let http = http1::Builder::new()
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades();
    tokio::spawn(http);
    websocket.await.ok()
}

/// Ends a test that waits for what does not come: pings go to and fro for ever.
async fn in_time<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_secs(24 * 3600), future)
        .await
        .expect("in time")
}

/// Drops the connection without a Close frame.
pub(crate) async fn kill(ws: WebSocket) {
    ws.sender().abort();
    let _ = ws.sender().closed().await;
}

/// The next message, which is text.
pub(crate) async fn text(ws: &mut WebSocket) -> String {
    match in_time(ws.recv()).await.unwrap() {
        Some(Message::Text(text)) => text.to_string(),
        other => panic!("no text: {other:?}"),
    }
}

/// The next event that `find` finds something in; those before it are passed over.
pub(crate) async fn event<T>(events: &mut Events, mut find: impl FnMut(&Event) -> Option<T>) -> T {
    let mut passed = Vec::new();
    while let Some(event) = in_time(events.recv()).await {
        if let Some(found) = find(&event) {
            return found;
        }
        passed.push(event);
    }
    panic!("not among {passed:?}");
}

/// The next wait.
pub(crate) async fn waiting(events: &mut Events) -> Duration {
    event(events, |event| match event {
        Event::Waiting { delay } => Some(*delay),
        _ => None,
    })
    .await
}

/// What goes wrong with a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fault {
    /// It is cut when the client has sent this many bytes.
    pub(crate) after_written: Option<usize>,
    /// It is cut when the client has received this many bytes.
    pub(crate) after_read: Option<usize>,
    /// It is not cut by the first, but takes all bytes from then on and loses them, and is cut after this time.
    pub(crate) swallow: Option<Duration>,
}

/// The client's end of a connection.
pub(crate) struct Transport {
    /// `None` once it is cut.
    io: Option<DuplexStream>,
    fault: Fault,
    /// When what was swallowed comes out.
    death: Option<Pin<Box<Sleep>>>,
    muted: Arc<AtomicBool>,
}

impl Transport {
    fn cut<T>(&mut self) -> Poll<io::Result<T>> {
        self.io = None;
        Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(death) = &mut self.death
            && death.as_mut().poll(cx).is_ready()
        {
            return self.cut();
        }
        let left = self.fault.after_read.unwrap_or(usize::MAX);
        if left == 0 {
            return self.cut();
        }
        let Some(io) = &mut self.io else {
            return self.cut();
        };
        let mut bytes = [0; 4096];
        let length = left.min(buffer.remaining()).min(bytes.len());
        let mut part = ReadBuf::new(&mut bytes[..length]);
        ready!(Pin::new(io).poll_read(cx, &mut part))?;
        buffer.put_slice(part.filled());
        let length = part.filled().len();
        self.fault.after_read = self.fault.after_read.map(|left| left - length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.muted.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let left = self.fault.after_written.unwrap_or(usize::MAX);
        if left == 0 {
            let Some(time) = self.fault.swallow else {
                return self.cut();
            };
            self.death.get_or_insert_with(|| Box::pin(sleep(time)));
            // Reading waits for that, too.
            cx.waker().wake_by_ref();
            return Poll::Ready(Ok(bytes.len()));
        }
        let Some(io) = &mut self.io else {
            return self.cut();
        };
        let part = &bytes[..left.min(bytes.len())];
        let length = ready!(Pin::new(io).poll_write(cx, part))?;
        self.fault.after_written = self.fault.after_written.map(|left| left - length);
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Some(io) => Pin::new(io).poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}
