//! Sockeye's server with other libraries' clients.
//!
//! Every client checks itself that its messages come back as they were: text and binary, empty, short, and long
//! enough to reach beyond the largest window.

use sockeye::tls::{Identity, Pem, ServerTls, TlsVersion};

use crate::deflate;
use crate::echo_server::EchoServer;
use crate::peer::{Library, Peer};

/// Plays one client's part to the end; returns the subprotocol and the extensions it saw.
async fn converse(server: &mut EchoServer, library: Library, options: &[&str]) -> (String, String) {
    let mut client = Peer::client(library, &server.url, options);
    let agreed = client.opened().await;
    client.echoes().await;
    assert_eq!(client.closed().await.0, 1000, "{library:?}");
    client.finished().await;
    assert_eq!(server.closed().await, (1000, String::new(), true), "{library:?}");
    agreed
}

#[tokio::test]
async fn messages_come_back_unchanged() {
    let mut server = EchoServer::start(None).await;
    for library in Library::CLIENTS {
        let (_, extensions) = converse(&mut server, library, &[]).await;
        assert_eq!(extensions, "", "{library:?}");
    }
}

#[tokio::test]
async fn messages_come_back_unchanged_under_tls() {
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (chain, key) = (certificate.cert.pem(), certificate.signing_key.serialize_pem());
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("chain.pem");
    std::fs::write(&file, &chain).expect("a file");
    for oldest in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let tls = ServerTls::builder()
            .identity(Identity::new(Pem::bytes(&chain), Pem::bytes(&key)))
            .oldest_version(oldest)
            .build()
            .expect("a certificate that can be shown");
        let mut server = EchoServer::start_tls(tls).await;
        for library in Library::CLIENTS {
            let mut client = Peer::client_trusting(library, &file, &server.url);
            client.opened().await;
            client.echoes().await;
            assert_eq!(client.closed().await.0, 1000, "{library:?}");
            client.finished().await;
            assert_eq!(server.closed().await, (1000, String::new(), true), "{library:?}");
        }
    }
}

#[tokio::test]
async fn messages_in_fragments_come_back_whole() {
    let mut server = EchoServer::start(None).await;
    for library in Library::CLIENTS.into_iter().filter(|library| library.fragments()) {
        // 997 is a prime: text is cut within characters too.
        converse(&mut server, library, &["--fragment", "997"]).await;
        converse(&mut server, library, &["--fragment", "65536"]).await;
    }
}

#[tokio::test]
async fn the_first_known_subprotocol_that_a_client_offers_is_agreed_on() {
    let mut server = EchoServer::start(None).await;
    for library in Library::CLIENTS {
        for (offered, expected) in [("a,b", "a"), ("unknown,b,a", "b"), ("unknown", "")] {
            // The browser's API, and so the built-in client, fails a connection whose subprotocol was not agreed on.
            if expected.is_empty() && library != Library::Websockets {
                continue;
            }
            let (subprotocol, _) = converse(&mut server, library, &["--subprotocols", offered]).await;
            assert_eq!(subprotocol, expected, "{library:?}");
        }
    }
}

#[tokio::test]
async fn the_clients_close_code_and_reason_arrive() {
    let mut server = EchoServer::start(None).await;
    for library in Library::CLIENTS {
        for (code, reason) in [("1000", "done"), ("3001", "seen enough"), ("4999", "再见")] {
            let mut client = Peer::client(library, &server.url, &["--close", code, "--reason", reason]);
            client.opened().await;
            client.echoes().await;
            client.closed().await;
            client.finished().await;
            let expected = (code.parse().expect("a number"), reason.to_owned(), true);
            assert_eq!(server.closed().await, expected, "{library:?}");
        }
    }
}

#[tokio::test]
async fn the_servers_close_code_and_reason_arrive() {
    let mut server = EchoServer::start(None).await;
    for library in Library::CLIENTS {
        for (code, reason) in [("1000", "done"), ("1012", "back soon"), ("4001", "再见")] {
            let mut client = Peer::client(
                library,
                &server.url,
                &["--ask", "--close", code, "--reason", reason],
            );
            client.opened().await;
            client.echoes().await;
            let expected = (code.parse().expect("a number"), reason.to_owned());
            assert_eq!(client.closed().await, expected, "{library:?}");
            client.finished().await;
            let (_, _, clean) = server.closed().await;
            assert!(clean, "{library:?}");
        }
    }
}

#[tokio::test]
async fn compression_works_with_every_window_of_the_server() {
    for bits in 8..=15 {
        for no_context_takeover in [true, false] {
            let mut server = EchoServer::start(Some(deflate(bits, no_context_takeover))).await;
            for library in Library::WITH_WINDOW_BITS {
                if library.takes_window(bits) {
                    let (_, extensions) = converse(&mut server, library, &["--compression"]).await;
                    assert!(
                        extensions.starts_with("permessage-deflate"),
                        "{library:?}, {bits}: {extensions}"
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn compression_works_with_every_window_the_client_asks_for() {
    let mut server = EchoServer::start(Some(deflate(15, false))).await;
    for bits in 8..=15 {
        let bits_text = bits.to_string();
        let windows = [
            "--compression",
            "--server-max-window-bits",
            &bits_text,
            "--client-max-window-bits",
            &bits_text,
        ];
        for library in Library::WITH_WINDOW_BITS {
            if library.takes_window(bits) {
                let (_, extensions) = converse(&mut server, library, &windows).await;
                let kept = bits == 15 || extensions.contains(&format!("server_max_window_bits={bits}"));
                assert!(kept, "{library:?}, {bits}: {extensions}");
            }
        }
    }
}

#[tokio::test]
async fn the_built_in_websocket_of_node_compresses() {
    let mut server = EchoServer::start(Some(deflate(15, false))).await;
    let (_, extensions) = converse(&mut server, Library::Builtin, &[]).await;
    assert!(extensions.starts_with("permessage-deflate"), "{extensions}");
}

#[tokio::test]
async fn compressed_messages_in_fragments_come_back_whole() {
    let mut server = EchoServer::start(Some(deflate(15, false))).await;
    for library in Library::WITH_WINDOW_BITS {
        converse(&mut server, library, &["--compression", "--fragment", "997"]).await;
    }
}
