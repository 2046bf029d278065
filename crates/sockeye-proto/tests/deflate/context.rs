//! Messages that refer to earlier ones, at the levels that have a compressor of their own.

use std::sync::Arc;

use proptest::prelude::*;
use sockeye_proto::Role;
use sockeye_proto::deflate::{Compressor, Deflate, Level, MemLevel, Parameters, Pool};
use zlib_rs::{Inflate, InflateFlush};

use crate::bits::greatest_distance;
use crate::standalone::{bound, json, message};
use crate::window::noise;
use crate::{NO_TAKEOVER, TAKEOVER, bits, compress, decompressor, inflate_whole};

/// What ends a message for the library.
const TRAILER: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// A compressor that keeps its context, and zlib's decompressor with exactly that window.
struct Pair {
    compressor: Compressor,
    inflate: Inflate,
    window_bits: u8,
}

impl Pair {
    fn new(window_bits: u8, level: u8, mem_level: u8, pool: &Arc<Pool>) -> Self {
        let parameters = Parameters {
            server_max_window_bits: bits(window_bits),
            ..TAKEOVER
        };
        let options = Deflate {
            level: Level::new(level).unwrap(),
            mem_level: MemLevel::new(mem_level).unwrap(),
            ..Deflate::default()
        };
        Self {
            compressor: Compressor::new(Role::Server, parameters, &options, Arc::clone(pool)),
            inflate: Inflate::new(false, window_bits),
            window_bits,
        }
    }

    /// Sends a message in fragments of this size; how many bytes it becomes.
    fn send(&mut self, message: &[u8], fragment: usize) -> usize {
        let mut payload = Vec::new();
        let mut rest = message;
        loop {
            let (part, after) = rest.split_at(fragment.min(rest.len()));
            rest = after;
            let start = payload.len();
            self.compressor
                .compress(part, rest.is_empty(), &mut payload)
                .unwrap();
            let length = payload.len() - start;
            assert!(
                length <= bound(part.len()) + TRAILER.len(),
                "{length} of {}",
                part.len()
            );
            if rest.is_empty() {
                break;
            }
        }
        let length = payload.len();
        payload.extend(TRAILER);
        let reach = usize::from(greatest_distance(&payload));
        assert!(
            reach <= 1 << self.window_bits,
            "{reach} with {} bits",
            self.window_bits
        );
        assert!(self.receive(&payload) == message, "{} bytes", message.len());
        length
    }

