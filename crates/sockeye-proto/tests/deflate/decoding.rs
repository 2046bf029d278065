//! What zlib compresses, however it does, is inflated; and of codes what RFC 1951 says, with zlib's exceptions.

use proptest::prelude::*;
use sockeye_proto::deflate::{DeflateError, Parameters};
use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Strategy as Search};

use crate::bits::Writer;
use crate::window::noise;
use crate::{NO_TAKEOVER, TAKEOVER, bits, decompressor, inflate, inflate_whole};

/// A message of zlib's, flushed after each of its parts as it says.
fn deflate(config: DeflateConfig, parts: &[(Vec<u8>, DeflateFlush)]) -> Vec<u8> {
    let mut stream = Deflate::new_with_config(config);
    let mut payload = Vec::new();
    let mut output = vec![0; 1 << 17];
    let end = [(Vec::new(), DeflateFlush::SyncFlush)];
    for (part, flush) in parts.iter().chain(&end) {
        let (start, before) = (stream.total_in(), stream.total_out());
        stream.compress(part, &mut output, *flush).unwrap();
        assert_eq!(stream.total_in() - start, part.len() as u64);
        payload.extend_from_slice(&output[..(stream.total_out() - before) as usize]);
    }
    payload
}

/// Words, noise, or something again and again.
fn part() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::collection::vec(
        prop::sample::select(vec!["sock", "eye ", "salmon, ", "both ways ", "{\"id\":", "42,"]),
        0..300,
    );
    prop_oneof![
        words.prop_map(|words| words.concat().into_bytes()),
        (any::<u32>(), 0..3000_usize).prop_map(|(seed, len)| noise(seed).take(len).collect()),
        (prop::collection::vec(any::<u8>(), 1..20), 0..400_usize)
            .prop_map(|(piece, times)| piece.repeat(times)),
    ]
}

fn flush() -> impl Strategy<Value = DeflateFlush> {
    prop::sample::select(vec![
        DeflateFlush::NoFlush,
        DeflateFlush::PartialFlush,
        DeflateFlush::SyncFlush,
        DeflateFlush::FullFlush,
        DeflateFlush::Block,
    ])
}

proptest! {
    #[test]
    fn what_zlib_compresses_is_inflated_however_it_is_split(
        level in 0..=9_i32,
        search in prop::sample::select(vec![
            Search::Default, Search::Filtered, Search::HuffmanOnly, Search::Rle, Search::Fixed,
        ]),
        window in 9..=15_u8,
        mem_level in 1..=9_i32,
        parts in prop::collection::vec((part(), flush()), 0..5),
        takeover in any::<bool>(),
        chunk in prop_oneof![1..20_usize, 20..5000_usize],
        room in prop_oneof![1..20_usize, 250..330_usize, 330..70_000_usize],
    ) {
        let config = DeflateConfig {
            level,
            window_bits: -i32::from(window),
            mem_level,
            strategy: search,
            ..DeflateConfig::default()
        };
        let mut payload = deflate(config, &parts);
        // Of what ends a flush only the body of the empty block is missing, if the last one was needed at all.
        if payload.ends_with(&[0, 0, 0xFF, 0xFF]) {
            payload.truncate(payload.len() - 4);
        }
        let message: Vec<u8> = parts.iter().flat_map(|(part, _)| part.iter().copied()).collect();
        let parameters = Parameters {
            server_max_window_bits: bits(window),
            ..if takeover { TAKEOVER } else { NO_TAKEOVER }
        };
        let mut decompressor = decompressor(parameters);
        for _ in 0..2 {
            let inflated = inflate(&mut decompressor, &payload, chunk, room);
            prop_assert_eq!(inflated.as_deref(), Ok(&message[..]));
        }
    }
}

proptest! {
    #[test]
    fn repetitions_of_what_came_before_are_those_bytes_wherever_they_lie(
        window in 8..=11_u8,
        messages in prop::collection::vec(
            (0..900_usize, prop::collection::vec((3..=258_u16, 1..=2048_u16), 0..40)),
            1..6,
        ),
        room in prop_oneof![Just(1 << 16), 1..600_usize],
    ) {
        let parameters = Parameters { server_max_window_bits: bits(window), ..TAKEOVER };
        let mut decompressor = decompressor(parameters);
        let mut seen = Vec::new();
        for (literals, copies) in messages {
            let start = seen.len();
            let literals: Vec<u8> = noise(literals as u32).take(literals + 1).collect();
            seen.extend_from_slice(&literals);
            let mut within = Vec::new();
            for (length, distance) in copies {
                let distance = distance.min(1 << window).min(seen.len() as u16);
                within.push((length, distance));
                for _ in 0..length {
                    seen.push(seen[seen.len() - usize::from(distance)]);
                }
            }
            let payload = Writer::default().fixed(false, &literals, &within).flush();
            let inflated = inflate(&mut decompressor, payload.bytes(), 1 << 16, room);
            prop_assert_eq!(inflated.as_deref(), Ok(&seen[start..]));
        }
    }
}

