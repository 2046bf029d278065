//! Who is turned away at the door, and for how long they may stay.

use std::time::Duration;

use super::*;
use crate::server::{HandshakeLimits, ProxyProtocol, TrustedProxies};

/// Less than a connection may take to go after its last word, so that it is what counts.
const HANDSHAKE: Duration = Duration::from_secs(3);

fn impatient() -> HandshakeLimits {
    HandshakeLimits {
        timeout: HANDSHAKE,
        ..HandshakeLimits::default()
    }
}

fn server_with(limits: HandshakeLimits) -> ServerBuilder {
    server(Obedient::default(), Settings::default()).handshake_limits(limits)
}

/// A request that the handler turns down.
fn refused() -> Vec<u8> {
    let head = REQUEST.strip_suffix(b"\r\n").unwrap();
    [head, b"X-Refuse: 1\r\n\r\n"].concat()
}

#[test]
fn who_is_turned_away_is_dropped_when_it_goes() {
    let mut stage = Stage::of(server_with(impatient()));
    let key = stage.accept();
    stage.receive(key, &refused());
    assert!(stage.sent(key).starts_with(b"HTTP/1.1 403 "));
    assert_eq!(stage.line(key).end, None);
    stage.end(key);
    assert_eq!(stage.line(key).end, Some(End::ShutDown));
}

#[test]
fn who_is_turned_away_and_stays_has_the_time_of_its_handshake_and_no_more() {
    let mut stage = Stage::of(server_with(impatient()));
    let key = stage.accept();
    stage.pass(HANDSHAKE / 2);
    stage.receive(key, &refused());
    stage.pass(HANDSHAKE / 2 - millis(200));
    assert_eq!(stage.line(key).end, None);
    stage.pass(millis(500));
    assert_eq!(stage.line(key).end, Some(End::Reset));
    assert_eq!(stage.connections.slots.len(), 0);
}

#[test]
fn a_long_handshake_does_not_prolong_the_last_words() {
    let mut stage = Stage::of(server_with(HandshakeLimits {
        timeout: Duration::from_secs(3600),
        ..HandshakeLimits::default()
    }));
    let key = stage.accept();
    stage.receive(key, &refused());
    stage.pass(super::super::owner::LINGER + millis(500));
    assert_eq!(stage.line(key).end, Some(End::Reset));
}

#[test]
fn who_is_told_nothing_is_dropped_at_once() {
    let trusted = TrustedProxies::list(["unix"]).unwrap();
    let builder = server_with(impatient()).proxy_protocol(ProxyProtocol::required(trusted));
    let mut stage = Stage::of(builder);
    let key = stage.accept();
    stage.receive(key, b"PROXY nonsense\r\n");
    assert_eq!(stage.sent(key), b"");
    assert_eq!(stage.line(key).end, Some(End::Closed));
    assert_eq!(stage.connections.slots.len(), 0);
}
