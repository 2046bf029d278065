//! What holds for any messages, and any cut of the stream.

use proptest::prelude::*;

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_cut_of_the_stream_gives_the_same(
        messages in prop::collection::vec((prop::collection::vec(any::<u8>(), 1..20_000), any::<bool>()), 1..6),
        steps in prop::collection::vec(prop_oneof![1..40usize, 1..5000usize, 1..60_000usize], 1..8),
        is_tls13: bool,
        closes: bool,
    ) {
        let version = if is_tls13 { &version::TLS13 } else { &version::TLS12 };
        let mut pair = Setting::new().pair(version);
        pair.steps = steps;
        pair.shake();
        let mut expected = Vec::new();
        let mut bytes = Vec::new();
        for (message, with_new_keys) in &messages {
            if *with_new_keys && is_tls13 {
                pair.client.refresh_traffic_keys().unwrap();
            }
            pair.client.writer().write_all(message).unwrap();
            bytes.extend(pair.client_bytes());
            expected.extend_from_slice(message);
        }
        if closes {
            pair.client.send_close_notify();
            bytes.extend(pair.client_bytes());
        }
        prop_assert!(pair.feed(&bytes).is_empty());
        prop_assert!(pair.plain == expected);
        prop_assert_eq!(matches!(pair.end, Some(End::Closed)), closes);
        prop_assert!(closes || pair.end.is_none());
        prop_assert_eq!(pair.server.kept.capacity(), 0);
        let pieces: Vec<_> = messages.iter().map(|(message, _)| &message[..]).collect();
        prop_assert!(pair.send_to_client(&pieces) == expected);
    }

    #[test]
    fn any_pieces_are_sealed_in_full_records(
        pieces in prop::collection::vec(prop_oneof![0..20usize, 0..40_000usize], 1..10),
        limit in 1..100_000usize,
    ) {
        let mut pair = Setting::new().open_pair(&version::TLS13);
        let pieces: Vec<_> = pieces.into_iter().map(pattern).collect();
        let slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let mut out = b"before".to_vec();
        let sealed = pair.server.seal(&slices, limit, &mut out).unwrap();
        let all = pieces.concat();
        prop_assert_eq!(sealed, all.len().min(limit));
        let records = sealed.div_ceil(MAX_PLAIN);
        prop_assert_eq!(out.len(), 6 + sealed + records * (HEADER + 1 + 16));
        prop_assert!(pair.read_by_client(&out[6..]) == all[..sealed]);
    }

    #[test]
    fn garbage_after_the_handshake_ends_with_an_alert(
        garbage in prop::collection::vec(any::<u8>(), 1..60),
        is_tls13: bool,
        steps in prop::collection::vec(1..5000usize, 1..4),
    ) {
        let version = if is_tls13 { &version::TLS13 } else { &version::TLS12 };
        let mut pair = Setting::new().open_pair(version);
        pair.steps = steps;
        // Enough for any record that it may seem to begin.
        let garbage: Vec<_> = garbage.into_iter().cycle().take(20_000).collect();
        let answer = pair.feed(&garbage);
        prop_assert!(matches!(pair.end, Some(End::Failed(TlsFailure::Session(_)))), "{:?}", pair.end);
        prop_assert!(pair.plain.is_empty());
        pair.client.read_tls(&mut &answer[..]).unwrap();
        let told = pair.client.process_new_packets();
        prop_assert!(matches!(told, Err(rustls::Error::AlertReceived(_))), "{:?}", told);
    }

    #[test]
    fn any_bytes_instead_of_a_handshake_are_survived(
        bytes in prop::collection::vec(any::<u8>(), 0..2000),
        step in 1..100usize,
    ) {
        let mut pair = Setting::new().pair(&version::TLS13);
        pair.steps = vec![step];
        pair.feed(&bytes);
        prop_assert!(pair.plain.is_empty());
    }

    #[test]
    fn a_stream_with_any_byte_changed_gives_nothing_that_was_not_sent(
        at in 0..1000usize,
        change in 1..=255u8,
        step in 1..400usize,
        is_tls13: bool,
    ) {
        let version = if is_tls13 { &version::TLS13 } else { &version::TLS12 };
        let mut pair = Setting::new().open_pair(version);
        let mut bytes = Vec::new();
        for _ in 0..8 {
            pair.client.writer().write_all(&[b'x'; 100]).unwrap();
            bytes.extend(pair.client_bytes());
        }
        let at = at % bytes.len();
        bytes[at] ^= change;
        pair.steps = vec![step];
        pair.feed(&bytes);
        prop_assert!(pair.plain.len().is_multiple_of(100) && pair.plain.iter().all(|&byte| byte == b'x'));
        prop_assert!(pair.plain.len() < 800 || is_tls13 && at % 122 == 2);
    }
}
