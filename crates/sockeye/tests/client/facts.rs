//! What an open connection tells about itself.

use sockeye::Client;
use sockeye::client::ConnectionInfo;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::peer::{URL, accepted, handshake, read_request};

#[tokio::test]
async fn both_ends_of_the_connection_are_known() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (mut io, peer) = listener.accept().await.unwrap();
        let request = read_request(&mut io).await;
        io.write_all(accepted(&request, "").as_bytes()).await.unwrap();
        peer
    });
    let url = format!("ws://user:secret@{address}/a?b=c");
    let ws = sockeye::connect(url).await.unwrap();
    let info = ws.data().get::<ConnectionInfo>().unwrap();
    assert_eq!(info.url, format!("ws://{address}/a?b=c"));
    assert_eq!(info.peer, Some(address));
    assert_eq!(info.local, Some(server.await.unwrap()));
    #[cfg(feature = "tls")]
    assert!(info.tls.is_none());
}

#[tokio::test]
async fn a_transport_of_the_callers_own_has_no_addresses() {
    let ws = handshake(&Client::default(), |request| accepted(request, ""))
        .await
        .unwrap();
    let info = ws.data().get::<ConnectionInfo>().unwrap();
    assert_eq!(info.url, URL);
    assert_eq!((info.peer, info.local), (None, None));
}

#[tokio::test]
async fn request_and_response_are_there_as_they_travelled() {
    let client = Client::builder().header("X-Fish", "salmon").build().unwrap();
    let (sent, received) = std::sync::mpsc::channel();
    let ws = handshake(&client, move |request| {
        sent.send(request.to_owned()).unwrap();
        accepted(request, "X-Stream: upper\r\n")
    });
    let ws = ws.await.unwrap();
    let raw = received.recv().unwrap();
    let request = ws.data().get::<http::Request<()>>().unwrap();
    assert_eq!(request.uri(), "/chat?room=1");
    // Every line behind the first, and no other.
    let lines: Vec<_> = raw.lines().skip(1).filter(|line| !line.is_empty()).collect();
    assert_eq!(request.headers().len(), lines.len());
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        assert_eq!(request.headers()[name], value);
    }
    let response = ws.data().get::<http::Response<()>>().unwrap();
    assert_eq!(response.headers()["x-stream"], "upper");
}