    /// Inflates with room for a few bytes at a time, so that what is referred to has to be in the window.
    fn receive(&mut self, mut payload: &[u8]) -> Vec<u8> {
        let (mut message, mut room) = (Vec::new(), [0; 64]);
        loop {
            let (consumed, produced) = (self.inflate.total_in(), self.inflate.total_out());
            self.inflate
                .decompress(payload, &mut room, InflateFlush::SyncFlush)
                .unwrap();
            payload = &payload[(self.inflate.total_in() - consumed) as usize..];
            let produced = (self.inflate.total_out() - produced) as usize;
            message.extend_from_slice(&room[..produced]);
            if produced < room.len() && payload.is_empty() {
                return message;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_messages_survive_zlib_with_the_same_window(
        messages in prop::collection::vec((message(), prop_oneof![Just(usize::MAX), 1..5000_usize]), 1..8),
        window_bits in 8..=15_u8,
        level in 2..=5_u8,
        mem_level in 1..=9_u8,
    ) {
        let mut pair = Pair::new(window_bits, level, mem_level, &Arc::default());
        for (message, fragment) in &messages {
            pair.send(message, *fragment);
        }
    }
}

#[test]
fn every_size_around_the_ends_of_windows_survives() {
    for window_bits in 8..=15 {
        let window = 1 << window_bits;
        let text = json(2 * window + 1000);
        let mut pair = Pair::new(window_bits, 2, 8, &Arc::default());
        for length in [
            0,
            1,
            4,
            5,
            258,
            259,
            515,
            516,
            517,
            window / 2,
            window,
            3 * window / 2,
        ] {
            for length in length.saturating_sub(2)..length + 3 {
                pair.send(&text[length % 7..][..length], usize::MAX);
            }
        }
        for length in 0..20 {
            pair.send(&text[..length], 3);
        }
    }
}

#[test]
fn positions_start_over_many_times_on_a_connection_that_lives_long() {
    let pool = Arc::new(Pool::default());
    for window_bits in [8, 11, 15] {
        let mut pair = Pair::new(window_bits, 2, 8, &pool);
        let text = json(1 << 16);
        // Two and a half megabytes: positions have numbers up to 64 Ki.
        for round in 0..2500_usize {
            let length = [17, 1024, 300, 3000, 800][round % 5];
            let start = round * 7919 % (text.len() - length);
            pair.send(&text[start..][..length], usize::MAX);
        }
    }
    assert_eq!(pool.stats().created_compressors, 1);
}

#[test]
fn connections_that_take_turns_know_nothing_of_each_other() {
    let pool = Arc::new(Pool::default());
    let texts: Vec<Vec<u8>> = (0..3).map(|seed| noise(seed).take(1500).collect()).collect();
    let mut pairs: Vec<_> = (0..3).map(|_| Pair::new(12, 2, 8, &pool)).collect();
    for (at, pair) in pairs.iter_mut().enumerate() {
        pair.send(&texts[at], usize::MAX);
        // What another one sent is as long as ever; what it sent itself is not.
        assert!(pair.send(&texts[(at + 1) % 3], usize::MAX) > 1500);
        assert!(pair.send(&texts[(at + 1) % 3], usize::MAX) < 100);
    }
}

#[test]
fn what_cannot_be_compressed_is_stored_and_can_be_referred_to() {
    for window_bits in [9, 12, 15] {
        let mut pair = Pair::new(window_bits, 2, 8, &Arc::default());
        for length in [100, 1000, 16_384, 65_536, 200_000] {
            let message: Vec<u8> = noise(length as u32).take(length).collect();
            assert!(pair.send(&message, usize::MAX) > length);
            let tail = &message[length - 100..];
            assert!(
                pair.send(tail, usize::MAX) < 12,
                "{window_bits} bits, {length} bytes"
            );
        }
    }
}

#[test]
fn a_message_becomes_hardly_longer_than_by_the_library_whatever_the_window() {
    // The messages of a feed, one after the other.
    let feed = json(300 * 500);
    for window_bits in 8..=15 {
        let size = |level| -> usize {
            let mut pair = Pair::new(window_bits, level, 8, &Arc::default());
            feed.chunks(500)
                .map(|message| pair.send(message, usize::MAX))
                .sum()
        };
        let (ours, theirs) = (size(2), size(6));
        assert!(100 * ours <= 112 * theirs, "{window_bits} bits: {ours}, {theirs}");
    }
}

#[test]
fn a_larger_memory_level_finds_more() {
    let feed = json(300 * 500);
    let size = |mem_level| -> usize {
        let mut pair = Pair::new(15, 2, mem_level, &Arc::default());
        feed.chunks(500)
            .map(|message| pair.send(message, usize::MAX))
            .sum()
    };
    let sizes: Vec<_> = [1, 3, 5, 7, 9].map(size).to_vec();
    assert!(sizes.is_sorted_by(|less, more| more < less), "{sizes:?}");
}

#[test]
fn fragments_refer_to_each_other_whether_or_not_messages_do() {
    let message = json(5000);
    for (parameters, refers) in [(NO_TAKEOVER, false), (TAKEOVER, true)] {
        let options = Deflate::default();
        let mut compressor = Compressor::new(Role::Server, parameters, &options, Arc::default());
        let mut decompressor = decompressor(parameters);
        let alone = compress(&mut compressor, &message[..1000]).len();
        inflate_whole(&mut decompressor, &compress(&mut compressor, b"")).unwrap();
        let mut decompressor = self::decompressor(parameters);
        let mut compressor = Compressor::new(Role::Server, parameters, &options, Arc::default());
        for _ in 0..2 {
            let mut payload = Vec::new();
            for (at, fragment) in message.chunks(1000).enumerate() {
                let start = payload.len();
                compressor.compress(fragment, at == 4, &mut payload).unwrap();
                if at > 0 {
                    assert!(payload.len() - start < alone, "fragment {at}");
                }
            }
            assert!(inflate_whole(&mut decompressor, &payload) == Ok(message.clone()));
        }
        let mut again = Vec::new();
        compressor.compress(&message[..1000], true, &mut again).unwrap();
        assert_eq!(again.len() < alone / 4, refers, "{} bytes", again.len());
    }
}
