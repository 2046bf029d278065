//! What comes before the opening handshake, and the timeouts of the phases.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use sockeye::{Client, CloseCode, ConnectPhase, ConnectTimeouts, Message};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::peer::{Terms, URL, echo, pipe};

#[tokio::test]
async fn connect_talks_to_an_echo_server_over_tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (io, _) = listener.accept().await.unwrap();
        echo(io, Terms::default()).await;
    });
    let mut ws = sockeye::connect(format!("ws://{address}/")).await.unwrap();
    ws.send("Hello").await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some(Message::from("Hello")));
    ws.send([1, 2, 3]).await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some(Message::from(vec![1, 2, 3])));
    let info = ws.close(CloseCode::new(3001).unwrap(), "bye").await.unwrap();
    assert_eq!((info.code, info.reason.as_str(), info.clean), (3001, "bye", true));
    server.await.unwrap();
}

#[tokio::test]
async fn a_host_name_is_looked_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (io, _) = listener.accept().await.unwrap();
        echo(io, Terms::default()).await;
    });
    assert!(sockeye::connect(format!("http://localhost:{port}")).await.is_ok());
}

#[tokio::test]
async fn a_refused_connection_names_the_server_and_the_cause() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = sockeye::connect(format!("ws://{address}/")).await.unwrap_err();
    assert!(error.is_connect(), "{error:?}");
    assert_eq!(error.phase(), Some(ConnectPhase::Connect));
    assert_eq!(error.to_string(), format!("cannot connect to {address}"));
    let cause = error.source().unwrap().downcast_ref::<io::Error>().unwrap();
    assert_eq!(cause.kind(), io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn an_unusable_url_is_told_before_anything_is_sent() {
    let error = sockeye::connect("localhost:3000").await.unwrap_err();
    assert!(error.is_config(), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_given_up_after_the_handshake_timeout() {
    let (near, _far) = pipe();
    let client = Client::builder().timeouts(ConnectTimeouts {
        handshake: Duration::from_secs(5),
        ..ConnectTimeouts::default()
    });
    let started = Instant::now();
    let error = client.build().unwrap().handshake(near, URL).await.unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(
        error.to_string(),
        "the opening handshake with example.org took longer than 5s"
    );
    assert_eq!(started.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_no_request_is_given_up_too() {
    let (near, _far) = tokio::io::duplex(16);
    let error = Client::default().handshake(near, URL).await.unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
}

#[tokio::test]
async fn a_given_up_attempt_closes_its_transport() {
    let (near, mut far) = pipe();
    let attempt = tokio::spawn(async move { Client::default().handshake(near, URL).await });
    super::peer::read_request(&mut far).await;
    attempt.abort();
    let mut rest = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut far, &mut rest)
        .await
        .unwrap();
    assert!(rest.is_empty());
}

#[cfg(not(feature = "tls"))]
#[tokio::test]
async fn wss_without_the_feature_is_a_clear_error() {
    let error = sockeye::connect("wss://localhost/").await.unwrap_err();
    assert!(error.is_config(), "{error:?}");
    assert!(error.to_string().contains("feature `tls`"), "{error}");
}
