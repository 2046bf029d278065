//! Keys that are used up or changed.

use super::*;

#[test]
fn a_client_may_change_its_keys_and_ask_for_new_ones() {
    let mut pair = Setting::new().open_pair(&version::TLS13);
    for round in 0..100 {
        pair.client.refresh_traffic_keys().unwrap();
        pair.step = 1 + round % 40;
        pair.send_to_server(b"with new keys");
        assert_eq!(std::mem::take(&mut pair.plain), b"with new keys");
        assert!(pair.server.owes());
        // The answer may go out alone, or before whatever is sent next.
        let answer = if round % 2 == 0 {
            let alone = pair.seal(&[]);
            assert!(!alone.is_empty());
            [alone, pair.seal(&[b"mine too"])].concat()
        } else {
            pair.seal(&[b"mine too"])
        };
        assert!(!pair.server.owes());
        assert_eq!(pair.read_by_client(&answer), b"mine too");
    }
}

#[test]
fn a_key_update_may_come_in_pieces_but_alone() {
    let setting = Setting::new();
    let mut script = setting.open_pair(&version::TLS13).into_script();
    for part in [&[24, 0][..], &[0], &[1]] {
        assert!(script.send(kind::HANDSHAKE, part).1.is_none());
    }
    script.breaks(kind::APPLICATION_DATA, b"x", AlertDescription::UnexpectedMessage);
}

#[test]
fn changes_of_keys_without_a_word_between_are_bounded() {
    let mut pair = Setting::new().open_pair(&version::TLS13);
    let mut changes = 0;
    while pair.end.is_none() {
        pair.client.refresh_traffic_keys().unwrap();
        let bytes = pair.client_bytes();
        pair.feed(&bytes);
        changes += 1;
        assert!(changes <= 33);
    }
    assert_eq!(changes, 33);
    // However many asked, there is one answer, so that nothing grows.
    let mut pair = Setting::new().open_pair(&version::TLS13);
    for _ in 0..32 {
        pair.client.refresh_traffic_keys().unwrap();
        let bytes = pair.client_bytes();
        assert!(pair.feed(&bytes).is_empty());
    }
    let answer = pair.seal(&[]);
    assert_eq!(answer.len(), HEADER + 5 + 1 + 16);
    assert_eq!(pair.read_by_client(&answer), b"");
}

#[test]
fn keys_that_are_used_up_are_changed() {
    let mut pair = Setting::new().open_pair(&version::TLS13);
    pair.records().max_written = 5;
    for round in 0..50_u8 {
        assert_eq!(pair.send_to_client(&[&[round; 100]]), [round; 100]);
        assert!(pair.records().writing.sequence() <= 5);
    }
    let message = pattern(40 * MAX_PLAIN);
    assert!(pair.send_to_client(&[&message]) == message);
}

#[test]
fn tls_1_2_ends_when_its_keys_are_used_up() {
    let mut pair = Setting::new().open_pair(&version::TLS12);
    let written = pair.records().writing.sequence();
    pair.records().max_written = written + 2;
    assert_eq!(pair.send_to_client(&[b"one"]), b"one");
    assert_eq!(pair.send_to_client(&[b"two"]), b"two");
    let mut out = Vec::new();
    let result = pair.server.seal(&[IoSlice::new(b"three")], 100, &mut out);
    assert_eq!(result, Err(TlsFailure::Exhausted));
    pair.client.read_tls(&mut &out[..]).unwrap();
    assert!(pair.client.process_new_packets().unwrap().peer_has_closed());
}
