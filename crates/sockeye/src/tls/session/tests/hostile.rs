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
        assert_eq!(
            answer.first(),
            Some(&u8::from(ContentType::Alert)),
            "{}",
            garbage.escape_ascii()
        );
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
        let mut record = vec![u8::from(ContentType::Handshake), 3, 1, 0x40, 0];
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
        let mut script = setting.script(version);
        let mut record = script.record(ContentType::ApplicationData, b"intact");
        let last = record.len() - 1;
        record[last] ^= 1;
        let good = script.record(ContentType::ApplicationData, b"good");
        let (plain, end, answer) = script.send_bytes([record, good].concat());
        assert!(plain.is_empty());
        assert!(matches!(
            end,
            Some(End::Failed(TlsFailure::Session(rustls::Error::DecryptError)))
        ));
        assert_eq!(answer, [(ContentType::Alert, vec![2, 20])]);
    }
}

#[test]
fn what_came_before_a_bad_record_is_still_given() {
    let mut script = Setting::new().script(&version::TLS13);
    let mut bytes = script.record(ContentType::ApplicationData, b"good");
    bytes.extend(b"\x17\x03\x03\x00\x20");
    bytes.extend([0; 32]);
    let (plain, end, _) = script.send_bytes(bytes);
    assert_eq!(plain, b"good");
    assert!(matches!(end, Some(End::Failed(_))));
}

#[test]
fn records_that_have_no_place_end_the_session() {
    use {AlertDescription as Alert, ContentType as Type};

    let setting = Setting::new();
    let tls13 = || setting.script(&version::TLS13);
    let tls12 = || setting.script(&version::TLS12);
    tls13().breaks(Type::Handshake, &[1, 0, 0, 0], Alert::DecodeError);
    tls13().breaks(Type::Handshake, &[20, 0, 0, 0], Alert::UnexpectedMessage);
    tls13().breaks(Type::Handshake, &[24, 0, 0, 2, 0, 0], Alert::DecodeError);
    tls13().breaks(Type::Handshake, &[24, 0, 0, 1, 2], Alert::IllegalParameter);
    tls13().breaks(Type::Handshake, &[24, 0, 0, 1, 0, 24], Alert::UnexpectedMessage);
    tls13().breaks(Type::Alert, &[1], Alert::DecodeError);
    tls13().breaks(Type::ChangeCipherSpec, &[1], Alert::UnexpectedMessage);
    tls12().breaks(Type::Alert, &[], Alert::DecodeError);
    // Records of this type are not taken for encrypted ones.
    tls12().breaks(Type::ChangeCipherSpec, &[1], Alert::DecodeError);
    tls13().breaks(Type::ApplicationData, &[0; MAX_PLAIN + 1], Alert::RecordOverflow);
    tls12().breaks(Type::ApplicationData, &[0; MAX_PLAIN + 1], Alert::RecordOverflow);

    for (bytes, alert) in [
        (&b"\x17\x03\x03\x48\x01"[..], Alert::DecodeError),
        (b"\x16\x03\x03\x00\x01x", Alert::BadRecordMac),
        (b"\x17\x02\x00\x00\x01", Alert::DecodeError),
        (b"GET /", Alert::DecodeError),
        (&[0xff; 100], Alert::DecodeError),
    ] {
        tls13().breaks_with(|_| bytes.to_vec(), alert);
    }
}

#[test]
fn alerts_end_the_session_unless_they_are_warnings() {
    let setting = Setting::new();
    setting
        .script(&version::TLS13)
        .breaks(ContentType::Alert, &[2, 80], None);

    // `user_canceled` in TLS 1.3, any warning in TLS 1.2.
    for (version, warning) in [(&version::TLS13, [1, 90]), (&version::TLS12, [1, 112])] {
        let mut script = setting.script(version);
        for _ in 0..4 {
            assert!(script.send(ContentType::Alert, &warning).1.is_none());
            assert_eq!(script.send(ContentType::ApplicationData, b"go on").0, b"go on");
        }
        script.breaks(ContentType::Alert, &warning, None);
    }
}

