//! The way from a host's name to a connection with it.

use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sockeye::client::{ConnectionInfo, Resolve, Resolving};
use sockeye::{Client, ConnectPhase, ConnectTimeouts, Error, WebSocket};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::peer::{Terms, echo};

/// A server on this address, for one connection; gives where it is and who came.
async fn serve(address: &str) -> (SocketAddr, tokio::task::JoinHandle<SocketAddr>) {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (io, peer) = listener.accept().await.unwrap();
        tokio::spawn(echo(io, Terms::default()));
        peer
    });
    (address, server)
}

/// A port of 127.0.0.1 on which nobody listens.
async fn closed() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

fn info(ws: &WebSocket) -> &ConnectionInfo {
    ws.data().get().unwrap()
}

/// The first I/O error in the chain of causes.
fn io_kind(error: &Error) -> Option<io::ErrorKind> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        cause = error.source();
    }
    None
}

#[tokio::test]
async fn a_dead_ipv6_address_does_not_keep_ipv4_from_answering() {
    let (alive, _server) = serve("127.0.0.1:0").await;
    let dead = SocketAddr::new("::1".parse().unwrap(), closed().await.port());
    let client = Client::builder()
        .resolve("both.test", [alive, dead])
        .build()
        .unwrap();
    let ws = client.connect("ws://both.test/").await.unwrap();
    assert_eq!(info(&ws).peer, Some(alive));
}

#[tokio::test]
async fn every_address_that_failed_is_listed_with_its_failure() {
    let (first, second) = (closed().await, closed().await);
    let client = Client::builder()
        .resolve("dead.test", [first, second])
        .build()
        .unwrap();
    let error = client.connect("ws://dead.test/").await.unwrap_err();
    assert!(error.is_connect());
    assert_eq!(error.phase(), Some(ConnectPhase::Connect));
    let text = error.to_string();
    assert!(text.starts_with("cannot connect to dead.test:80: "), "{text}");
    assert!(text.contains(&format!("{first}: ")), "{text}");
    assert!(text.contains(&format!("{second}: ")), "{text}");
    assert_eq!(io_kind(&error), Some(io::ErrorKind::ConnectionRefused));
}

#[tokio::test]
async fn a_resolver_of_ones_own_is_asked_for_host_and_port() {
    let (address, _server) = serve("127.0.0.1:0").await;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let client = Client::builder().resolver(move |host: String, port: u16| {
        log.lock().unwrap().push((host, port));
        async move { Ok(vec![address]) }
    });
    let ws = client.connect("ws://Chat.Test:8080/").await.unwrap();
    assert_eq!(*asked.lock().unwrap(), [("chat.test".to_owned(), 8080)]);
    assert_eq!(info(&ws).url, "ws://chat.test:8080/");
    assert_eq!(info(&ws).peer, Some(address));
}

#[tokio::test]
async fn a_resolver_that_fails_is_told_with_its_cause() {
    struct Broken;
    impl Resolve for Broken {
        fn resolve<'a>(&'a self, _host: &'a str, _port: u16) -> Resolving<'a> {
            Box::pin(async { Err(io::ErrorKind::NetworkDown.into()) })
        }
    }
    let client = Client::builder().resolver(Broken).build().unwrap();
    let error = client.connect("ws://a.test/").await.unwrap_err();
    assert!(error.is_connect());
    assert_eq!(error.phase(), Some(ConnectPhase::Resolve));
    assert_eq!(error.to_string(), "cannot find the host a.test");
    assert_eq!(io_kind(&error), Some(io::ErrorKind::NetworkDown));
    // An address needs no resolver.
    let (address, _server) = serve("127.0.0.1:0").await;
    client.connect(format!("ws://{address}/")).await.unwrap();
}

#[tokio::test]
async fn a_host_without_addresses_cannot_be_found() {
    let client = Client::builder().resolve("none.test", []).build().unwrap();
    let error = client.connect("ws://none.test/").await.unwrap_err();
    assert!(error.is_connect());
    assert_eq!(error.phase(), Some(ConnectPhase::Resolve));
    assert_eq!(error.to_string(), "the host none.test has no address");
}

#[tokio::test(start_paused = true)]
async fn a_silent_resolver_is_given_up_after_its_timeout() {
    let client = Client::builder()
        .resolver(|_: String, _: u16| std::future::pending())
        .timeouts(ConnectTimeouts {
            resolve: Duration::from_secs(2),
            ..ConnectTimeouts::default()
        });
    let started = Instant::now();
    let error = client.connect("ws://slow.test/").await.unwrap_err();
    assert!(error.is_timeout() && !error.is_connect());
    assert_eq!(error.phase(), Some(ConnectPhase::Resolve));
    assert_eq!(error.to_string(), "looking up slow.test took longer than 2s");
    assert_eq!(started.elapsed().as_secs(), 2);
}

#[tokio::test]
async fn a_given_address_without_a_port_has_that_of_the_url() {
    let (address, _server) = serve("127.0.0.1:0").await;
    let client = Client::builder()
        .resolve("Fixed.Test", [([127, 0, 0, 1], 0).into()])
        .build()
        .unwrap();
    let url = format!("ws://fixed.test:{}/", address.port());
    let ws = client.connect(url).await.unwrap();
    assert_eq!(info(&ws).peer, Some(address));
}

/// An address that answers nothing. Linux ignores who knocks at a full queue; elsewhere it does not stay silent.
#[cfg(target_os = "linux")]
async fn silent() -> (SocketAddr, impl Sized) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let filling = tokio::net::TcpStream::connect(address).await.unwrap();
    (address, (listener, filling))
}

