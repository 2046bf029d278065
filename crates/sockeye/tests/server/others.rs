//! Faults that another library is known for, looked for here from the outside.

use sockeye::server::{Accept, Route, UpgradeRequest};

use crate::peer::{PING, PONG, Peer, echo, frame, server, start};

#[tokio::test]
async fn a_message_of_a_megabyte_in_one_frame_is_taken_by_default() {
    // A browser sends a message in one frame, however long it is.
    let (address, _server) = start(server().route("/", echo)).await;
    let mut peer = Peer::open(address, "/", &[]).await;
    for length in [65_535, 65_536, 65_537, 1 << 20] {
        let message = vec![b'x'; length];
        peer.write(&frame(2, &message)).await;
        assert_eq!(peer.receive().await, (2, message), "{length}");
    }
}

#[tokio::test]
async fn the_limit_is_on_messages_whatever_frames_they_come_in() {
    let (address, _server) = start(server().route("/", echo)).await;
    for frames in [1, 2, 16] {
        let mut peer = Peer::open(address, "/", &[]).await;
        let part = vec![b'x'; (1 << 20) / frames];
        for at in 0..frames {
            let mut bytes = frame(if at == 0 { 2 } else { 0 }, &part);
            if at + 1 < frames {
                bytes[0] &= 0x7f;
            }
            peer.write(&bytes).await;
        }
        assert_eq!(peer.receive().await.1.len(), 1 << 20, "{frames}");
    }
}

#[tokio::test]
async fn a_cookie_with_a_broken_escape_does_not_reject_the_handshake() {
    let route = Route::new(echo).on_upgrade(|request: UpgradeRequest| async move {
        let broken = request.cookies().find(|cookie| cookie.name == "broken");
        let decoded = broken
            .map(|cookie| cookie.decoded().into_owned())
            .unwrap_or_default();
        let good = request.cookie("good").unwrap_or_default().to_owned();
        Ok(Accept::new().header("x-broken", decoded).header("x-good", good))
    });
    let (address, _server) = start(server().route_with("/", route)).await;
    let response = Peer::ask(address, "/", &[("Cookie", "broken=100%; good=1")]).await;
    assert_eq!(response.status, 101);
    assert_eq!(response.header("x-broken"), Some("100%"));
    assert_eq!(response.header("x-good"), Some("1"));
}

#[tokio::test]
async fn subprotocols_keep_their_case() {
    let route = Route::new(echo).subprotocols(["Chat.V2"]);
    let (address, _server) = start(server().route_with("/", route)).await;
    let response = Peer::ask(address, "/", &[("Sec-WebSocket-Protocol", "chat.v2, Chat.V2")]).await;
    assert_eq!(response.header("sec-websocket-protocol"), Some("Chat.V2"));
    let response = Peer::ask(address, "/", &[("Sec-WebSocket-Protocol", "chat.v2")]).await;
    assert_eq!(response.header("sec-websocket-protocol"), None);
}

#[tokio::test]
async fn a_ping_of_125_bytes_is_answered_whole() {
    let (address, _server) = start(server().route("/", echo)).await;
    let mut peer = Peer::open(address, "/", &[]).await;
    peer.send(PING, &[7; 125]).await;
    assert_eq!(peer.receive().await, (PONG, vec![7; 125]));
}

#[tokio::test]
async fn messages_in_front_of_the_end_of_the_stream_are_delivered() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let builder = server().route("/", move |mut ws: sockeye::WebSocket| {
        let tell = tell.clone();
        async move {
            while let Ok(Some(message)) = ws.recv().await {
                tell.send(message)?;
            }
            Ok(())
        }
    });
    let (address, _server) = start(builder).await;
    let mut peer = Peer::connect(address).await;
    let mut bytes = crate::peer::handshake("/", &[]).into_bytes();
    for number in 0..10 {
        bytes.extend(frame(1, format!("{number}").as_bytes()));
    }
    // All of it, and the end, before the server has read any.
    peer.write(&bytes).await;
    peer.end_sending().await;
    for number in 0..10 {
        let message = crate::peer::soon(told.recv()).await.unwrap();
        assert_eq!(message.as_text(), Some(&*number.to_string()));
    }
}
