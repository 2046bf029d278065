//! What one side compresses, the other side inflates.

use std::sync::Arc;

use proptest::prelude::*;
use sockeye_proto::Role;
use sockeye_proto::deflate::{Compressor, Decompressor, Deflate, Level, MemLevel, Parameters, Pool};

use crate::{NO_TAKEOVER, TAKEOVER, bits, compress, compressor, decompressor, inflate, inflate_whole};

/// A message as the fragments it is sent in.
type Fragments = Vec<Vec<u8>>;

fn parameters() -> impl Strategy<Value = Parameters> {
    (any::<bool>(), any::<bool>(), 8..=15_u8, 8..=15_u8).prop_map(
        |(server, client, server_bits, client_bits)| Parameters {
            server_no_context_takeover: server,
            client_no_context_takeover: client,
            server_max_window_bits: bits(server_bits),
            client_max_window_bits: bits(client_bits),
        },
    )
}

fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let size = 0..3000_usize;
    prop_oneof![
        Just(Vec::new()),
        prop::collection::vec(any::<u8>(), 0..100),
        prop::collection::vec(any::<u8>(), 0..5000),
        prop::collection::vec(prop::sample::select(&b"ab"[..]), 0..5000),
        (any::<u8>(), size.clone()).prop_map(|(byte, size)| vec![byte; size]),
        size.prop_map(|size| br#"{"event":"price","symbol":"FISH","value":12.34},"#.iter().copied().cycle().take(size).collect()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_messages_survive_any_parameters_and_splits(
        parameters in parameters(),
        level in 0..=9_u8,
        mem_level in 1..=9_u8,
        messages in prop::collection::vec(prop::collection::vec(fragment(), 1..4), 1..6),
        chunk in 1..2000_usize,
        room in 1..2000_usize,
    ) {
        let options = Deflate {
            level: Level::new(level).unwrap(),
            mem_level: MemLevel::new(mem_level).unwrap(),
            ..Deflate::default()
        };
        let pool = Arc::new(Pool::default());
        for (sender, receiver) in [(Role::Client, Role::Server), (Role::Server, Role::Client)] {
            let mut compressor = Compressor::new(sender, parameters, &options, Arc::clone(&pool));
            let mut decompressor = Decompressor::new(receiver, parameters, Arc::clone(&pool));
            for message in &messages {
                let payload = compress_fragments(&mut compressor, message);
                prop_assert!(!payload.is_empty());
                let inflated = inflate(&mut decompressor, &payload, chunk, room);
                prop_assert_eq!(inflated, Ok(message.concat()));
            }
        }
    }
}

fn compress_fragments(compressor: &mut Compressor, message: &Fragments) -> Vec<u8> {
    let mut payload = Vec::new();
    for (index, fragment) in message.iter().enumerate() {
        compressor
            .compress(fragment, index + 1 == message.len(), &mut payload)
            .unwrap();
    }
    payload
}

#[test]
fn a_megabyte_survives() {
    let message: Vec<u8> = (0..300_000_u32)
        .flat_map(|i| (i / 7 * 13).to_le_bytes())
        .collect();
    for parameters in [TAKEOVER, NO_TAKEOVER] {
        let mut compressor = compressor(parameters, &Deflate::default());
        let mut decompressor = decompressor(parameters);
        for _ in 0..2 {
            let payload = compress(&mut compressor, &message);
            assert!(inflate_whole(&mut decompressor, &payload) == Ok(message.clone()));
        }
    }
}

#[test]
fn a_fragment_can_be_read_before_the_next_one_is_written() {
    let mut compressor = compressor(NO_TAKEOVER, &Deflate::default());
    let mut decompressor = decompressor(NO_TAKEOVER);
    let mut output = [0; 100];
    for (fragment, fin) in [
        (&b"first"[..], false),
        (b"", false),
        (b"second", false),
        (b"", true),
    ] {
        let mut payload = Vec::new();
        compressor.compress(fragment, fin, &mut payload).unwrap();
        let step = decompressor.inflate(&payload, &mut output).unwrap();
        assert_eq!(step.consumed, payload.len());
        assert_eq!(&output[..step.produced], fragment);
    }
    assert!(decompressor.finish(&mut output).unwrap().done);
}

#[test]
fn a_repeated_message_shrinks_with_context_takeover_only() {
    let message = br#"{"id":"7f3a","kind":"update","body":"swims both ways"}"#;
    for (parameters, shrinks) in [(TAKEOVER, true), (NO_TAKEOVER, false)] {
        let mut compressor = compressor(parameters, &Deflate::default());
        let first = compress(&mut compressor, message).len();
        let second = compress(&mut compressor, message).len();
        assert_eq!(second < first / 4, shrinks, "{first} bytes, then {second}");
    }
}

#[test]
fn output_is_appended_to_what_the_buffer_holds() {
    let mut out = b"frame header".to_vec();
    compressor(NO_TAKEOVER, &Deflate::default())
        .compress(b"Hello", true, &mut out)
        .unwrap();
    assert_eq!(out, b"frame header\xf2\x48\xcd\xc9\xc9\x07\x00");
}

#[test]
fn messages_below_the_threshold_are_not_worth_compressing() {
    let compressor = compressor(
        NO_TAKEOVER,
        &Deflate {
            threshold: 100,
            ..Deflate::default()
        },
    );
    assert!(!compressor.is_worthwhile(99));
    assert!(compressor.is_worthwhile(100));
}
