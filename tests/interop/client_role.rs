//! Sockeye's client with other libraries' servers.

use sockeye::proto::deflate::Deflate;
use sockeye::{Client, ClientBuilder, CloseCode, Config, WebSocket};

use crate::deflate;
use crate::echo_server::LARGEST_MESSAGE;
use crate::messages::converse;
use crate::peer::{Library, Peer};

async fn connect(url: &str, configure: impl FnOnce(ClientBuilder) -> ClientBuilder) -> WebSocket {
    let limits = Config {
        max_message_size: LARGEST_MESSAGE,
        max_frame_size: LARGEST_MESSAGE,
        ..Config::client()
    };
    configure(Client::builder().limits(limits))
        .connect(url)
        .await
        .expect("the server accepts")
}

/// Connects with compression, sends everything, closes; returns the extensions that were agreed on.
async fn converse_compressed(library: Library, server_options: &[&str], offer: Deflate) -> String {
    let (mut server, url) = Peer::server(library, &[&["--compression"], server_options].concat()).await;
    let mut ws = connect(&url, |client| client.compression(offer)).await;
    let extensions = ws.negotiated_extensions().to_owned();
    converse(&mut ws, &format!("{library:?} {server_options:?}")).await;
    ws.close(CloseCode::NORMAL, "")
        .await
        .expect("the connection closes");
    assert_eq!(server.opened().await.1, extensions, "{library:?}");
    assert_eq!(server.closed().await.0, 1000, "{library:?}");
    extensions
}

#[tokio::test]
async fn messages_come_back_unchanged() {
    for library in Library::SERVERS {
        let (_server, url) = Peer::server(library, &[]).await;
        let mut ws = connect(&url, |client| client).await;
        converse(&mut ws, &format!("{library:?}")).await;
        assert_eq!(ws.negotiated_extensions(), "", "{library:?}");
        ws.close(CloseCode::NORMAL, "")
            .await
            .expect("the connection closes");
    }
}

#[tokio::test]
async fn messages_that_come_in_fragments_are_whole() {
    for library in Library::SERVERS {
        let (_server, url) = Peer::server(library, &["--fragment", "997"]).await;
        let mut ws = connect(&url, |client| client).await;
        converse(&mut ws, &format!("{library:?}")).await;
        ws.close(CloseCode::NORMAL, "")
            .await
            .expect("the connection closes");
    }
}

/// Sends one message in many fragments and expects it back whole.
async fn send_fragments(library: Library, server_options: &[&str], offer: Option<Deflate>) {
    let text = "红鲑鱼 swims both ways. ".repeat(200);
    let pieces = text.split_inclusive(' ').collect::<Vec<_>>();
    let (_server, url) = Peer::server(library, server_options).await;
    let mut ws = connect(&url, |client| client.compression(offer)).await;
    let sender = ws.sender();
    for (i, piece) in pieces.iter().enumerate() {
        let last = i + 1 == pieces.len();
        sender
            .send_fragment(piece, last)
            .await
            .expect("the connection is open");
    }
    let echo = ws.recv().await.expect("the connection works").expect("an echo");
    assert_eq!(echo.as_text(), Some(text.as_str()), "{library:?}");
    ws.close(CloseCode::NORMAL, "")
        .await
        .expect("the connection closes");
}

#[tokio::test]
async fn messages_sent_in_fragments_arrive_whole() {
    for library in Library::SERVERS {
        send_fragments(library, &[], None).await;
    }
    for library in Library::WITH_WINDOW_BITS {
        send_fragments(library, &["--compression"], Some(deflate(15, false))).await;
    }
}

#[tokio::test]
async fn the_servers_choice_of_subprotocol_is_seen() {
    for library in Library::SERVERS {
        let (mut server, url) = Peer::server(library, &["--subprotocols", "b"]).await;
        let ws = connect(&url, |client| client.subprotocol("a").subprotocol("b")).await;
        assert_eq!(ws.subprotocol(), Some("b"), "{library:?}");
        assert_eq!(server.opened().await.0, "b", "{library:?}");
    }
}

#[tokio::test]
async fn the_clients_close_code_and_reason_arrive() {
    for library in Library::SERVERS {
        let (mut server, url) = Peer::server(library, &[]).await;
        for (code, reason) in [(1000, "done"), (3001, "seen enough"), (4999, "再见")] {
            let mut ws = connect(&url, |client| client).await;
            let info = ws
                .close(CloseCode::new(code).expect("a code"), reason)
                .await
                .expect("the connection closes");
            assert!(info.clean, "{library:?}");
            server.opened().await;
            assert_eq!(server.closed().await, (code, reason.to_owned()), "{library:?}");
        }
    }
}

#[tokio::test]
async fn the_servers_close_code_and_reason_arrive() {
    for library in Library::SERVERS {
        let (_server, url) = Peer::server(library, &[]).await;
        for (code, reason) in [(1000, "done"), (3001, "seen enough"), (4999, "再见")] {
            let mut ws = connect(&url, |client| client).await;
            ws.send(format!("close {code} {reason}"))
                .await
                .expect("the connection is open");
            assert_eq!(
                ws.recv().await.expect("the connection works"),
                None,
                "{library:?}"
            );
            let info = ws.close_info().expect("the connection has closed");
            assert_eq!(
                (info.code, info.reason.as_str(), info.clean),
                (code, reason, true),
                "{library:?}"
            );
        }
    }
}

#[tokio::test]
async fn compression_works_with_every_window_of_the_server() {
    for bits in 8..=15 {
        let text = bits.to_string();
        let windows = [
            "--server-max-window-bits",
            text.as_str(),
            "--client-max-window-bits",
            &text,
        ];
        for library in Library::WITH_WINDOW_BITS
            .into_iter()
            .filter(|library| library.takes_window(bits))
        {
            let extensions = converse_compressed(library, &windows, deflate(15, false)).await;
            assert!(
                extensions.starts_with("permessage-deflate"),
                "{library:?}, {bits}: {extensions}"
            );
        }
    }
}

#[tokio::test]
async fn compression_works_with_every_window_the_client_asks_for() {
    for bits in 8..=15 {
        for library in Library::WITH_WINDOW_BITS
            .into_iter()
            .filter(|library| library.takes_window(bits))
        {
            for no_context_takeover in [false, true] {
                let extensions = converse_compressed(library, &[], deflate(bits, no_context_takeover)).await;
                assert!(
                    extensions.starts_with("permessage-deflate"),
                    "{library:?}, {bits}: {extensions}"
                );
            }
        }
    }
}

#[tokio::test]
async fn compressed_messages_in_fragments_are_whole() {
    for library in Library::WITH_WINDOW_BITS {
        converse_compressed(library, &["--fragment", "997"], deflate(15, false)).await;
    }
}
