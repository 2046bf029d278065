//! WebSockets under TLS on a worker, with a client of rustls, on each driver.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc;

use rustls::{AlertDescription, ClientConfig, ClientConnection, HandshakeKind, StreamOwned};

use super::workers::{Echo, Running, on_each_driver, open, reach, upgrade};
use super::*;
use crate::MessageRef;
use crate::driver::Driver;
use crate::engine::{CloseEvent, Socket};
use crate::server::{Drain, HandshakeLimits};
use crate::tls::{ClientTls, Identity, Pem, ServerTls, TlsVersion};

/// Makes a driver.
type Make<D> = fn() -> io::Result<D>;

on_each_driver!(
    messages_of_any_size_are_echoed_under_tls,
    many_messages_of_one_record_are_answered_in_one,
    keys_may_change_between_messages,
    a_client_resumes_until_the_certificates_are_loaded_again,
    a_close_ends_tls_as_well,
    the_end_of_tls_is_the_end_of_the_websocket,
    plain_http_is_told_that_tls_is_spoken,
    garbage_is_answered_with_an_alert_and_closed,
    a_slow_tls_handshake_ends_at_its_own_deadline,
    many_clients_at_once_all_get_in,
    a_reader_that_is_slow_gets_everything_in_order,
);

type Client = StreamOwned<ClientConnection, TcpStream>;

/// A server's certificate.
pub(super) struct Pair {
    chain: String,
    key: String,
}

impl Pair {
    pub(super) fn new() -> Self {
        let pair = rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap();
        Self {
            chain: pair.cert.pem(),
            key: pair.signing_key.serialize_pem(),
        }
    }

    pub(super) fn server(&self) -> ServerTls {
        let identity = Identity::new(Pem::bytes(&self.chain), Pem::bytes(&self.key));
        ServerTls::builder().identity(identity).build().unwrap()
    }

    pub(super) fn client(&self, newest: TlsVersion) -> Arc<ClientConfig> {
        let client = ClientTls::builder()
            .system_roots(false)
            .root(Pem::bytes(&self.chain))
            .newest_version(newest)
            .build()
            .unwrap();
        client.config()
    }
}

fn start_tls<D: Driver + 'static>(
    make: Make<D>,
    handler: impl Handler,
    tls: ServerTls,
) -> (Running, SocketAddr) {
    open(make, server(handler, Settings::default()).tls(tls)).unwrap()
}

fn connect_tls(address: SocketAddr, config: &Arc<ClientConfig>) -> Client {
    let mut client = hello(address, config);
    upgrade(&mut client);
    client
}

fn hello(address: SocketAddr, config: &Arc<ClientConfig>) -> Client {
    let connection = ClientConnection::new(Arc::clone(config), "a.test".try_into().unwrap()).unwrap();
    StreamOwned::new(connection, reach(address))
}

fn receive(client: &mut impl Read) -> Vec<u8> {
    let mut head = [0; 2];
    client.read_exact(&mut head).unwrap();
    assert_eq!(head[0], 0x82);
    let len = match head[1] {
        126 => {
            let mut len = [0; 2];
            client.read_exact(&mut len).unwrap();
            usize::from(u16::from_be_bytes(len))
        }
        127 => {
            let mut len = [0; 8];
            client.read_exact(&mut len).unwrap();
            u64::from_be_bytes(len) as usize
        }
        len => usize::from(len),
    };
    let mut payload = vec![0; len];
    client.read_exact(&mut payload).unwrap();
    payload
}

fn echoes(client: &mut Client, payload: &[u8]) {
    client.write_all(&binary(payload)).unwrap();
    assert!(receive(client) == payload, "{} bytes", payload.len());
}

fn stop(worker: Running) {
    worker.stop(Arc::new(Drain {
        deadline: Duration::ZERO,
        ..Drain::default()
    }));
    worker.join().unwrap();
}

