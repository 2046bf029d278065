//! What holds for every input.

use std::num::NonZeroUsize;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use sockeye_proto::deflate::{Deflate, Level, MemLevel, Parameters, WindowBits};
use sockeye_proto::{
    CloseCode, CloseFrame, Compress, Config, Delivery, Frame as Lent, Message, Opcode, Prepared, Role, State,
};

use crate::support::end::Heard;
use crate::support::frame::Frame;
use crate::support::outcome::{Outcome, join_messages};
use crate::support::pair::Pair;
use crate::support::peer::Peer;
use crate::support::{NO_TAKEOVER, TAKEOVER, deflate};

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Server), Just(Role::Client)]
}

fn delivery() -> impl Strategy<Value = Delivery> {
    prop_oneof![
        Just(Delivery::Messages),
        Just(Delivery::Chunks),
        Just(Delivery::Frames)
    ]
}

/// Limits that short streams can reach.
fn config() -> impl Strategy<Value = Config> {
    let message_size = prop_oneof![3 => Just(65536_u64), 1 => 0..200_u64, 1 => 15_000..20_000_u64];
    let frame_size = prop_oneof![3 => Just(u64::MAX), 1 => 0..200_u64];
    (message_size, frame_size, 1..20_u32, 1..20_u32, delivery()).prop_map(
        |(max_message_size, max_frame_size, max_fragments, max_control_rate, delivery)| Config {
            max_message_size,
            max_frame_size,
            max_fragments,
            max_control_rate,
            delivery,
            ..Config::server()
        },
    )
}

/// Payloads of all sorts: text, cut code points, bytes, long runs.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "[a-zé鮭🐟]{0,40}".prop_map(String::into_bytes),
        2 => vec(any::<u8>(), 0..140),
        1 => ("[é鮭🐟]{1,6}", any::<Index>()).prop_map(|(text, cut)| {
            let mut bytes = text.into_bytes();
            bytes.truncate(cut.index(bytes.len()));
            bytes
        }),
        1 => (any::<u8>(), 0..70_000_usize).prop_map(|(byte, length)| vec![byte; length]),
    ]
}

/// A frame: more often than not one that may follow the one before.
fn frame() -> impl Strategy<Value = Frame> {
    let opcode =
        prop_oneof![3 => Just(0), 4 => Just(1), 2 => Just(2), 1 => Just(9), 1 => Just(10), 1 => 0..16_u8];
    let rsv = prop_oneof![12 => Just(0), 6 => Just(0x40_u8), 1 => (0..8_u8).prop_map(|bits| bits << 4)];
    let code = prop_oneof![Just(1000_u16), 990..1020_u16, any::<u16>()];
    (
        opcode,
        proptest::bool::weighted(0.6),
        rsv,
        payload(),
        code,
        any::<bool>(),
    )
        .prop_map(|(opcode, fin, rsv, mut payload, code, compress)| {
            let control = opcode >= 8;
            if opcode == 8 && !payload.is_empty() {
                payload.splice(0..0, code.to_be_bytes());
            }
            if control {
                payload.truncate(126);
            } else if rsv == 0x40 && compress {
                let mut compressed = Vec::new();
                let (mut compressor, _) = deflate(Role::Client, NO_TAKEOVER);
                compressor.compress(&payload, fin, &mut compressed).unwrap();
                payload = compressed;
            }
            Frame {
                fin: fin || control,
                rsv: if control { 0 } else { rsv },
                opcode,
                payload,
            }
        })
}

/// A byte stream, as a function of the masking key that its reader wants: valid, almost valid, or anything.
#[derive(Clone, Debug)]
struct Stream {
    frames: Vec<Frame>,
    flips: Vec<(Index, u8)>,
    tail: Vec<u8>,
}

impl Stream {
    fn encode(&self, key: Option<[u8; 4]>) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.frames.iter().flat_map(|frame| frame.encode(key)).collect();
        for (place, flip) in &self.flips {
            if !bytes.is_empty() {
                let place = place.index(bytes.len());
                bytes[place] ^= flip;
            }
        }
        bytes.extend_from_slice(&self.tail);
        bytes
    }
}