/// Lengths from one bit to fifteen, which is as deep as a code goes.
fn deep(symbols: &[usize], len: usize) -> Vec<u8> {
    let mut lengths = vec![0; len];
    for (&symbol, length) in symbols.iter().zip((1..=15).chain([15])) {
        lengths[symbol] = length;
    }
    lengths
}

#[test]
fn codes_of_fifteen_bits_are_followed() {
    let symbols = [
        97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 257, 285, 284, 256,
    ];
    let literals = deep(&symbols, 286);
    let distances = deep(&[29, 20, 15, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 28, 27, 0], 30);
    let mut payload = Writer::default().described(&literals, &distances);
    let mut expected = Vec::new();
    for round in 0..30 {
        for &literal in symbols[..12].iter().cycle().skip(round).take(12) {
            payload = payload.coded(&literals, literal);
            expected.push(literal as u8);
        }
        // The longest length with most of its extra bits, from four bytes back; then three bytes from one back.
        payload = payload.coded(&literals, 284).raw(&[(30, 5)]).coded(&distances, 3);
        payload = payload.coded(&literals, 257).coded(&distances, 0);
        let again: Vec<u8> = expected[expected.len() - 4..].repeat(65);
        expected.extend_from_slice(&again[..257]);
        expected.extend_from_slice(&[expected[expected.len() - 1]; 3]);
    }
    payload = payload.coded(&literals, 256).flush();
    for chunk in [1, 7, 1000, 100_000] {
        for room in [1, 300, 100_000] {
            let inflated = inflate(&mut decompressor(NO_TAKEOVER), payload.bytes(), chunk, room);
            assert_eq!(inflated.as_deref(), Ok(&expected[..]), "{chunk}, {room}");
        }
    }
}

/// Lengths of which some are not zero.
fn lengths(len: usize, of: &[(usize, u8)]) -> Vec<u8> {
    let mut lengths = vec![0; len];
    for &(symbol, length) in of {
        lengths[symbol] = length;
    }
    lengths
}

/// The head of a block with codes, the counts of their lengths, and the lengths of the code for lengths in their order.
fn head(literals: u32, distances: u32, codes: &[u32]) -> Writer {
    let mut writer = Writer::default().raw(&[
        (0b100, 3),
        (literals - 257, 5),
        (distances - 1, 5),
        (codes.len() as u32 - 4, 4),
    ]);
    for &code in codes {
        writer = writer.raw(&[(code, 3)]);
    }
    writer
}

#[test]
fn codes_that_are_too_many_or_too_few_are_invalid() {
    let block = |literals: &[(usize, u8)], distances: &[(usize, u8)]| {
        Writer::default().described(&lengths(258, literals), &lengths(30, distances))
    };
    let complete = [(97, 2), (98, 2), (256, 2), (257, 2)];
    for (name, payload) in [
        ("three of one bit", block(&[(97, 1), (98, 1), (256, 1)], &[])),
        ("two of two bits", block(&[(97, 2), (256, 2)], &[])),
        ("one of two bits", block(&[(256, 2)], &[])),
        ("a code without an end", block(&[(97, 1), (98, 1)], &[])),
        ("no literals", block(&[], &[])),
        (
            "three distances of one bit",
            block(&complete, &[(0, 1), (1, 1), (2, 1)]),
        ),
        ("two distances of two bits", block(&complete, &[(0, 2), (1, 2)])),
        ("one distance of two bits", block(&complete, &[(0, 2)])),
        // In the order in which they are written, these are the lengths of 16, 17, 18 and 0.
        ("three lengths of one bit", head(257, 1, &[0, 1, 1, 1])),
        ("two lengths of two bits", head(257, 1, &[0, 0, 2, 2])),
        ("one length of one bit", head(257, 1, &[0, 0, 0, 1])),
        ("no length", head(257, 1, &[0, 0, 0, 0])),
        ("287 literals", head(287, 1, &[0, 0, 1, 1])),
        ("288 literals", head(288, 1, &[0, 0, 1, 1])),
        ("31 distances", head(257, 31, &[0, 0, 1, 1])),
        ("32 distances", head(257, 32, &[0, 0, 1, 1])),
        (
            "a repetition of no length",
            head(257, 1, &[1, 0, 0, 1]).raw(&[(1, 1), (0, 2)]),
        ),
        (
            "a repetition beyond the last length",
            head(257, 1, &[0, 0, 1, 1]).raw(&[(1, 1), (127, 7), (1, 1), (127, 7)]),
        ),
    ] {
        for chunk in [1, 1000] {
            let mut decompressor = decompressor(NO_TAKEOVER);
            // There is more than enough of it to be found wrong.
            let payload = [payload.bytes(), &[0; 20]].concat();
            let inflated = inflate(&mut decompressor, &payload, chunk, 100);
            assert_eq!(inflated, Err(DeflateError::InvalidData), "{name}, {chunk}");
        }
    }
}

