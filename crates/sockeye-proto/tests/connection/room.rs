//! Large messages that are received where they stay.

use std::sync::Arc;
use std::time::Instant;

use allocation_counter::measure;
use sockeye_proto::{Config, Connection, Delivery, Error, Event, Limit, Workspace};

use crate::support::frame::{Frame, header};
use crate::support::peer::PEER_KEY;
use crate::support::{TAKEOVER, deflate};

/// A server that receives in rooms wherever it is offered one.
struct Receiver {
    connection: Connection,
    workspace: Workspace,
    now: Instant,
    messages: Vec<Vec<u8>>,
    /// How many bytes came to stay where they were received.
    in_room: usize,
}

impl Receiver {
    fn new(config: Config) -> Self {
        let now = Instant::now();
        Self {
            connection: Connection::server(Arc::new(config), None, now),
            workspace: Workspace::new(),
            now,
            messages: Vec::new(),
            in_room: 0,
        }
    }

    /// Receives what came, at most `piece` bytes at a time.
    fn receive(&mut self, mut bytes: &[u8], piece: usize) -> Result<(), Error> {
        let mut input = Vec::new();
        while !bytes.is_empty() {
            if let Some(room) = self.connection.room(&mut self.workspace) {
                assert!(!room.is_empty());
                let count = room.len().min(piece).min(bytes.len());
                room[..count].copy_from_slice(&bytes[..count]);
                bytes = &bytes[count..];
                self.in_room += count;
                let (workspace, now) = (&mut self.workspace, self.now);
                let received = self.connection.receive_in_room(count, workspace, now)?;
                assert_eq!(received.consumed, count);
                if let Some(Event::Message(message)) = received.event {
                    self.messages.push(message.as_bytes().to_vec());
                }
                continue;
            }
            let (now, later) = bytes.split_at(piece.min(bytes.len()));
            bytes = later;
            input.clear();
            input.extend_from_slice(now);
            let mut at = 0;
            while at < input.len() {
                let (workspace, now) = (&mut self.workspace, self.now);
                let received = self.connection.receive(&mut input[at..], workspace, now)?;
                at += received.consumed;
                if let Some(Event::Message(message)) = received.event {
                    self.messages.push(message.as_bytes().to_vec());
                }
            }
        }
        Ok(())
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at / 251 + at * 7) as u8).collect()
}

fn config() -> Config {
    Config {
        max_message_size: 8 << 20,
        max_frame_size: 8 << 20,
        ..Config::server()
    }
}

#[test]
fn messages_are_the_same_wherever_their_bytes_were_received() {
    let (large, small) = (pattern(1_000_003), pattern(1000));
    let frames = [
        Frame::binary(&small),
        Frame::binary(&large),
        Frame::binary(&small),
        Frame::binary(&large[..400_001]).more(),
        Frame::ping("in between"),
        Frame::continuation(&large[400_001..800_000]).more(),
        Frame::continuation(&large[800_000..]),
        Frame::binary(&small),
    ];
    let bytes: Vec<u8> = frames
        .iter()
        .flat_map(|frame| frame.encode(Some(PEER_KEY)))
        .collect();
    for piece in [999, 32_768, 65_483, 262_144, 524_288, usize::MAX] {
        let mut receiver = Receiver::new(config());
        // Twice, so that memory is used again.
        for _ in 0..2 {
            receiver.receive(&bytes, piece).unwrap();
            let expected = [&small, &large, &small, &large, &small];
            assert!(receiver.messages.iter().eq(expected), "{piece}");
            receiver.messages.clear();
        }
        assert!(piece > 300_000 || receiver.in_room > 2_000_000, "{piece}");
    }
}

#[test]
fn there_is_room_for_nothing_but_the_rest_of_a_large_plain_binary_frame() {
    let room_after = |receiver: &mut Receiver, bytes: &[u8]| {
        receiver.receive(bytes, usize::MAX).unwrap();
        receiver
            .connection
            .room(&mut receiver.workspace)
            .map(|room| room.len())
    };
    let begun = |frame: &Frame, came: usize| frame.encode(Some(PEER_KEY))[..14 + came].to_vec();
    let binary = Frame::binary(pattern(100_000));

    let mut receiver = Receiver::new(config());
    assert_eq!(room_after(&mut receiver, &begun(&binary, 60_000)), Some(40_000));
    let mut receiver = Receiver::new(config());
    // Nothing is in progress; too little came, or is to come, to be worth it.
    assert_eq!(room_after(&mut receiver, &binary.encode(Some(PEER_KEY))), None);
    assert_eq!(room_after(&mut receiver, &begun(&binary, 10)), None);
    let mut receiver = Receiver::new(config());
    assert_eq!(room_after(&mut receiver, &begun(&binary, 99_000)), None);
    // Text is checked as it is gathered.
    let text = Frame::text("x".repeat(100_000));
    let mut receiver = Receiver::new(config());
    assert_eq!(room_after(&mut receiver, &begun(&text, 60_000)), None);
    // Pieces and frames are handed out otherwise.
    for delivery in [Delivery::Chunks, Delivery::Frames] {
        let mut receiver = Receiver::new(Config { delivery, ..config() });
        assert_eq!(room_after(&mut receiver, &begun(&binary, 60_000)), None);
    }
    // What is compressed is gathered when it is inflated.
    let mut receiver = Receiver::new(config());
    let deflate = deflate(sockeye_proto::Role::Server, TAKEOVER);
    receiver.connection = Connection::server(Arc::new(config()), Some(deflate), receiver.now);
    // A stored block, of which a part came.
    let mut stored = vec![0x00, 0xFF, 0xFF, 0x00, 0x00];
    stored.extend(vec![7; 0xFFFF]);
    let compressed = Frame::binary(stored.repeat(2)).rsv1();
    assert_eq!(room_after(&mut receiver, &begun(&compressed, 60_000)), None);
    // A connection that has closed reads nothing.
    let mut receiver = Receiver::new(config());
    assert!(room_after(&mut receiver, &begun(&binary, 60_000)).is_some());
    receiver.connection.handle_eof().unwrap_err();
    assert!(receiver.connection.room(&mut receiver.workspace).is_none());
}