#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn a_silent_address_has_a_head_start_of_250_ms() {
    let (dead, _full) = silent().await;
    let (alive, _server) = serve("127.0.0.1:0").await;
    let client = Client::builder()
        .resolve("both.test", [dead, alive])
        .build()
        .unwrap();
    let started = Instant::now();
    let ws = client.connect("ws://both.test/").await.unwrap();
    assert_eq!(info(&ws).peer, Some(alive));
    assert_eq!(started.elapsed().as_millis() / 10, 25);
}

#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn silent_addresses_are_given_up_together_and_listed() {
    let (first, _full) = silent().await;
    let (second, _full_too) = silent().await;
    let closed = closed().await;
    let client = Client::builder().resolve("silent.test", [first, second, closed]);
    let started = Instant::now();
    let error = client.connect("ws://silent.test/").await.unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(error.phase(), Some(ConnectPhase::Connect));
    assert_eq!(started.elapsed().as_secs(), 10);
    let text = error.to_string();
    let want = format!(
        "connecting to silent.test:80 took longer than 10s: {first}: no answer; {second}: no answer; {closed}: "
    );
    assert!(text.starts_with(&want), "{text}");
}

/// Elsewhere 127.0.0.2 has to be set up first.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_connection_comes_from_the_local_address() {
    let (address, server) = serve("127.0.0.1:0").await;
    let local = "127.0.0.2".parse().unwrap();
    let client = Client::builder().local_address(local).build().unwrap();
    let ws = client.connect(format!("ws://{address}/")).await.unwrap();
    let peer = server.await.unwrap();
    assert_eq!(peer.ip(), local);
    assert_eq!(info(&ws).local, Some(peer));
}

#[tokio::test]
async fn a_local_address_limits_hosts_to_its_family() {
    let client = Client::builder()
        .local_address("::1".parse().unwrap())
        .build()
        .unwrap();
    let error = client.connect("ws://127.0.0.1:9/").await.unwrap_err();
    assert!(error.is_connect());
    assert_eq!(
        error.to_string(),
        "the host 127.0.0.1 has no address of the same family as ::1, from which to connect"
    );
}

#[tokio::test(start_paused = true)]
async fn the_whole_attempt_can_be_limited() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = Client::builder().timeouts(ConnectTimeouts {
        total: Duration::from_secs(7),
        ..ConnectTimeouts::default()
    });
    // The system accepts; the server never answers.
    let error = client.connect(format!("ws://{address}/")).await.unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(error.phase(), Some(ConnectPhase::Handshake));
    assert_eq!(
        error.to_string(),
        format!(
            "the opening handshake with {address} was not done when the 7s of the whole attempt were over"
        )
    );
}

#[cfg(unix)]
mod unix {
    use tokio::net::UnixListener;

    use super::*;
    use crate::peer::{accepted, field, read_request};

    /// Serves one connection at a path in a new folder, and gives the request.
    fn serve() -> (
        tempfile::TempDir,
        std::path::PathBuf,
        tokio::task::JoinHandle<String>,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chat.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let server = tokio::spawn(async move {
            let (mut io, _) = listener.accept().await.unwrap();
            let request = read_request(&mut io).await;
            let answer = accepted(&request, "Set-Cookie: socket=1\r\n");
            tokio::io::AsyncWriteExt::write_all(&mut io, answer.as_bytes())
                .await
                .unwrap();
            request
        });
        (folder, path, server)
    }

    #[tokio::test]
    async fn a_client_can_be_bound_to_a_unix_socket() {
        let (_folder, path, server) = serve();
        let client = Client::builder().unix_socket(path).build().unwrap();
        let ws = client.connect("ws://chat.test/room?name=blue").await.unwrap();
        let request = server.await.unwrap();
        assert!(
            request.starts_with("GET /room?name=blue HTTP/1.1\r\n"),
            "{request}"
        );
        assert_eq!(field(&request, "Host"), Some("chat.test"));
        assert_eq!((info(&ws).peer, info(&ws).local), (None, None));
    }

    #[tokio::test]
    async fn a_url_can_name_a_unix_socket() {
        let (_folder, path, server) = serve();
        let url = format!("ws+unix:{}:/room?name=blue", path.display());
        sockeye::connect(url).await.unwrap();
        let request = server.await.unwrap();
        assert!(
            request.starts_with("GET /room?name=blue HTTP/1.1\r\n"),
            "{request}"
        );
        assert_eq!(field(&request, "Host"), Some("localhost"));
    }

    #[cfg(feature = "cookies")]
    #[tokio::test]
    async fn a_unix_socket_in_the_url_has_no_cookies_of_localhost() {
        let (_folder, path, server) = serve();
        let store = sockeye::cookies::CookieStore::new();
        store.set("http://localhost/", "tcp=1").unwrap();
        let client = Client::builder().cookies(store.clone()).build().unwrap();
        let url = format!("ws+unix:{}:/", path.display());
        client.connect(url).await.unwrap();
        assert_eq!(field(&server.await.unwrap(), "Cookie"), None);
        assert_eq!(store.get("ws://localhost/").as_deref(), Some("tcp=1"));
    }

    #[tokio::test]
    async fn a_unix_socket_that_is_not_there_is_named() {
        let error = sockeye::connect("ws+unix:/nowhere/chat.sock:/")
            .await
            .unwrap_err();
        assert!(error.is_connect());
        assert_eq!(error.phase(), Some(ConnectPhase::Connect));
        assert_eq!(error.to_string(), "cannot connect to /nowhere/chat.sock");
        assert_eq!(io_kind(&error), Some(io::ErrorKind::NotFound));
    }
}
