//! Peers that break the protocol, or speak another.

use super::*;

#[test]
fn a_close_in_the_handshake_is_its_end() {
    let mut pair = Setting::new().pair(&version::TLS13);
    pair.client.send_close_notify();
    let bytes = pair.client_bytes();
    pair.feed(&bytes);
    let closed = TlsFailure::Handshake(rustls::Error::AlertReceived(AlertDescription::CloseNotify));
    assert!(
        matches!(&pair.end, Some(End::Failed(failure)) if *failure == closed),
        "{:?}",
        pair.end
    );
}

#[test]
fn plain_http_is_answered_in_plain_http() {
    let mut pair = Setting::new().pair(&version::TLS13);
    let answer = pair.feed(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert!(matches!(pair.end, Some(End::Failed(TlsFailure::PlainHttp))));
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    assert!(
        head.contains(&format!("Content-Length: {}\r\n", body.len())),
        "{head}"
    );
}

#[test]
fn garbage_instead_of_a_hello_is_answered_with_an_alert() {
    for garbage in [
        &b"\x00\x01\x02\x03\x04\x05\x06"[..],
        b"\x16\x03\x01\x00\x04\x01\x00\x00\x00",
        b"\x16\x03\x01\xff\xff\x01\x00",
        b"\x17\x03\x03\x00\x01x",
        b"\xff\xff\xff\xff\xff\xff",
    ] {
        let mut pair = Setting::new().pair(&version::TLS13);
        let answer = pair.feed(garbage);
        assert!(
            matches!(pair.end, Some(End::Failed(TlsFailure::Handshake(_)))),
            "{} gave {:?}",
            garbage.escape_ascii(),
            pair.end
        );
        assert_eq!(answer.first(), Some(&kind::ALERT), "{}", garbage.escape_ascii());
        assert!(pair.feed(b"more").is_empty());
    }
}

#[test]
fn a_handshake_that_never_ends_is_bounded() {
    let mut pair = Setting::new().pair(&version::TLS13);
    // A hello that says it has 64 KiB, in records that are full.
    let mut content = vec![1, 0, 0xff, 0xff];
    let mut fed = 0;
    while pair.end.is_none() {
        content.resize(MAX_PLAIN, 0);
        let mut record = vec![kind::HANDSHAKE, 3, 1, 0x40, 0];
        record.append(&mut content);
        pair.feed(&record);
        fed += record.len();
        assert!(fed < 150_000);
    }
    assert!(matches!(pair.end, Some(End::Failed(_))));
}

#[test]
fn a_changed_byte_ends_the_session_with_an_alert() {
    let setting = Setting::new();
    for version in BOTH_VERSIONS {
        let mut script = setting.open_pair(version).into_script();
        let mut record = script.record(kind::APPLICATION_DATA, b"intact");
        let last = record.len() - 1;
        record[last] ^= 1;
        let good = script.record(kind::APPLICATION_DATA, b"good");
        let (plain, end, answer) = script.send_bytes([record, good].concat());
        assert!(plain.is_empty());
        assert!(matches!(end, Some(End::Failed(TlsFailure::Misbehaved(_)))));
        assert_eq!(answer, [(kind::ALERT, vec![2, 20])]);
    }
}

#[test]
fn what_came_before_a_bad_record_is_still_given() {
    let mut script = Setting::new().open_pair(&version::TLS13).into_script();
    let mut bytes = script.record(kind::APPLICATION_DATA, b"good");
    bytes.extend(b"\x17\x03\x03\x00\x20");
    bytes.extend([0; 32]);
    let (plain, end, _) = script.send_bytes(bytes);
    assert_eq!(plain, b"good");
    assert!(matches!(end, Some(End::Failed(_))));
}

#[test]
fn records_that_have_no_place_end_the_session() {
    use AlertDescription as Alert;

    let setting = Setting::new();
    let tls13 = || setting.open_pair(&version::TLS13).into_script();
    let tls12 = || setting.open_pair(&version::TLS12).into_script();
    tls13().breaks(kind::HANDSHAKE, &[1, 0, 0, 0, 0], Alert::UnexpectedMessage);
    tls13().breaks(kind::HANDSHAKE, &[24, 0, 0, 1, 0, 0], Alert::UnexpectedMessage);
    tls13().breaks(kind::HANDSHAKE, &[24, 0, 0, 2, 0], Alert::UnexpectedMessage);
    tls13().breaks(kind::HANDSHAKE, &[24, 0, 0, 1, 2], Alert::IllegalParameter);
    tls13().breaks(kind::HANDSHAKE, &[], Alert::UnexpectedMessage);
    tls13().breaks(kind::ALERT, &[1], Alert::DecodeError);
    tls13().breaks(20, &[1], Alert::UnexpectedMessage);
    tls12().breaks(kind::HANDSHAKE, &[1, 0, 0, 0], Alert::NoRenegotiation);
    tls12().breaks(kind::ALERT, &[], Alert::DecodeError);
    tls12().breaks(20, &[1], Alert::UnexpectedMessage);
    tls13().breaks(kind::APPLICATION_DATA, &[0; MAX_PLAIN + 1], Alert::RecordOverflow);
    tls12().breaks(kind::APPLICATION_DATA, &[0; MAX_PLAIN + 1], Alert::RecordOverflow);

    for (header, alert) in [
        (&b"\x17\x03\x03\x41\x01"[..], Alert::RecordOverflow),
        (b"\x16\x03\x03\x00\x01x", Alert::UnexpectedMessage),
        (b"\x14\x03\x03\x00\x01\x01", Alert::UnexpectedMessage),
        (b"\x17\x02\x00\x00\x01", Alert::DecodeError),
        (b"GET /", Alert::DecodeError),
    ] {
        let (_, end, answer) = tls13().send_bytes(header.to_vec());
        assert!(
            matches!(end, Some(End::Failed(_))),
            "{} gave {end:?}",
            header.escape_ascii()
        );
        assert_eq!(answer, [(kind::ALERT, vec![2, u8::from(alert)])]);
    }
}

#[test]
fn alerts_end_the_session_unless_they_are_warnings() {
    let setting = Setting::new();
    let mut tls13 = setting.open_pair(&version::TLS13).into_script();
    let (_, end, answer) = tls13.send(kind::ALERT, &[2, 80]);
    assert!(
        matches!(
            end,
            Some(End::Failed(TlsFailure::Alert(AlertDescription::InternalError)))
        ),
        "{end:?}"
    );
    assert!(answer.is_empty());

    // `user_canceled` in TLS 1.3, any warning in TLS 1.2.
    for (version, warning) in [(&version::TLS13, [1, 90]), (&version::TLS12, [1, 112])] {
        let mut script = setting.open_pair(version).into_script();
        for _ in 0..4 {
            assert!(script.send(kind::ALERT, &warning).1.is_none());
            assert_eq!(script.send(kind::APPLICATION_DATA, b"go on").0, b"go on");
        }
        script.breaks(kind::ALERT, &warning, AlertDescription::UnexpectedMessage);
    }
}

#[test]
fn empty_records_are_taken_within_bounds() {
    for version in BOTH_VERSIONS {
        let mut script = Setting::new().open_pair(version).into_script();
        for _ in 0..2 {
            for _ in 0..32 {
                let (plain, end, _) = script.send(kind::APPLICATION_DATA, b"");
                assert!(plain.is_empty() && end.is_none());
            }
            assert_eq!(script.send(kind::APPLICATION_DATA, b"x").0, b"x");
        }
        for _ in 0..32 {
            script.send(kind::APPLICATION_DATA, b"");
        }
        script.breaks(kind::APPLICATION_DATA, b"", AlertDescription::UnexpectedMessage);
    }
}