fn messages_of_any_size_are_echoed_under_tls<D: Driver + 'static>(make: Make<D>) {
    let pair = Pair::new();
    let (worker, address) = start_tls(make, Echo, pair.server());
    for version in [TlsVersion::Tls13, TlsVersion::Tls12] {
        let mut client = connect_tls(address, &pair.client(version));
        for len in [0, 1, 125, 126, 1000, 16_383, 16_384, 65_536, 300_000, 1_000_000] {
            let payload: Vec<_> = (0..len).map(|i| (i * 7 + i / 251) as u8).collect();
            echoes(&mut client, &payload);
        }
    }
    stop(worker);
}

fn many_messages_of_one_record_are_answered_in_one<D: Driver + 'static>(make: Make<D>) {
    let pair = Pair::new();
    let (worker, address) = start_tls(make, Echo, pair.server());
    let mut client = connect_tls(address, &pair.client(TlsVersion::Tls13));
    let messages: Vec<_> = (0..100u8).map(|i| vec![i; usize::from(i)]).collect();
    let frames: Vec<_> = messages.iter().flat_map(|message| binary(message)).collect();
    client.write_all(&frames).unwrap();
    for message in messages {
        assert_eq!(receive(&mut client), message);
    }
    stop(worker);
}

fn keys_may_change_between_messages<D: Driver + 'static>(make: Make<D>) {
    let pair = Pair::new();
    let (worker, address) = start_tls(make, Echo, pair.server());
    let mut client = connect_tls(address, &pair.client(TlsVersion::Tls13));
    for len in [1, 1000, 100_000, 10] {
        client.conn.refresh_traffic_keys().unwrap();
        echoes(&mut client, &vec![7; len]);
    }
    stop(worker);
}

fn a_client_resumes_until_the_certificates_are_loaded_again<D: Driver + 'static>(make: Make<D>) {
    let pair = Pair::new();
    let tls = pair.server();
    let (worker, address) = start_tls(make, Echo, tls.clone());
    for version in [TlsVersion::Tls13, TlsVersion::Tls12] {
        let config = pair.client(version);
        let kind = || {
            let mut client = connect_tls(address, &config);
            echoes(&mut client, b"hello");
            client.conn.handshake_kind().unwrap()
        };
        assert_ne!(kind(), HandshakeKind::Resumed);
        assert_eq!(kind(), HandshakeKind::Resumed, "{version:?}");
        tls.reload().unwrap();
        assert_ne!(kind(), HandshakeKind::Resumed);
    }
    stop(worker);
}

fn a_close_ends_tls_as_well<D: Driver + 'static>(make: Make<D>) {
    let pair = Pair::new();
    let (worker, address) = start_tls(make, Echo, pair.server());
    let mut client = connect_tls(address, &pair.client(TlsVersion::Tls13));
    client.write_all(b"\x88\x82\0\0\0\0\x03\xe8").unwrap();
    let mut rest = Vec::new();
    // It would be an error if the end were not announced.
    client.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"\x88\x02\x03\xe8");
    stop(worker);
}

/// Tells how each WebSocket ends.
struct Ends(mpsc::Sender<u16>);

impl Handler for Ends {
    type Data = ();

    fn message(&self, _: &mut Socket<'_, ()>, _: MessageRef<'_>) {}

    fn close(&self, _: &mut Socket<'_, ()>, close: CloseEvent<'_>) {
        self.0.send(close.code).unwrap();
    }
}

fn the_end_of_tls_is_the_end_of_the_websocket<D: Driver + 'static>(make: Make<D>) {
    let pair = Pair::new();
    let (ends, told) = mpsc::channel();
    let (worker, address) = start_tls(make, Ends(ends), pair.server());
    let config = pair.client(TlsVersion::Tls13);

    // The end of TLS alone.
    let mut client = connect_tls(address, &config);
    client.conn.send_close_notify();
    client.flush().unwrap();
    assert_eq!(client.read_to_end(&mut Vec::new()).unwrap(), 0);
    assert_eq!(told.recv().unwrap(), 1006);

    // The end of TCP alone.
    let client = connect_tls(address, &config);
    client.sock.shutdown(Shutdown::Write).unwrap();
    assert_eq!(told.recv().unwrap(), 1006);

    // A record that nobody sealed.
    let mut client = connect_tls(address, &config);
    client.sock.write_all(b"\x17\x03\x03\x00\x20").unwrap();
    client.sock.write_all(&[0; 32]).unwrap();
    let error = client.read_to_end(&mut Vec::new()).unwrap_err();
    let alert = error
        .get_ref()
        .and_then(|error| error.downcast_ref::<rustls::Error>())
        .cloned();
    assert_eq!(
        alert,
        Some(rustls::Error::AlertReceived(AlertDescription::BadRecordMac))
    );
    assert_eq!(told.recv().unwrap(), 1006);
    stop(worker);
}

