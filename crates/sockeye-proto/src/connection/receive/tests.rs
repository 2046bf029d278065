use std::sync::Arc;

use super::*;
use crate::Role;
use crate::deflate::{Compressor, Deflate, Parameters, Pool, WindowBits};
use crate::work;

const PARAMETERS: Parameters = Parameters {
    server_no_context_takeover: false,
    client_no_context_takeover: false,
    server_max_window_bits: WindowBits::MAX,
    client_max_window_bits: WindowBits::MAX,
};

/// The receiving half of a server.
struct Reader {
    receiver: Receiver,
    decompressor: Decompressor,
    workspace: Workspace,
    config: Config,
    now: Instant,
}

impl Reader {
    fn new(config: Config) -> Self {
        let now = Instant::now();
        let decompressor = Decompressor::new(Role::Server, PARAMETERS, Arc::new(Pool::default()));
        Self {
            receiver: Receiver::new(),
            decompressor,
            workspace: Workspace::new(),
            config,
            now,
        }
    }

    /// Reads everything; gives what was inflated, and whether the latest chunk ended its frame and its message.
    fn read_inflated(&mut self, input: &mut [u8]) -> (Vec<u8>, Option<(bool, bool)>) {
        let (mut inflated, mut ends, mut at) = (Vec::new(), None, 0);
        while at < input.len() {
            let rules = Rules {
                config: &self.config,
                expects_mask: true,
                opened: self.now,
                now: self.now,
            };
            let decompressor = Some(&mut self.decompressor);
            let (used, lent) = self
                .receiver
                .advance(&mut input[at..], &mut self.workspace, decompressor, rules)
                .unwrap();
            at += used;
            if let Some(Lent::Chunk {
                place,
                ends_frame,
                ends_message,
                ..
            }) = lent
            {
                let ChunkPlace::Inflated(produced) = place else {
                    panic!("not inflated: {place:?}");
                };
                inflated.extend_from_slice(&self.workspace.inflated[..produced]);
                ends = Some((ends_frame, ends_message));
            }
        }
        (inflated, ends)
    }
}

fn streaming() -> Config {
    Config {
        max_message_size: u64::MAX,
        delivery: Delivery::Chunks,
        ..Config::server()
    }
}

fn frame(opcode: Opcode, fin: bool, rsv1: bool, payload: &[u8]) -> Vec<u8> {
    let key = [0xA1, 0x5E, 0x00, 0x7F];
    let header = FrameHeader {
        fin,
        rsv1,
        opcode,
        mask: Some(key),
        payload_len: payload.len() as u64,
    };
    let (bytes, len) = header.encode();
    let mut frame = bytes[..len].to_vec();
    Mask::new(key).apply_copy(payload, &mut frame);
    frame
}

fn compressor() -> Compressor {
    Compressor::new(
        Role::Client,
        PARAMETERS,
        &Deflate::default(),
        Arc::new(Pool::default()),
    )
}

fn compress(compressor: &mut Compressor, text: &[u8], fin: bool) -> Vec<u8> {
    let mut payload = Vec::new();
    compressor.compress(text, fin, &mut payload).unwrap();
    payload
}

#[test]
fn a_step_of_any_size_hands_out_every_frame_to_its_end() {
    let fragments: [&[u8]; 5] = [&[b'a'; 700], b"", b"b", &[b'c'; 300], b""];
    for step in [1, 2, 3, 5, 64, 100, 299, 300, 301, 1000] {
        for piece in [1, 4, usize::MAX] {
            let mut compressor = compressor();
            let mut reader = Reader::new(streaming());
            reader.workspace.inflated = vec![0; step];
            for round in 0..2 {
                for (index, fragment) in fragments.iter().enumerate() {
                    let (first, last) = (index == 0, index == fragments.len() - 1);
                    let opcode = if first { Opcode::Text } else { Opcode::Continuation };
                    let payload = compress(&mut compressor, fragment, last);
                    let mut input = frame(opcode, last, first, &payload);
                    let (mut inflated, mut ends) = (Vec::new(), None);
                    for piece in input.chunks_mut(piece) {
                        let (more, end) = reader.read_inflated(piece);
                        inflated.extend(more);
                        ends = end.or(ends);
                    }
                    let place = format!("step {step}, piece {piece}, round {round}, fragment {index}");
                    assert_eq!(inflated, *fragment, "{place}");
                    assert_eq!(ends, Some((true, last)), "{place}");
                }
                assert_eq!(reader.receiver.incomplete_since(), None);
            }
        }
    }
}

#[test]
fn once_the_input_is_used_up_nothing_is_left_to_hand_out() {
    let message = [&[b'a'; 900][..], b"some text", &[b'b'; 500]].concat();
    let payload = compress(&mut compressor(), &message, true);
    let frame = frame(Opcode::Text, true, true, &payload);
    let header = frame.len() - payload.len();
    for step in [1, 2, 7, 100, 258, 900, 1000, 5000] {
        let mut reader = Reader::new(streaming());
        reader.workspace.inflated = vec![0; step];
        let mut reference = Decompressor::new(Role::Server, PARAMETERS, Arc::new(Pool::default()));
        let mut output = vec![0; 5000];
        for (at, byte) in frame.iter().enumerate() {
            let (inflated, _) = reader.read_inflated(&mut [*byte]);
            let expected = if at < header {
                0
            } else {
                let byte = &payload[at - header..=at - header];
                let mut produced = reference.inflate(byte, &mut output).unwrap().produced;
                if at + 1 == frame.len() {
                    produced += reference.finish(&mut output).unwrap().produced;
                }
                produced
            };
            assert_eq!(inflated.len(), expected, "step {step}, byte {at}");
        }
    }
}

#[test]
fn streaming_a_large_read_masks_each_byte_a_bounded_number_of_times() {
    // First a few bytes that take 512 steps to inflate, with a megabyte behind them in the same read.
    let noise = (0..1_u32 << 20).map(|i| (i.wrapping_mul(0x9E37_79B9) >> 24) as u8);
    let message: Vec<u8> = std::iter::repeat_n(0, 8 << 20).chain(noise).collect();
    let payload = compress(&mut compressor(), &message, true);
    let mut input = frame(Opcode::Binary, true, true, &payload);
    let mut reader = Reader::new(streaming());
    let mut inflated = 0;
    let looked_at = work::measure(|| inflated = reader.read_inflated(&mut input).0.len());
    assert_eq!(inflated, message.len());
    assert!(looked_at <= 3 * (inflated + input.len()) as u64, "{looked_at}");
}

#[test]
fn reading_byte_by_byte_looks_at_each_byte_a_bounded_number_of_times() {
    let config = Config {
        max_message_size: u64::MAX,
        max_fragments: u32::MAX,
        ..Config::server()
    };
    let mut input = frame(Opcode::Text, false, false, &[b'x'; 70_000]);
    for _ in 0..1000 {
        input.extend(frame(Opcode::Continuation, false, false, "é".as_bytes()));
    }
    let mut reader = Reader::new(config);
    let looked_at = work::measure(|| {
        for byte in input.chunks_mut(1) {
            reader.read_inflated(byte);
        }
    });
    // A header of 14 bytes is parsed anew with each of them, on average seven: the worst that can be.
    assert!(looked_at <= 10 * input.len() as u64, "{looked_at}");
}
