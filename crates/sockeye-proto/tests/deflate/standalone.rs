//! Messages that refer to no other one, at the levels that have a compressor of their own for those.

use std::sync::Arc;

use proptest::prelude::*;
use sockeye_proto::Role;
use sockeye_proto::deflate::{Compressor, Deflate, Level, Parameters, Pool};

use crate::bits::greatest_distance;
use crate::window::{noise, temptations};
use crate::{NO_TAKEOVER, bits, compress, decompressor, inflate_whole};

/// The compressor of a connection with this window, at this level.
fn compressor(window_bits: u8, level: u8, pool: &Arc<Pool>) -> Compressor {
    let parameters = Parameters {
        server_max_window_bits: bits(window_bits),
        ..NO_TAKEOVER
    };
    let options = Deflate {
        level: Level::new(level).unwrap(),
        ..Deflate::default()
    };
    Compressor::new(Role::Server, parameters, &options, Arc::clone(pool))
}

/// The compressed form of a message, which is checked: it inflates to the message, and no reference reaches back further
/// than the window, nor the stored form is shorter. Also how far references reach.
fn checked(compressor: &mut Compressor, window_bits: u8, message: &[u8]) -> (Vec<u8>, usize) {
    let mut payload = compress(compressor, message);
    let inflated = inflate_whole(&mut decompressor(NO_TAKEOVER), &payload);
    assert!(inflated.as_deref() == Ok(message), "{} bytes", message.len());
    assert!(payload.len() <= bound(message.len()), "{} bytes", message.len());
    payload.extend([0x00, 0x00, 0xff, 0xff]);
    let reach = usize::from(greatest_distance(&payload));
    assert!(reach <= 1 << window_bits, "{reach} with {window_bits} bits");
    payload.truncate(payload.len() - 4);
    (payload, reach)
}

/// The most that a message can become: five bytes for each stored block, of which there is one for 16 Ki literals or
/// references, and two at the end.
pub(crate) const fn bound(length: usize) -> usize {
    length + 5 * (length / (16 * 1024) + 1) + 2
}

/// Records that differ in their numbers.
pub(crate) fn json(length: usize) -> Vec<u8> {
    let records = (1..).flat_map(|number: u64| {
        let (name, x, y) = (number * 7919 % 1000, number * 31 % 97, number * 17 % 89);
        format!(r#"{{"id":{number},"name":"salmon {name}","at":[{x},{y}],"ok":true}},"#).into_bytes()
    });
    records.take(length).collect()
}

/// What a message is made of: bytes of its own, or what it had before.
#[derive(Debug, Clone)]
enum Part {
    Bytes(Vec<u8>),
    Noise { seed: u32, length: usize },
    Again { distance: usize, length: usize },
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        prop::collection::vec(prop::sample::select(&b"abcdef 123"[..]), 0..60).prop_map(Part::Bytes),
        prop::collection::vec(any::<u8>(), 0..60).prop_map(Part::Bytes),
        (any::<u32>(), 0..3000_usize).prop_map(|(seed, length)| Part::Noise { seed, length }),
        (1..300_usize, 1..600_usize).prop_map(|(distance, length)| Part::Again { distance, length }),
        (1..70_000_usize, 1..300_usize).prop_map(|(distance, length)| Part::Again { distance, length }),
    ]
}

pub(crate) fn message() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(part(), 1..120).prop_map(|parts| {
        let mut message = Vec::new();
        for part in parts {
            match part {
                Part::Bytes(bytes) => message.extend(bytes),
                Part::Noise { seed, length } => message.extend(noise(seed).take(length)),
                Part::Again { distance, length } => {
                    let from = message.len().saturating_sub(distance);
                    for at in from..from + length {
                        message.push(message.get(at).copied().unwrap_or(b'x'));
                    }
                }
            }
        }
        message
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_messages_survive_and_keep_to_the_window(
        messages in prop::collection::vec(message(), 1..4),
        window_bits in 8..=15_u8,
        level in 2..=5_u8,
    ) {
        let mut compressor = compressor(window_bits, level, &Arc::default());
        for message in &messages {
            checked(&mut compressor, window_bits, message);
        }
    }
}

#[test]
fn references_reach_as_far_as_the_window_and_no_further() {
    for window_bits in 8..=15 {
        let window = 1 << window_bits;
        let mut compressor = compressor(window_bits, 2, &Arc::default());
        let reaches = temptations(window).into_iter().map(|message| {
            let (_, reach) = checked(&mut compressor, window_bits, &message);
            reach
        });
        assert_eq!(reaches.max(), Some(window), "{window_bits} bits");
    }
}

#[test]
fn every_length_of_a_message_and_of_a_repetition_survives() {
    let mut compressor = compressor(15, 2, &Arc::default());
    let noise: Vec<u8> = noise(7).take(600).collect();
    for length in 0..=600 {
        checked(&mut compressor, 15, &noise[..length]);
        checked(&mut compressor, 15, &vec![b'x'; length]);
        // A repetition of this length, with something else on either side of it.
        let message = [&noise[..length], b"<-->", &noise[..length], b"."].concat();
        checked(&mut compressor, 15, &message);
    }
}

#[test]
fn what_cannot_be_compressed_is_stored() {
    let mut compressor = compressor(15, 2, &Arc::default());
    for length in [100, 1000, 16_383, 16_384, 65_535, 65_536, 200_000] {
        let message: Vec<u8> = noise(length as u32).take(length).collect();
        let (payload, _) = checked(&mut compressor, 15, &message);
        assert!(payload.len() > length, "{length} bytes");
    }
}

#[test]
fn every_message_is_compressed_as_if_it_were_the_first_one() {
    let pool = Arc::new(Pool::default());
    let mut compressor = compressor(15, 2, &pool);
    // More than enough for the numbers of positions to run out, many times.
    for round in 0..400_usize {
        let length = [17, 1024, 70_000, 300, 12_345, 65_535][round % 6];
        let mut message = json(length);
        message.rotate_left(round * 7 % length);
        let (payload, _) = checked(&mut compressor, 15, &message);
        let alone = compress(&mut self::compressor(15, 2, &Arc::default()), &message);
        assert!(payload == alone, "round {round}");
    }
    assert_eq!(pool.stats().created_compressors, 1);
}

#[test]
fn a_message_becomes_hardly_longer_than_at_level_six() {
    let pool = Arc::new(Pool::default());
    for length in [125, 1024, 16 * 1024, 64 * 1024] {
        let message = json(length);
        let size = |level| compress(&mut compressor(15, level, &pool), &message).len();
        let (ours, theirs) = (size(2), size(6));
        assert!(100 * ours <= 104 * theirs, "{length} bytes: {ours}, {theirs}");
    }
}