fn plain_http_is_told_that_tls_is_spoken<D: Driver + 'static>(make: Make<D>) {
    let (worker, address) = start_tls(make, Echo, Pair::new().server());
    let mut stream = reach(address);
    stream.write_all(REQUEST).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    stop(worker);
}

fn garbage_is_answered_with_an_alert_and_closed<D: Driver + 'static>(make: Make<D>) {
    let (worker, address) = start_tls(make, Echo, Pair::new().server());
    for garbage in [&b"\x16\x03\x01\xff\xff\x01\x00"[..], b"\0\0\0\0\0\0\0\0"] {
        let mut stream = reach(address);
        stream.write_all(garbage).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert_eq!(answer.first(), Some(&21), "{}", garbage.escape_ascii());
    }
    stop(worker);
}

fn a_slow_tls_handshake_ends_at_its_own_deadline<D: Driver + 'static>(make: Make<D>) {
    let pair = Pair::new();
    let limits = HandshakeLimits {
        tls_timeout: Duration::from_millis(100),
        ..HandshakeLimits::default()
    };
    let server = server(Echo, Settings::default()).tls(pair.server());
    let (worker, address) = open(make, server.handshake_limits(limits)).unwrap();
    let begun = std::time::Instant::now();
    for bytes in [&b""[..], b"\x16\x03\x01"] {
        let mut stream = reach(address);
        stream.write_all(bytes).unwrap();
        // Dropped, with a reset or without.
        let _ = stream.read_to_end(&mut Vec::new());
    }
    // A client that has shaken hands has the time of a request.
    let mut client = hello(address, &pair.client(TlsVersion::Tls13));
    client.conn.complete_io(&mut client.sock).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(4));
    let mut late = reach(address);
    let _ = late.read_to_end(&mut Vec::new());
    upgrade(&mut client);
    echoes(&mut client, b"in time");
    stop(worker);
}

fn many_clients_at_once_all_get_in<D: Driver + 'static>(make: Make<D>) {
    let pair = Pair::new();
    let (worker, address) = start_tls(make, Echo, pair.server());
    let config = pair.client(TlsVersion::Tls13);
    let mut clients: Vec<_> = (0..60).map(|_| hello(address, &config)).collect();
    // All hellos are on their way before anybody looks for an answer.
    for client in &mut clients {
        client.conn.write_tls(&mut client.sock).unwrap();
    }
    for client in &mut clients {
        upgrade(client);
        echoes(client, b"hello");
    }
    stop(worker);
}

/// Sends much at once.
struct Flood;

impl Handler for Flood {
    type Data = ();

    fn message(&self, socket: &mut Socket<'_, ()>, _: MessageRef<'_>) {
        for i in 0..64u8 {
            socket.send(MessageRef::Binary(&vec![i; 8_000]));
            socket.send(MessageRef::Binary(&vec![i; 100_000]));
        }
    }
}

fn a_reader_that_is_slow_gets_everything_in_order<D: Driver + 'static>(make: Make<D>) {
    let pair = Pair::new();
    let mut settings = Settings::default();
    settings.queues.send = 100_000_000;
    let server = server(Flood, settings).tls(pair.server());
    let (worker, address) = open(make, server).unwrap();
    for version in [TlsVersion::Tls13, TlsVersion::Tls12] {
        let mut client = connect_tls(address, &pair.client(version));
        client.write_all(&binary(b"go")).unwrap();
        for i in 0..64u8 {
            assert_eq!(receive(&mut client), vec![i; 8_000]);
            assert_eq!(receive(&mut client), vec![i; 100_000]);
        }
    }
    stop(worker);
}
