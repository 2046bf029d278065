//! Answers with another status than 101.

use std::time::Duration;

use sockeye::{Client, ConnectTimeouts, Error};
use tokio::io::AsyncWriteExt;

use super::peer::{URL, handshake, pipe, read_request};

async fn refused(answer: impl Into<String>) -> Error {
    let answer = answer.into();
    handshake(&Client::default(), move |_| answer).await.unwrap_err()
}

#[tokio::test]
async fn a_refusal_carries_status_headers_and_body() {
    let error = refused(
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 8\r\n\r\ngo away!and more",
    )
    .await;
    assert!(error.is_handshake());
    assert_eq!(
        error.to_string(),
        "example.org refused the WebSocket with HTTP 401 Unauthorized"
    );
    let refusal = error.refusal().unwrap();
    assert_eq!(refusal.status, 401);
    assert_eq!(refusal.headers["www-authenticate"], "Basic");
    assert_eq!(refusal.body, "go away!");
}

#[tokio::test]
async fn a_redirection_is_a_refusal() {
    let error = refused("HTTP/1.1 302 Found\r\nLocation: ws://elsewhere/\r\nContent-Length: 0\r\n\r\n").await;
    let refusal = error.refusal().unwrap();
    assert_eq!(refusal.headers["location"], "ws://elsewhere/");
    assert_eq!(refusal.body, "");
}

#[tokio::test]
async fn a_chunked_body_is_put_together() {
    let error = refused(
        "HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ncome\r\n6\r\n later\r\n0\r\n\r\n",
    )
    .await;
    assert_eq!(error.refusal().unwrap().body, "come later");
}

#[tokio::test]
async fn a_body_that_ends_with_the_connection_is_read_to_its_end() {
    let error = refused("HTTP/1.0 404 Not Found\r\n\r\nno such room").await;
    assert_eq!(error.refusal().unwrap().body, "no such room");
}

#[tokio::test]
async fn a_body_is_cut_at_64_kib() {
    let error = refused(format!("HTTP/1.1 400 Bad Request\r\n\r\n{}", "x".repeat(100_000))).await;
    assert_eq!(error.refusal().unwrap().body.len(), 64 * 1024);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_does_not_outlast_the_timeout() {
    let (near, mut far) = pipe();
    let server = tokio::spawn(async move {
        read_request(&mut far).await;
        let answer = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\nwell, ";
        far.write_all(answer).await.unwrap();
        far
    });
    let client = Client::builder().timeouts(ConnectTimeouts {
        handshake: Duration::from_secs(3),
        ..ConnectTimeouts::default()
    });
    let started = tokio::time::Instant::now();
    let error = client.build().unwrap().handshake(near, URL).await.unwrap_err();
    // Too late for the body is not too late for the refusal.
    assert_eq!(error.refusal().unwrap().body, "well, ");
    assert_eq!(started.elapsed().as_secs(), 3);
    drop(server.await);
}
