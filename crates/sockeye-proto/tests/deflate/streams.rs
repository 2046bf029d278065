//! Streams made by hand: the examples of RFC 7692, what compressors seldom send, and what nobody should.

use proptest::prelude::*;
use sockeye_proto::deflate::{Deflate, DeflateError, Finished, Inflated, Level, Parameters};

use crate::bits::Writer;
use crate::{NO_TAKEOVER, TAKEOVER, bits, compress, compressor, decompressor, inflate, inflate_whole};

/// The compressed forms of "Hello" in RFC 7692 §7.2.3.
const HELLO: &[(&str, &[u8])] = &[
    ("§7.2.3.1, one block", &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]),
    (
        "§7.2.3.3, a stored block",
        &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
    ),
    (
        "§7.2.3.4, a final block",
        &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
    ),
    (
        "§7.2.3.5, two blocks",
        &[
            0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
        ],
    ),
    (
        "a final block without the empty one after it",
        &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
    ),
];

#[test]
fn examples_of_the_rfc_are_inflated_however_they_are_split() {
    for parameters in [TAKEOVER, NO_TAKEOVER] {
        for (name, payload) in HELLO {
            for chunk in 1..=payload.len() {
                for room in 1..=6 {
                    let mut decompressor = decompressor(parameters);
                    for _ in 0..3 {
                        let message = inflate(&mut decompressor, payload, chunk, room);
                        assert_eq!(message.as_deref(), Ok(&b"Hello"[..]), "{name}, {chunk}, {room}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_second_message_refers_to_the_first_as_in_the_rfc() {
    // §7.2.3.2
    let (first, second) = (HELLO[0].1, &[0xf2, 0x00, 0x11, 0x00, 0x00][..]);
    for (level, expected) in [
        (6, second),
        // A reference to all of the first one, rather than to what follows its first letter: a byte less.
        (2, &[0x02, 0x13, 0x00, 0x00]),
    ] {
        let options = Deflate {
            level: Level::new(level).unwrap(),
            ..Deflate::default()
        };
        let mut compressor = compressor(TAKEOVER, &options);
        assert_eq!(compress(&mut compressor, b"Hello"), first);
        assert_eq!(compress(&mut compressor, b"Hello"), expected, "level {level}");
    }

    let mut with = decompressor(TAKEOVER);
    assert_eq!(inflate_whole(&mut with, first).as_deref(), Ok(&b"Hello"[..]));
    assert_eq!(inflate_whole(&mut with, second).as_deref(), Ok(&b"Hello"[..]));

    let mut without = decompressor(NO_TAKEOVER);
    assert_eq!(inflate_whole(&mut without, first).as_deref(), Ok(&b"Hello"[..]));
    assert_eq!(
        inflate_whole(&mut without, second),
        Err(DeflateError::InvalidData)
    );
}

#[test]
fn an_empty_message_is_one_zero_byte() {
    // §7.2.3.6
    for parameters in [TAKEOVER, NO_TAKEOVER] {
        let mut compressor = compressor(parameters, &Deflate::default());
        let mut decompressor = decompressor(parameters);
        for message in [&b""[..], b"Hello", b"", b"Hello", b""] {
            let payload = compress(&mut compressor, message);
            assert_eq!(payload == [0x00], message.is_empty());
            assert_eq!(inflate_whole(&mut decompressor, &payload).as_deref(), Ok(message));
        }
    }
}

#[test]
fn a_message_without_payload_is_taken_for_an_empty_one() {
    let mut decompressor = decompressor(TAKEOVER);
    assert_eq!(decompressor.inflate(b"", &mut [0; 8]), Ok(Inflated::default()));
    assert_eq!(
        decompressor.finish(&mut [0; 8]),
        Ok(Finished {
            produced: 0,
            done: true
        })
    );
    assert_eq!(
        inflate_whole(&mut decompressor, HELLO[0].1).as_deref(),
        Ok(&b"Hello"[..])
    );
}

#[test]
fn blocks_after_a_final_block_in_a_message_refer_back_across_it() {
    let payload = Writer::default()
        .fixed(true, b"abcdefgh", &[])
        .align()
        .fixed(true, b"-", &[(8, 9), (3, 1)])
        .align()
        .stored(true, b"stored")
        .fixed(false, b"", &[(20, 26)])
        .flush();
    let expected = b"abcdefgh-abcdefghhhhstoredabcdefgh-abcdefghhhh";
    for parameters in [TAKEOVER, NO_TAKEOVER] {
        for chunk in [1, 2, 3, 100] {
            for room in [1, 5, 100] {
                let message = inflate(&mut decompressor(parameters), payload.bytes(), chunk, room);
                assert_eq!(
                    message.as_deref(),
                    Ok(&expected[..expected.len()]),
                    "{chunk}, {room}"
                );
            }
        }
    }
}

#[test]
fn the_next_message_refers_back_across_a_final_block() {
    let sent: Vec<u8> = (0..32 * 1024_u32).map(|i| ((i * i) >> 7) as u8).collect();
    for bits_agreed in [8, 9, 12, 15] {
        let parameters = Parameters {
            server_max_window_bits: bits(bits_agreed),
            ..TAKEOVER
        };
        let window = parameters.server_max_window_bits.window_size();
        let mut decompressor = decompressor(parameters);

        let mut first = Writer::default();
        for piece in sent.chunks(1000) {
            first = first.stored(true, piece);
        }
        assert_eq!(
            inflate(&mut decompressor, first.bytes(), 777, 555).as_deref(),
            Ok(&sent[..])
        );

        let distance = u16::try_from(window).unwrap();
        let second = Writer::default()
            .fixed(true, b"", &[(258, distance)])
            .align()
            .flush();
        let expected: Vec<u8> = sent[sent.len() - window..]
            .iter()
            .copied()
            .cycle()
            .take(258)
            .collect();
        let message = inflate_whole(&mut decompressor, second.bytes());
        assert_eq!(message.as_deref(), Ok(&expected[..]), "{bits_agreed} bits");
    }
}

#[test]
fn references_beyond_what_was_sent_are_invalid() {
    let too_far = Writer::default().fixed(false, b"abc", &[(3, 4)]).flush();
    for parameters in [TAKEOVER, NO_TAKEOVER] {
        let mut decompressor = decompressor(parameters);
        assert_eq!(
            inflate_whole(&mut decompressor, too_far.bytes()),
            Err(DeflateError::InvalidData)
        );
    }
    // In the message before there is enough to refer to, but not within the window agreed on.
    let mut decompressor = decompressor(Parameters {
        server_max_window_bits: bits(8),
        ..TAKEOVER
    });
    inflate_whole(
        &mut decompressor,
        Writer::default().stored(false, &[7; 300]).flush().bytes(),
    )
    .unwrap();
    let too_far = Writer::default().fixed(false, b"", &[(3, 257)]).flush();
    assert_eq!(
        inflate_whole(&mut decompressor, too_far.bytes()),
        Err(DeflateError::InvalidData)
    );
}

#[test]
fn invalid_blocks_are_refused_and_so_is_all_that_follows() {
    for (name, payload) in [
        ("reserved block type", &[0x06, 0x00][..]),
        (
            "stored length and its complement differ",
            &[0x00, 0x05, 0x00, 0xfa, 0xfe, 0x00],
        ),
        ("too many length codes", &[0xfc, 0x00, 0x00]),
        (
            "reserved distance code",
            &Writer::default()
                .fixed(false, b"abc", &[])
                .bytes()
                .iter()
                .copied()
                .take(4)
                .chain([0xff; 8])
                .collect::<Vec<_>>(),
        ),
    ] {
        let mut decompressor = decompressor(TAKEOVER);
        assert_eq!(
            inflate_whole(&mut decompressor, payload),
            Err(DeflateError::InvalidData),
            "{name}"
        );
        assert_eq!(
            inflate_whole(&mut decompressor, HELLO[0].1),
            Err(DeflateError::InvalidData),
            "{name}"
        );
        assert_eq!(
            decompressor.finish(&mut [0; 8]),
            Err(DeflateError::InvalidData),
            "{name}"
        );
    }
}

#[test]
fn a_message_that_ends_within_a_block_is_refused() {
    let message = b"A sockeye swims both ways, and both ways it swims.";
    let payload = compress(&mut compressor(NO_TAKEOVER, &Deflate::default()), message);
    assert_eq!(
        inflate_whole(&mut decompressor(NO_TAKEOVER), &payload).as_deref(),
        Ok(&message[..])
    );
    for length in 1..payload.len() {
        let cut = inflate_whole(&mut decompressor(NO_TAKEOVER), &payload[..length]);
        assert!(cut.is_err(), "{length} of {} bytes gave {cut:?}", payload.len());
    }
    let stored = Writer::default().stored(false, b"Hello");
    let cut = inflate_whole(&mut decompressor(NO_TAKEOVER), &stored.bytes()[..3]);
    assert_eq!(cut, Err(DeflateError::InvalidData));
    let short_of_ten = Writer::default().stored(false, b"Hello, sockeye!");
    let cut = inflate_whole(&mut decompressor(NO_TAKEOVER), &short_of_ten.bytes()[..10]);
    assert_eq!(cut, Err(DeflateError::Truncated));
}

#[test]
fn a_bomb_comes_in_steps_that_the_caller_can_stop() {
    let zeros = vec![0; 16 << 20];
    let payload = compress(&mut compressor(NO_TAKEOVER, &Deflate::default()), &zeros);
    assert!(
        payload.len() < zeros.len() / 900,
        "{} bytes are no bomb",
        payload.len()
    );

    let mut decompressor = decompressor(NO_TAKEOVER);
    let mut output = [0xff; 4096];
    let (mut consumed, mut produced) = (0, 0);
    while produced < 64 * 1024 {
        let step = decompressor.inflate(&payload[consumed..], &mut output).unwrap();
        assert_eq!(step.produced, output.len());
        consumed += step.consumed;
        produced += step.produced;
    }
    assert_eq!(produced, 64 * 1024);
    assert!(
        consumed < 1024,
        "{consumed} bytes were consumed ahead of the output"
    );
}

#[test]
fn all_of_a_run_that_a_few_bits_stand_for_is_drained_by_finish() {
    let run = vec![b'a'; 1 + 40 * 258];
    let payload = Writer::default().fixed(false, b"a", &[(258, 1); 40]).flush();
    for room in [1, 257, 258, 259, 20_000] {
        let mut decompressor = decompressor(TAKEOVER);
        let message = inflate(&mut decompressor, payload.bytes(), payload.bytes().len(), room);
        assert_eq!(message.as_deref(), Ok(&run[..]), "{room}");
    }
}

#[test]
fn an_empty_output_makes_no_progress_and_does_no_harm() {
    let mut decompressor = decompressor(NO_TAKEOVER);
    for _ in 0..3 {
        assert_eq!(
            decompressor
                .inflate(&HELLO[0].1[..1], &mut [])
                .map(|step| step.produced),
            Ok(0)
        );
    }
    let mut decompressor = self::decompressor(NO_TAKEOVER);
    let mut output = [0; 5];
    let step = decompressor.inflate(HELLO[0].1, &mut output).unwrap();
    assert_eq!(
        step,
        Inflated {
            consumed: HELLO[0].1.len(),
            produced: 5
        }
    );
    for _ in 0..3 {
        assert_eq!(
            decompressor.finish(&mut []),
            Ok(Finished {
                produced: 0,
                done: false
            })
        );
    }
    assert_eq!(
        decompressor.finish(&mut output),
        Ok(Finished {
            produced: 0,
            done: true
        })
    );
    assert_eq!(&output, b"Hello");
}

#[test]
fn a_thousand_final_blocks_are_followed() {
    let mut payload = Writer::default();
    for _ in 0..1000 {
        payload = payload
            .fixed(true, b"each block of this message is a final one", &[])
            .align();
    }
    let message = inflate_whole(&mut decompressor(TAKEOVER), payload.flush().bytes()).unwrap();
    assert_eq!(message.len(), 41_000);
}

proptest! {
    #[test]
    fn any_payload_ends_in_a_message_or_an_error(
        payload in prop::collection::vec(any::<u8>(), 1..300),
        takeover in any::<bool>(),
        chunk in 1..50_usize,
        room in 1..300_usize,
    ) {
        let mut decompressor = decompressor(if takeover { TAKEOVER } else { NO_TAKEOVER });
        if let Ok(message) = inflate(&mut decompressor, &payload, chunk, room) {
            // No code stands for more than 258 bytes in less than two bits.
            prop_assert!(message.len() <= (payload.len() + 4) * 4 * 258);
        }
    }

    #[test]
    fn a_damaged_payload_ends_in_a_message_or_an_error(
        damages in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        chunk in 1..50_usize,
        room in 1..300_usize,
    ) {
        let text = b"A sockeye is a salmon; its name has a sock in it, and it swims both ways. ".repeat(8);
        let mut payload = compress(&mut compressor(NO_TAKEOVER, &Deflate::default()), &text);
        for (index, byte) in damages {
            let index = index.index(payload.len());
            payload[index] = byte;
        }
        let mut decompressor = decompressor(TAKEOVER);
        let first = inflate(&mut decompressor, &payload, chunk, room);
        let second = inflate(&mut decompressor, &payload, chunk, room);
        if first.is_err() {
            prop_assert_eq!(first, second);
        }
    }

    /// How the input is cut and how much room there is must not matter, for good streams and bad ones.
    #[test]
    fn splits_do_not_change_the_outcome(
        blocks in prop::collection::vec(
            (any::<bool>(), any::<bool>(), prop::collection::vec(any::<u8>(), 0..20), 3..=258_u16, 1..60_u16),
            0..8,
        ),
        flush in any::<bool>(),
        chunk in 1..40_usize,
        room in 1..100_usize,
    ) {
        let mut payload = Writer::default();
        for (last, stored, data, length, distance) in blocks {
            payload = if stored {
                payload.stored(last, &data)
            } else {
                payload.fixed(last, &data, &[(length, distance)])
            };
            if last {
                payload = payload.align();
            }
        }
        if flush {
            payload = payload.flush();
        }
        let whole = inflate_whole(&mut decompressor(NO_TAKEOVER), payload.bytes());
        let split = inflate(&mut decompressor(NO_TAKEOVER), payload.bytes(), chunk, room);
        prop_assert_eq!(whole, split);
    }
}
