//! Sockeye with tokio-tungstenite, in both roles. It has no compression.

use futures_util::{SinkExt, StreamExt};
use sockeye::{Client, CloseCode};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{accept_hdr_async, connect_async};

use crate::echo_server::EchoServer;
use crate::messages::{converse, messages};

fn theirs(message: &sockeye::Message) -> Message {
    match message {
        sockeye::Message::Text(text) => Message::text(text.as_str()),
        sockeye::Message::Binary(bytes) => Message::Binary(bytes.clone()),
    }
}

#[tokio::test]
async fn a_tungstenite_client_gets_its_messages_back() {
    let mut server = EchoServer::start(None).await;
    let (mut client, _) = connect_async(&server.url).await.expect("the server accepts");
    for message in messages() {
        let message = theirs(&message);
        client
            .send(message.clone())
            .await
            .expect("the connection is open");
        let echo = client
            .next()
            .await
            .expect("the connection is open")
            .expect("the connection works");
        assert!(echo == message);
    }
    let frame = CloseFrame {
        code: 3001.into(),
        reason: "seen enough".into(),
    };
    client
        .close(Some(frame.clone()))
        .await
        .expect("the connection is open");
    let answer = client
        .next()
        .await
        .expect("a close frame")
        .expect("the connection works");
    assert!(matches!(answer, Message::Close(Some(answer)) if answer.code == frame.code));
    assert!(
        client.next().await.is_none(),
        "the server closes the TCP connection"
    );
    // It waits for the client to do so too.
    drop(client);
    assert_eq!(server.closed().await, (3001, "seen enough".to_owned(), true));
}

#[tokio::test]
async fn a_tungstenite_client_gets_its_fragments_back_as_one_message() {
    let server = EchoServer::start(None).await;
    let (mut client, _) = connect_async(&server.url).await.expect("the server accepts");
    let parts = [
        ("héll", Data::Text, false),
        ("o, 世", Data::Continue, false),
        ("界", Data::Continue, true),
    ];
    for (text, data, fin) in parts {
        let frame = Frame::message(text.as_bytes(), OpCode::Data(data), fin);
        client
            .send(Message::Frame(frame))
            .await
            .expect("the connection is open");
    }
    let echo = client
        .next()
        .await
        .expect("the connection is open")
        .expect("the connection works");
    assert_eq!(echo, Message::text("héllo, 世界"));
}

#[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
fn choose_subprotocol(_: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    response
        .headers_mut()
        .insert("sec-websocket-protocol", HeaderValue::from_static("b"));
    Ok(response)
}

/// Accepts one connection, echoes, and returns the close frame that the client sent.
async fn serve_once(listener: TcpListener) -> tungstenite::Result<Option<CloseFrame>> {
    let (stream, _) = listener.accept().await?;
    let mut ws = accept_hdr_async(stream, choose_subprotocol).await?;
    let mut close_frame = None;
    while let Some(message) = ws.next().await {
        match message {
            Ok(Message::Close(frame)) => close_frame = frame,
            Ok(message) => ws.send(message).await?,
            Err(tungstenite::Error::ConnectionClosed) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(close_frame)
}

#[tokio::test]
async fn a_tungstenite_server_echoes_what_sockeye_sends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("ws://{}/", listener.local_addr().expect("it is bound"));
    let server = tokio::spawn(serve_once(listener));
    let connected = Client::builder()
        .subprotocol("a")
        .subprotocol("b")
        .connect(&url)
        .await;
    let mut ws = connected.expect("the server accepts");
    assert_eq!(ws.subprotocol(), Some("b"));
    converse(&mut ws, "tungstenite").await;
    let code = CloseCode::new(3001).expect("a code for applications");
    let info = ws
        .close(code, "seen enough")
        .await
        .expect("the connection closes");
    assert!(info.clean);
    let frame = server
        .await
        .expect("the server runs")
        .expect("the connection works")
        .expect("a close frame");
    assert_eq!(
        (u16::from(frame.code), frame.reason.as_str()),
        (3001, "seen enough")
    );
}
