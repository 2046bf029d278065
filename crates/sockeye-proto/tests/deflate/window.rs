//! How far back a compressor refers.

use sockeye_proto::Role;
use sockeye_proto::deflate::{Compressor, Deflate, Level, MemLevel, Parameters, Pool};
use std::sync::Arc;

use crate::bits::greatest_distance;
use crate::{TAKEOVER, bits, compress, decompressor, inflate_whole};

/// A pseudorandom sequence, the same in each run.
pub(crate) fn noise(seed: u32) -> impl Iterator<Item = u8> {
    std::iter::successors(Some(seed), |&state| {
        Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223))
    })
    .map(|state| (state >> 24) as u8)
    .skip(1)
}

/// Messages that tempt a compressor to refer back as far as it can: noise that repeats after each period
/// in question, so that there is nothing nearer to refer to.
pub(crate) fn temptations(window: usize) -> Vec<Vec<u8>> {
    let periods = [
        window / 2,
        window.saturating_sub(262),
        window.saturating_sub(261),
        window - 256,
        window - 3,
        window - 1,
        window,
        window + 1,
        window + 6,
        2 * window,
    ];
    let mut messages: Vec<Vec<u8>> = periods
        .iter()
        .map(|&period| {
            let block: Vec<u8> = noise(period as u32).take(period).collect();
            block.iter().copied().cycle().take(period * 4).collect()
        })
        .collect();
    // Every distance in one message: a marker that comes back after a growing gap of noise.
    let mut gaps = Vec::new();
    for gap in (window.saturating_sub(600)..window + 20).step_by(5) {
        gaps.extend_from_slice(b"<the marker that comes back>");
        gaps.extend(noise(gap as u32).take(gap.saturating_sub(28)));
    }
    messages.push(gaps);
    messages
}

/// The greatest distance that any level and memory level uses for a window, over one long stream each.
fn reach(window_bits: u8, levels: &[u8], mem_levels: &[u8]) -> u16 {
    let parameters = Parameters {
        server_max_window_bits: bits(window_bits),
        ..TAKEOVER
    };
    let messages = temptations(1 << window_bits.max(9));
    let mut greatest = 0;
    for &level in levels {
        for &mem_level in mem_levels {
            let options = Deflate {
                level: Level::new(level).unwrap(),
                mem_level: MemLevel::new(mem_level).unwrap(),
                ..Deflate::default()
            };
            let pool = Arc::new(Pool::default());
            let mut compressor = Compressor::new(Role::Server, parameters, &options, pool);
            let mut decompressor = decompressor(parameters);
            for message in &messages {
                let mut payload = compress(&mut compressor, message);
                assert_eq!(
                    inflate_whole(&mut decompressor, &payload).as_deref(),
                    Ok(&message[..])
                );
                payload.extend([0x00, 0x00, 0xff, 0xff]);
                greatest = greatest.max(greatest_distance(&payload));
            }
        }
    }
    greatest
}

/// RFC 7692 §7.1.2 lets a window be 256 bytes, which zlib cannot be asked for. Its 512-byte one does not
/// use the part that would be too much.
#[test]
fn an_eight_bit_window_is_kept_by_the_library_s_nine_bit_compressor() {
    assert_eq!(reach(8, &[0, 1, 6, 7, 8, 9], &[1, 8, 9]), 250);
}

#[test]
fn no_reference_of_the_library_leaves_the_window() {
    for window_bits in 9..=11 {
        let window = 1 << window_bits;
        let reach = reach(window_bits, &[1, 6, 9], &[1, 8]);
        assert_eq!(reach, window - 262, "{window_bits} bits");
    }
}

#[test]
fn references_of_our_own_reach_as_far_as_the_window_and_no_further() {
    for window_bits in 8..=14 {
        let reach = reach(window_bits, &[2], &[1, 9]);
        assert_eq!(reach, 1 << window_bits, "{window_bits} bits");
    }
}