#[test]
fn room_follows_the_bytes_that_came_and_not_the_declared_length() {
    let mut receiver = Receiver::new(Config {
        max_message_size: 1 << 30,
        max_frame_size: 1 << 30,
        ..Config::server()
    });
    let mut start = header(&Frame::binary(""), 1 << 30, Some(PEER_KEY));
    start.resize(start.len() + 40_000, 7);
    receiver.receive(&start, usize::MAX).unwrap();
    let mut came = 40_000;
    for _ in 0..20 {
        let cost = measure(|| {
            let room = receiver.connection.room(&mut receiver.workspace).unwrap();
            assert!(room.len() <= came + 32_768, "{} after {came}", room.len());
        });
        assert!(cost.bytes_max <= 2 * came as u64, "{cost:?} after {came}");
        let some = [7; 10_000];
        receiver.receive(&some, usize::MAX).unwrap();
        came += some.len();
    }
    let cost = measure(|| drop(receiver));
    assert!(-cost.bytes_current <= 2 * came as i64 + 1000, "{cost:?}");
}

#[test]
fn large_messages_of_many_connections_are_received_without_allocation() {
    const CONNECTIONS: usize = 8;
    let message = pattern(1 << 20);
    let bytes = Frame::binary(&message).encode(Some(PEER_KEY));
    let mut first = Receiver::new(config());
    let mut others: Vec<_> = (1..CONNECTIONS)
        .map(|_| Connection::server(Arc::new(config()), None, first.now))
        .collect();
    let mut piece = Vec::with_capacity(bytes.len());
    let mut round = || {
        let mut whole = 0;
        // All are in the middle of a message at a time.
        for (from, to) in [(0, 262_144), (262_144, 600_000), (600_000, bytes.len())] {
            for connection in others.iter_mut().chain([&mut first.connection]) {
                let mut rest = &bytes[from..to];
                while !rest.is_empty() {
                    let (workspace, now) = (&mut first.workspace, first.now);
                    let (used, event) = match connection.room(workspace) {
                        Some(room) => {
                            let count = room.len().min(rest.len());
                            room[..count].copy_from_slice(&rest[..count]);
                            let received = connection.receive_in_room(count, workspace, now).unwrap();
                            (count, received.event)
                        }
                        None => {
                            piece.clear();
                            piece.extend_from_slice(rest);
                            let received = connection.receive(&mut piece, workspace, now).unwrap();
                            (received.consumed, received.event)
                        }
                    };
                    if let Some(Event::Message(received)) = event {
                        assert!(received.as_bytes() == message);
                        whole += 1;
                    }
                    rest = &rest[used..];
                }
            }
        }
        assert_eq!(whole, CONNECTIONS);
    };
    round();
    round();
    let cost = measure(round);
    // What is remembered of a message that has begun is one small allocation for each connection but one.
    assert!(cost.bytes_total <= 300 * CONNECTIONS as u64, "{cost:?}");
}

#[test]
fn memory_that_waits_for_large_messages_is_bounded() {
    let mut receiver = Receiver::new(config());
    let bytes = Frame::binary(pattern(3 << 20)).encode(Some(PEER_KEY));
    let (begun, rest) = bytes.split_at(2 << 20);
    let mut connections: Vec<_> = (0..12)
        .map(|_| Connection::server(Arc::new(config()), None, receiver.now))
        .collect();
    for part in [begun, rest] {
        for connection in &mut connections {
            std::mem::swap(connection, &mut receiver.connection);
            receiver.receive(part, 100_000).unwrap();
            std::mem::swap(connection, &mut receiver.connection);
        }
    }
    assert_eq!(receiver.messages.len(), 12);
    let Receiver { workspace, .. } = receiver;
    let cost = measure(|| drop(workspace));
    // And the last message, in memory of up to 4 MiB.
    assert!(-cost.bytes_current <= 21 << 20, "{cost:?}");
}

#[test]
fn a_limit_is_reached_behind_a_fragment_that_was_received_in_its_room() {
    let mut receiver = Receiver::new(Config {
        max_message_size: 500_000,
        ..config()
    });
    let first = Frame::binary(pattern(400_000)).more().encode(Some(PEER_KEY));
    receiver.receive(&first, 65_536).unwrap();
    assert!(receiver.in_room > 300_000);
    let second = Frame::continuation(pattern(100_001)).encode(Some(PEER_KEY));
    let error = receiver.receive(&second, 65_536).unwrap_err();
    assert_eq!(error, Limit::MessageSize(500_000).into());
    assert!(receiver.connection.room(&mut receiver.workspace).is_none());
    assert!(receiver.messages.is_empty());
}