fn stream() -> impl Strategy<Value = Stream> {
    let frames = vec(frame(), 0..12);
    let flips = prop_oneof![2 => Just(Vec::new()), 1 => vec((any::<Index>(), any::<u8>()), 0..4)];
    let tail = prop_oneof![2 => Just(Vec::new()), 1 => vec(any::<u8>(), 0..60)];
    (frames, flips, tail).prop_map(|(frames, flips, tail)| Stream { frames, flips, tail })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn any_chunking_of_any_bytes_gives_the_same_events_and_the_same_error(
        role in role(),
        config in config(),
        parameters in prop_oneof![Just(None), Just(Some(NO_TAKEOVER)), Just(Some(TAKEOVER))],
        stream in stream(),
        cuts in vec(any::<Index>(), 0..6),
    ) {
        let key = (role == Role::Server).then_some([0x11, 0x80, 0xC3, 0xFF]);
        let bytes = stream.encode(key);
        let whole = Outcome::of(role, &config, parameters, [&bytes[..]]);

        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        ends.push(bytes.len());
        ends.sort_unstable();
        let mut start = 0;
        let pieces = ends.into_iter().map(|end| &bytes[std::mem::replace(&mut start, end)..end]);
        whole.assert_same(&Outcome::of(role, &config, parameters, pieces));
        if bytes.len() < 4000 {
            whole.assert_same(&Outcome::of(role, &config, parameters, bytes.chunks(1)));
        }
    }

    #[test]
    fn all_deliveries_hand_out_the_same_messages(
        role in role(),
        config in config(),
        parameters in prop_oneof![Just(None), Just(Some(TAKEOVER))],
        stream in stream(),
    ) {
        let key = (role == Role::Server).then_some([0x11, 0x80, 0xC3, 0xFF]);
        let bytes = stream.encode(key);
        let deliveries = [Delivery::Messages, Delivery::Chunks, Delivery::Frames];
        let [messages, chunks, frames] = deliveries.map(|delivery| {
            let config = Config { delivery, ..config.clone() };
            Outcome::of(role, &config, parameters, [&bytes[..]])
        });
        messages.assert_same_error(&chunks);
        messages.assert_same_error(&frames);
        prop_assert_eq!(&messages.heard, &join_messages(chunks.heard));
        prop_assert_eq!(messages.heard, join_messages(frames.heard));
    }

    #[test]
    fn random_bytes_do_no_harm(
        role in role(),
        config in config(),
        bytes in vec(any::<u8>(), 0..300),
        wait in 0..100_u64,
    ) {
        let mut peer = Peer::of(role, config, Some(TAKEOVER));
        peer.send_bytes(&bytes);
        peer.wait(Duration::from_secs(wait));
        peer.send_bytes(&bytes);
        while peer.next_frame().is_some() {}
        let _ = peer.connection.handle_eof();
        prop_assert_eq!(peer.connection.state(), State::Closed);
    }
}

/// What an application does at one end.
#[derive(Clone, Debug)]
enum Command {
    Send(Payload, Compress),
    /// A message that was framed ahead.
    Prepared(Payload, Compress),
    /// A message whose payload is written behind its header by the application, if it can be.
    Header(Payload, Compress),
    Fragments(Vec<Payload>, Compress),
    /// A message in frames that are cut anywhere.
    Frames(Payload, Vec<Index>, Compress),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Deliver(usize),
}

#[derive(Clone, Debug)]
enum Payload {
    Text(String),
    Binary(Vec<u8>),
}

impl Payload {
    fn as_message(&self) -> Message<'_> {
        match self {
            Self::Text(text) => Message::Text(text),
            Self::Binary(bytes) => Message::Binary(bytes),
        }
    }

    fn heard(&self) -> Heard {
        match self {
            Self::Text(text) => Heard::Text(text.clone()),
            Self::Binary(bytes) => Heard::Binary(bytes.clone()),
        }
    }
}