#[test]
fn a_single_code_of_one_bit_will_do_and_its_other_half_is_invalid() {
    // An empty block.
    let only_end = || Writer::default().described(&lengths(257, &[(256, 1)]), &[0]);
    let empty = only_end().raw(&[(0, 1)]).flush();
    assert_eq!(
        inflate_whole(&mut decompressor(NO_TAKEOVER), empty.bytes()),
        Ok(Vec::new())
    );
    let literals = lengths(258, &[(97, 2), (98, 2), (256, 2), (257, 2)]);
    let with_distances = |distances: &[u8], bit| {
        Writer::default()
            .described(&literals, distances)
            .coded(&literals, 97)
            .coded(&literals, 257)
            .raw(&[(bit, 1)])
            .coded(&literals, 256)
            .flush()
    };
    assert_eq!(
        inflate_whole(&mut decompressor(NO_TAKEOVER), with_distances(&[1], 0).bytes()).as_deref(),
        Ok(&b"aaaa"[..])
    );
    for (name, payload) in [
        ("the other half of the end", only_end().raw(&[(1, 1)])),
        ("the other half of a distance", with_distances(&[1], 1)),
        ("a distance where none has a code", with_distances(&[0], 0)),
    ] {
        // With much input after it, and with none.
        for more in [0, 40] {
            let payload = [payload.bytes(), &vec![0; more]].concat();
            let inflated = inflate_whole(&mut decompressor(NO_TAKEOVER), &payload);
            assert_eq!(inflated, Err(DeflateError::InvalidData), "{name}, {more}");
        }
    }
}

#[test]
fn symbols_that_never_occur_are_invalid() {
    // RFC 1951 §3.2.6: they are part of the fixed codes all the same.
    let fixed = || Writer::default().raw(&[(0b010, 3)]).raw(&[(0b0000_1100, 8); 30]);
    for (name, payload) in [
        ("length 286", fixed().raw(&[(0b0110_0011, 8)])),
        ("length 287", fixed().raw(&[(0b1110_0011, 8)])),
        ("distance 30", fixed().raw(&[(0b100_0000, 7), (0b01111, 5)])),
        ("distance 31", fixed().raw(&[(0b100_0000, 7), (0b11111, 5)])),
    ] {
        for more in [0, 40] {
            let payload = [payload.bytes(), &vec![0; more]].concat();
            for chunk in [1, 1000] {
                let inflated = inflate(&mut decompressor(NO_TAKEOVER), &payload, chunk, 1000);
                assert_eq!(
                    inflated,
                    Err(DeflateError::InvalidData),
                    "{name}, {more}, {chunk}"
                );
            }
        }
    }
}

#[test]
fn no_repetition_reaches_beyond_the_window() {
    let sent: Vec<u8> = noise(7).take(2000).collect();
    for window in 8..=10 {
        let size = 1_u16 << window;
        let parameters = Parameters {
            server_max_window_bits: bits(window),
            ..NO_TAKEOVER
        };
        for (distance, is_within) in [(size, true), (size + 1, false)] {
            let payload = Writer::default()
                .stored(false, &sent)
                .fixed(false, b"", &[(3, distance)])
                .flush();
            // Whether it lies in the same output or before it.
            for room in [100, 10_000] {
                let inflated = inflate(&mut decompressor(parameters), payload.bytes(), 64, room);
                assert_eq!(inflated.is_ok(), is_within, "{window} bits, {distance}, {room}");
                if !is_within {
                    assert_eq!(inflated, Err(DeflateError::InvalidData));
                }
            }
        }
    }
}

#[test]
fn every_prefix_of_a_block_inflates_to_a_prefix_and_is_no_message() {
    let text =
        b"A sockeye swims both ways, and both ways it swims, whichever way it is that it swims. ".repeat(4);
    for (name, level, search) in [
        ("codes of its own", 6, Search::Default),
        ("fixed codes", 6, Search::Fixed),
        ("stored", 0, Search::Default),
    ] {
        let config = DeflateConfig {
            level,
            window_bits: -15,
            strategy: search,
            ..DeflateConfig::default()
        };
        let mut payload = deflate(config, &[(text.clone(), DeflateFlush::NoFlush)]);
        payload.truncate(payload.len() - 4);
        // A stored block's first byte alone is an empty message. If four are missing at its end, the trailer is in their place.
        let whole = payload.len() - 1;
        for length in (2..whole).filter(|&length| level > 0 || length + 4 != whole) {
            let mut decompressor = decompressor(NO_TAKEOVER);
            let mut output = vec![0; text.len()];
            let step = decompressor.inflate(&payload[..length], &mut output).unwrap();
            assert_eq!(step.consumed, length, "{name}");
            assert!(text.starts_with(&output[..step.produced]), "{name}, {length}");
            let end = inflate_whole(&mut decompressor, b"");
            assert!(
                matches!(end, Err(DeflateError::Truncated | DeflateError::InvalidData)),
                "{name}, {length} of {}: {end:?}",
                payload.len()
            );
        }
    }
}
