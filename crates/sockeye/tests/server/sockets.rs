//! What a server can listen on.

use sockeye::server::{Address, Bind, BindError};
use std::error::Error;

use crate::peer::{Peer, echo, run, server};

#[tokio::test]
async fn one_server_listens_on_several_addresses() {
    let open = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = server()
        .route("/", echo)
        .bind("127.0.0.1:0")
        .bind(("127.0.0.1", 0))
        .bind(open)
        .listen()
        .await
        .unwrap();
    let addresses = server.addresses();
    run(server);
    assert_eq!(addresses.len(), 3);
    for address in addresses {
        let Address::Tcp(address) = address else {
            panic!("{address} is not TCP")
        };
        let mut peer = Peer::open(address, "/", &[]).await;
        peer.send_text("here").await;
        assert_eq!(peer.receive_text().await, "here");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_serves_and_its_file_goes_with_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sockeye.sock");
    let server = server()
        .route("/", echo)
        .bind(Bind::unix(&path))
        .listen()
        .await
        .unwrap();
    let handle = run(server);
    let mut peer = Peer::new(tokio::net::UnixStream::connect(&path).await.unwrap());
    assert_eq!(peer.request("/", &[]).await.status, 101);
    peer.send_text("local").await;
    assert_eq!(peer.receive_text().await, "local");
    drop(peer);
    handle.shutdown();
    handle.report().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_can_be_told_apart() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let error = server()
        .bind(taken.local_addr().unwrap())
        .listen()
        .await
        .expect_err("the port is taken");
    assert!(error.is_config());
    let bind = error
        .source()
        .and_then(|source| source.downcast_ref::<BindError>())
        .unwrap();
    assert!(bind.is_address_in_use());
}