#[test]
fn empty_records_are_taken_within_bounds() {
    for version in BOTH_VERSIONS {
        let mut script = Setting::new().script(version);
        for _ in 0..2 {
            for _ in 0..32 {
                let (plain, end, _) = script.send(ContentType::ApplicationData, b"");
                assert!(plain.is_empty() && end.is_none());
            }
            assert_eq!(script.send(ContentType::ApplicationData, b"x").0, b"x");
        }
        for _ in 0..32 {
            script.send(ContentType::ApplicationData, b"");
        }
        script.breaks(ContentType::ApplicationData, b"", None);
    }
}

#[test]
fn what_is_wrong_after_the_last_word_ends_the_session_without_another() {
    for version in BOTH_VERSIONS {
        let unsealed = [&[0x17, 3, 3, 0, 0x20][..], &[0; 32]].concat();
        for wrong in [&unsealed[..], &[0xff; 1000]] {
            let mut pair = Setting::new().open_pair(version);
            pair.server.close(&mut Vec::new());
            pair.client.writer().write_all(b"late").unwrap();
            let bytes = [&pair.client_bytes(), wrong].concat();
            assert!(pair.feed(&bytes).is_empty());
            assert_eq!(pair.plain, b"late");
            assert!(
                matches!(pair.end, Some(End::Failed(TlsFailure::Session(_)))),
                "{:?}",
                pair.end
            );
            assert_eq!(pair.server.kept.capacity(), 0);
            // It is over for good.
            pair.end = None;
            assert!(pair.feed(&unsealed).is_empty());
            assert!(pair.end.is_none() && pair.seal(&[b"x"]).is_empty());
        }
    }

    // Nor is there an answer where there would be one.
    let mut script = Setting::new().script(&version::TLS12);
    script.server.close(&mut Vec::new());
    let hello = [&[1, 0, 0, 41, 3, 3][..], &[7; 32], &[0, 0, 2, 0xc0, 0x2b, 1, 0]].concat();
    let (_, end, answer) = script.send(ContentType::Handshake, &hello);
    assert!(end.is_none() && answer.is_empty(), "{end:?} {answer:?}");
    assert_eq!(script.send(ContentType::ApplicationData, b"go on").0, b"go on");
}

#[test]
fn a_wish_to_renegotiate_is_declined_once() {
    // The beginning of a client's hello: a version, a random, no session, one cipher, no compression.
    let hello = [&[1, 0, 0, 41, 3, 3][..], &[7; 32], &[0, 0, 2, 0xc0, 0x2b, 1, 0]].concat();
    let mut script = Setting::new().script(&version::TLS12);
    let (_, end, answer) = script.send(ContentType::Handshake, &hello);
    assert!(end.is_none(), "{end:?}");
    assert_eq!(
        answer,
        [(
            ContentType::Alert,
            vec![1, u8::from(AlertDescription::NoRenegotiation)]
        )]
    );
    assert_eq!(script.send(ContentType::ApplicationData, b"go on").0, b"go on");
    script.breaks(ContentType::Handshake, &hello, None);
}

#[test]
fn a_message_that_is_never_whole_is_bounded_after_the_handshake_too() {
    for version in BOTH_VERSIONS {
        let mut script = Setting::new().script(version);
        // It says that it has 60,000 bytes.
        let mut content = vec![1, 0, 0xea, 0x60];
        let (mut fed, mut kept) = (0, 0);
        let (end, answer) = loop {
            content.resize(1000, 0);
            let record = script.record(ContentType::Handshake, &content);
            fed += record.len();
            let (_, end, answer) = script.send_bytes(record);
            if end.is_some() {
                break (end, answer);
            }
            assert!(answer.is_empty());
            content.clear();
            kept = script.server.kept.capacity();
            assert!(kept <= MAX_RECORD, "{kept}");
        };
        assert!(fed > MAX_RECORD && kept > MAX_RECORD - 2000);
        assert!(matches!(end, Some(End::Failed(TlsFailure::TooLong))), "{end:?}");
        assert_eq!(answer, [(ContentType::Alert, vec![1, 0])], "a close_notify");
    }
}