fn message() -> impl Strategy<Value = Payload> {
    prop_oneof![
        "[a-zé鮭🐟]{0,300}".prop_map(Payload::Text),
        vec(any::<u8>(), 0..300).prop_map(Payload::Binary),
        (any::<u8>(), 0..70_000_usize).prop_map(|(byte, length)| Payload::Binary(vec![byte; length])),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    let compress = || {
        prop_oneof![
            Just(Compress::Auto),
            Just(Compress::Always),
            Just(Compress::Never)
        ]
    };
    let texts = vec("[a-zé鮭🐟]{0,40}".prop_map(Payload::Text), 1..5);
    let binaries = vec(vec(any::<u8>(), 0..200).prop_map(Payload::Binary), 1..5);
    prop_oneof![
        4 => (message(), compress()).prop_map(|(message, compress)| Command::Send(message, compress)),
        3 => (message(), compress()).prop_map(|(message, compress)| Command::Prepared(message, compress)),
        1 => (message(), compress()).prop_map(|(message, compress)| Command::Header(message, compress)),
        2 => (prop_oneof![texts, binaries], compress())
            .prop_map(|(fragments, compress)| Command::Fragments(fragments, compress)),
        2 => (message(), vec(any::<Index>(), 0..4), compress())
            .prop_map(|(message, cuts, compress)| Command::Frames(message, cuts, compress)),
        1 => vec(any::<u8>(), 0..=125).prop_map(Command::Ping),
        1 => vec(any::<u8>(), 0..=125).prop_map(Command::Pong),
        2 => prop_oneof![1..20_usize, Just(usize::MAX)].prop_map(Command::Deliver),
    ]
}

fn parameters() -> impl Strategy<Value = Parameters> {
    (any::<bool>(), any::<bool>(), 8..=15_u8, 8..=15_u8).prop_map(
        |(server, client, server_bits, client_bits)| Parameters {
            server_no_context_takeover: server,
            client_no_context_takeover: client,
            server_max_window_bits: WindowBits::new(server_bits).unwrap(),
            client_max_window_bits: WindowBits::new(client_bits).unwrap(),
        },
    )
}

fn options() -> impl Strategy<Value = Deflate> {
    (0..=9_u8, 1..=9_u8, 0..200_usize).prop_map(|(level, mem_level, threshold)| Deflate {
        level: Level::new(level).unwrap(),
        mem_level: MemLevel::new(mem_level).unwrap(),
        threshold,
        ..Deflate::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn what_one_side_encodes_the_other_decodes(
        parameters in prop::option::weighted(0.8, parameters()),
        options in options(),
        commands in vec((role(), command()), 1..25),
        closer in role(),
        threshold in prop_oneof![Just(None), (1..500_usize).prop_map(NonZeroUsize::new)],
    ) {
        let config = Config {
            max_message_size: 1 << 20,
            max_fragments: u32::MAX,
            fragmentation_threshold: threshold,
            ..Config::server()
        };
        let mut pair = Pair::with_deflate(config.clone(), config, parameters, &options);
        // What the server and the client must hear.
        let (mut by_server, mut by_client) = (Vec::new(), Vec::new());
        for (role, command) in commands {
            let expected = if role == Role::Client { &mut by_server } else { &mut by_client };
            let now = pair.now;
            let (end, _) = pair.ends(role);
            let out = &mut end.out;
            match command {
                Command::Send(payload, compress) => {
                    end.connection.send_with(payload.as_message(), compress, out).unwrap();
                    expected.push(payload.heard());
                }
                Command::Prepared(payload, compress) => {
                    let prepared = Prepared::new(payload.as_message());
                    end.connection.send_prepared(&prepared, compress, out).unwrap();
                    expected.push(payload.heard());
                }
                Command::Header(payload, compress) => {
                    let message = payload.as_message();
                    let (kind, bytes) = (message.kind(), message.as_bytes());
                    match end.connection.send_header(kind, bytes.len(), compress).unwrap() {
                        Some(header) => {
                            out.extend_from_slice(&header);
                            out.extend_from_slice(bytes);
                        }
                        None => end.connection.send_with(message, compress, out).unwrap(),
                    }
                    expected.push(payload.heard());
                }
                Command::Fragments(fragments, compress) => {
                    let (last, first) = fragments.split_last().unwrap();
                    let mut whole = Vec::new();
                    for fragment in first {
                        end.connection.send_fragment(fragment.as_message(), false, compress, out).unwrap();
                        end.connection.ping(b"between", out).unwrap();
                        expected.push(Heard::Ping(b"between".to_vec()));
                        whole.extend_from_slice(fragment.as_message().as_bytes());
                    }
                    end.connection.send_fragment(last.as_message(), true, compress, out).unwrap();
                    whole.extend_from_slice(last.as_message().as_bytes());
                    expected.push(match last {
                        Payload::Text(_) => Heard::Text(String::from_utf8(whole).unwrap()),
                        Payload::Binary(_) => Heard::Binary(whole),
                    });
                }
                Command::Frames(payload, cuts, compress) => {
                    let bytes = payload.as_message().as_bytes();
                    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
                    ends.push(bytes.len());
                    ends.sort_unstable();
                    let (mut start, last) = (0, ends.len() - 1);
                    for (i, at) in ends.into_iter().enumerate() {
                        let opcode = if i == 0 { payload.as_message().kind().opcode() } else { Opcode::Continuation };
                        let frame = Lent { opcode, fin: i == last, payload: &bytes[start..at] };
                        end.connection.send_frame(frame, compress, now, out).unwrap();
                        start = at;
                    }
                    expected.push(payload.heard());
                }
                Command::Ping(payload) => {
                    end.connection.ping(&payload, out).unwrap();
                    expected.push(Heard::Ping(payload));
                }
                Command::Pong(payload) => {
                    end.connection.pong(&payload, out).unwrap();
                    expected.push(Heard::Pong(payload));
                }
                Command::Deliver(piece) => {
                    pair.deliver(role, piece);
                }
            }
        }
        let now = pair.now;
        let (end, _) = pair.ends(closer);
        let frame = CloseFrame::new(CloseCode::NORMAL, "done").unwrap();
        end.connection.close(Some(frame), now, &mut end.out);
        pair.run();
        let close = Heard::Close(1000, "done".to_owned());
        by_server.push(close.clone());
        by_client.push(close);
        for (end, expected) in [(&mut pair.server, by_server), (&mut pair.client, by_client)] {
            prop_assert_eq!(end.error, None);
            prop_assert!(end.connection.is_close_complete());
            // Pongs that answer Pings come in between; those sent on purpose are told apart by their order alone.
            let heard = end.take_heard();
            let mut heard = heard.iter();
            for event in &expected {
                prop_assert!(heard.any(|other| other == event), "{:?} is missing or out of order", event);
            }
            prop_assert!(heard.next().is_none());
        }
    }
}
