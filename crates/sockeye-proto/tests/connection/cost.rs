//! What receiving and sending costs, counted in allocations: time would measure the machine.

use std::sync::Arc;
use std::time::Instant;

use allocation_counter::{AllocationInfo, measure};
use sockeye_proto::deflate::{Parameters, WindowBits};
use sockeye_proto::{Compress, Config, Connection, Delivery, Event, Message, MessageKind, Role, Workspace};

use crate::support::frame::{Frame, header};
use crate::support::peer::{OWN_KEY, PEER_KEY};
use crate::support::{NO_TAKEOVER, TAKEOVER, deflate};

/// What a connection remembers of something that has begun and not ended, beside its payload: bytes in one allocation.
const PROGRESS: u64 = 256;

/// A connection and its buffers, without anything that allocates on its own.
struct Bench {
    connection: Connection,
    workspace: Workspace,
    out: Vec<u8>,
    now: Instant,
}

impl Bench {
    fn new(role: Role, config: Config, parameters: Option<Parameters>) -> Self {
        let now = Instant::now();
        let config = Arc::new(config);
        let deflate = parameters.map(|parameters| deflate(role, parameters));
        let connection = match role {
            Role::Server => Connection::server(config, deflate, now),
            Role::Client => Connection::client(config, Box::new(|| OWN_KEY), deflate, now),
        };
        Self {
            connection,
            workspace: Workspace::new(),
            out: Vec::new(),
            now,
        }
    }

    /// Receives `input` in pieces; gives how many bytes of messages came.
    fn receive(&mut self, input: &mut [u8], piece: usize) -> usize {
        let mut received = 0;
        for input in input.chunks_mut(piece) {
            let mut at = 0;
            while at < input.len() {
                let Ok(step) = self
                    .connection
                    .receive(&mut input[at..], &mut self.workspace, self.now)
                else {
                    break;
                };
                at += step.consumed;
                received += match step.event {
                    Some(Event::Message(message)) => message.as_bytes().len(),
                    Some(Event::Chunk(chunk)) => chunk.payload.len(),
                    Some(Event::Frame(frame)) => frame.payload.len(),
                    _ => 0,
                };
            }
        }
        received
    }
}

/// What `work` allocates once it has run a few times.
fn steady(mut work: impl FnMut()) -> AllocationInfo {
    for _ in 0..3 {
        work();
    }
    measure(work)
}

fn key(role: Role) -> Option<[u8; 4]> {
    (role == Role::Server).then_some(PEER_KEY)
}

#[test]
fn whole_frames_are_received_and_sent_without_allocation() {
    for role in [Role::Server, Role::Client] {
        for delivery in [Delivery::Messages, Delivery::Chunks, Delivery::Frames] {
            let config = Config {
                delivery,
                ..Config::server()
            };
            let mut bench = Bench::new(role, config, None);
            let message = "twenty bytes of text";
            let input: Vec<u8> = [Frame::text(message), Frame::binary([7; 1000])]
                .iter()
                .flat_map(|frame| frame.encode(key(role)))
                .collect::<Vec<_>>()
                .repeat(100);
            let mut buffer = input.clone();
            let cost = steady(|| {
                buffer.copy_from_slice(&input);
                assert_eq!(bench.receive(&mut buffer, usize::MAX), 100 * (20 + 1000));
                bench.out.clear();
                for _ in 0..100 {
                    bench
                        .connection
                        .send(Message::Text(message), &mut bench.out)
                        .unwrap();
                    bench
                        .connection
                        .send(Message::Binary(&[7; 1000]), &mut bench.out)
                        .unwrap();
                }
            });
            assert_eq!(cost.count_total, 0, "{role:?}, {delivery:?}");
        }
    }
}

#[test]
fn whole_frames_are_lent_from_the_input() {
    let mut bench = Bench::new(Role::Server, Config::server(), None);
    let mut input = Frame::binary([7; 100]).encode(Some(PEER_KEY));
    let range = input.as_ptr_range();
    let received = bench
        .connection
        .receive(&mut input, &mut bench.workspace, bench.now)
        .unwrap();
    let Some(Event::Message(Message::Binary(payload))) = received.event else {
        panic!("{received:?}");
    };
    assert!(range.contains(&payload.as_ptr()));
}

#[test]
fn messages_in_fragments_and_pieces_use_the_same_memory_again() {
    for role in [Role::Server, Role::Client] {
        let mut bench = Bench::new(role, Config::server(), None);
        let input: Vec<u8> = [
            Frame::text("x".repeat(500)).more(),
            Frame::continuation("y".repeat(500)),
            Frame::binary([7; 1000]),
        ]
        .iter()
        .flat_map(|frame| frame.encode(key(role)))
        .collect();
        let mut buffer = input.clone();
        let cost = steady(|| {
            for piece in [1, 10, 333] {
                buffer.copy_from_slice(&input);
                assert_eq!(bench.receive(&mut buffer, piece), 2000);
            }
        });
        assert_eq!(cost.count_total, 0, "{role:?}");
    }
}

#[test]
fn a_large_gathered_message_is_taken_without_a_copy() {
    let large = "x".repeat(200_000);
    for (frame, takeable) in [
        (Frame::text(&large), true),
        (Frame::binary(large.as_bytes()), true),
        (Frame::text("small"), false),
        (Frame::binary("small"), false),
    ] {
        let config = Config {
            max_message_size: 1 << 20,
            ..Config::server()
        };
        let mut bench = Bench::new(Role::Server, config, None);
        let mut input = frame.encode(Some(PEER_KEY));
        let end = input.len() - 1;
        let (first, last) = input.split_at_mut(end);
        assert_eq!(bench.receive(first, usize::MAX), 0);
        let received = bench
            .connection
            .receive(last, &mut bench.workspace, bench.now)
            .unwrap();
        assert_eq!(received.takeable, takeable);
        let Some(Event::Message(message)) = received.event else {
            panic!("{received:?}");
        };
        if takeable {
            let (kind, lent) = (message.kind(), message.as_bytes().as_ptr());
            let taken = match kind {
                MessageKind::Text => bench.workspace.take_text().into_bytes(),
                MessageKind::Binary => bench.workspace.take_binary(),
            };
            assert_eq!((taken.as_ptr(), taken.as_slice()), (lent, large.as_bytes()));
        }
    }
}

#[test]
fn a_frame_that_arrives_in_two_pieces_is_gathered_in_memory_of_its_size_and_taken() {
    let payload = vec![7; 65536];
    let whole = Frame::binary(&payload).encode(Some(PEER_KEY));
    // As reads of a socket cut it, and at its worst for memory that doubles.
    for first in [100, 20_000, 40_000, whole.len() - 1] {
        let mut bench = Bench::new(Role::Server, Config::server(), None);
        let mut input = whole.clone();
        let (first, last) = input.split_at_mut(first);
        let cost = measure(|| {
            assert_eq!(bench.receive(first, usize::MAX), 0);
            let received = bench
                .connection
                .receive(last, &mut bench.workspace, bench.now)
                .unwrap();
            assert!(received.takeable);
            assert_eq!(bench.workspace.take_binary(), payload);
        });
        assert!(cost.count_total <= 3, "{cost:?}");
        assert!(cost.bytes_max <= PROGRESS + 65536 + 40_000, "{cost:?}");
    }
}

#[test]
fn large_messages_are_gathered_in_the_memory_of_the_one_before() {
    let size = 1 << 20;
    let text = Frame::text("é".repeat(size / 2)).encode(Some(PEER_KEY));
    let binary = Frame::binary(vec![7; size]).encode(Some(PEER_KEY));
    let fragments = [
        Frame::binary(vec![7; size / 2]).more(),
        Frame::continuation(vec![7; size / 2]),
    ];
    let fragments: Vec<u8> = fragments
        .iter()
        .flat_map(|frame| frame.encode(Some(PEER_KEY)))
        .collect();
    for input in [text, binary, fragments] {
        let mut bench = Bench::new(Role::Server, Config::server(), None);
        let mut buffer = input.clone();
        let cost = steady(|| {
            buffer.copy_from_slice(&input);
            assert_eq!(bench.receive(&mut buffer, 16 * 1024), size);
        });
        // Until an eighth of it arrived, a message has memory of its own.
        assert!(cost.bytes_total <= size as u64 / 2, "{cost:?}");
        assert_eq!(cost.bytes_current, 0, "{cost:?}");
    }
}

#[test]
fn the_memory_of_a_large_message_is_not_for_who_sends_a_little() {
    let size = 1 << 20;
    let mut bench = Bench::new(Role::Server, Config::server(), None);
    let mut whole = Frame::binary(vec![7; size]).encode(Some(PEER_KEY));
    assert_eq!(bench.receive(&mut whole, 16 * 1024), size);
    // Another one begins, and does not end.
    let mut start = header(&Frame::binary(""), size as u64, Some(PEER_KEY));
    start.resize(start.len() + size / 8 - 1, 7);
    bench.receive(&mut start, 16 * 1024);
    // What it holds is its own, and the large memory is there for the next one.
    let Bench { connection, .. } =
        std::mem::replace(&mut bench, Bench::new(Role::Server, Config::server(), None));
    let cost = measure(|| drop(connection));
    let held = -cost.bytes_current;
    assert!(held <= size as i64 / 4 + 2 * PROGRESS as i64, "{cost:?}");
}

#[test]
fn compressed_messages_use_pooled_memory_again() {
    let small = Parameters {
        client_max_window_bits: WindowBits::new(10).unwrap(),
        ..TAKEOVER
    };
    for parameters in [TAKEOVER, small, NO_TAKEOVER] {
        let mut client = Bench::new(Role::Client, Config::client(), Some(parameters));
        let mut server = Bench::new(Role::Server, Config::server(), Some(parameters));
        let message = "many messages are like the others ".repeat(20);
        let mut exchange = || {
            for _ in 0..10 {
                client.out.clear();
                let out = &mut client.out;
                client
                    .connection
                    .send_with(Message::Text(&message), Compress::Always, out)
                    .unwrap();
                assert_eq!(server.receive(&mut client.out, usize::MAX), message.len());
            }
        };
        // What is kept of a context grows until its window is full.
        for _ in 0..10 {
            exchange();
        }
        let cost = steady(exchange);
        assert_eq!(cost.count_total, 0, "{parameters:?}");
    }
}

#[test]
fn a_declared_length_reserves_nothing() {
    for delivery in [Delivery::Messages, Delivery::Chunks, Delivery::Frames] {
        for length in [1 << 20, u64::from(u32::MAX) + 1, i64::MAX as u64] {
            for payload in [0, 1, 100] {
                let config = Config {
                    max_message_size: u64::MAX,
                    delivery,
                    ..Config::server()
                };
                let mut bench = Bench::new(Role::Server, config, None);
                let mut input = header(&Frame::binary(""), length, Some(PEER_KEY));
                input.extend(std::iter::repeat_n(b'x', payload));
                let cost = measure(|| {
                    bench.receive(&mut input, usize::MAX);
                });
                assert!(cost.bytes_total <= PROGRESS + 8 + 2 * payload as u64, "{cost:?}");
            }
        }
    }
}

#[test]
fn limits_are_checked_before_anything_is_allocated() {
    for length in [65537, 1 << 32, i64::MAX as u64] {
        let mut bench = Bench::new(Role::Server, Config::server(), None);
        let mut input = header(&Frame::binary(""), length, Some(PEER_KEY));
        let cost = measure(|| {
            bench.receive(&mut input, usize::MAX);
        });
        // Beside that, the Close frame that is owed is all.
        assert!(cost.bytes_max < PROGRESS + 512, "{cost:?}");
    }
}

#[test]
fn memory_follows_the_bytes_that_came() {
    let size = 4 << 20;
    let config = Config {
        max_message_size: size as u64,
        max_fragments: u32::MAX,
        ..Config::server()
    };
    // A frame that arrives in pieces, and a message in as many fragments.
    let whole = Frame::text("x".repeat(size)).encode(Some(PEER_KEY));
    let mut fragments = Frame::text("").more().encode(Some(PEER_KEY));
    let fragment = Frame::continuation("x".repeat(64)).more().encode(Some(PEER_KEY));
    fragments.extend(fragment.repeat(size / 64));
    fragments.extend(Frame::continuation("").encode(Some(PEER_KEY)));
    for mut input in [whole, fragments] {
        let mut bench = Bench::new(Role::Server, config.clone(), None);
        let cost = measure(|| assert_eq!(bench.receive(&mut input, 64 + 8), size));
        // A buffer that doubles copies each byte once on average: linear, whatever the pieces.
        assert!(cost.bytes_max <= 3 * size as u64, "{cost:?}");
        assert!(cost.bytes_total <= 4 * size as u64, "{cost:?}");
        assert!(cost.count_total <= 40, "{cost:?}");
    }
}

#[test]
fn a_streamed_message_needs_no_memory() {
    let config = Config {
        max_message_size: u64::MAX,
        delivery: Delivery::Chunks,
        ..Config::server()
    };
    let mut bench = Bench::new(Role::Server, config, None);
    let mut piece = vec![b'x'; 10_000];
    let mut start = header(&Frame::text(""), 1 << 40, Some([0; 4]));
    let cost = measure(|| {
        bench.receive(&mut start, usize::MAX);
        for _ in 0..1000 {
            assert_eq!(bench.receive(&mut piece, 1000), 10_000);
        }
    });
    assert_eq!((cost.count_total, cost.bytes_total), (1, PROGRESS));
}

#[test]
fn a_streamed_bomb_needs_the_memory_of_one_step() {
    let (mut compressor, _) = deflate(Role::Client, NO_TAKEOVER);
    let mut payload = Vec::new();
    compressor
        .compress(&vec![0; 8 << 20], true, &mut payload)
        .unwrap();
    let mut input = Frame::binary(payload).rsv1().encode(Some(PEER_KEY));
    let config = Config {
        max_message_size: u64::MAX,
        delivery: Delivery::Chunks,
        ..Config::server()
    };
    let mut bench = Bench::new(Role::Server, config, Some(NO_TAKEOVER));
    let cost = measure(|| assert_eq!(bench.receive(&mut input, usize::MAX), 8 << 20));
    assert!(cost.bytes_max < 256 * 1024, "{cost:?}");
}

#[test]
fn an_idle_connection_owns_no_buffer() {
    for parameters in [None, Some(NO_TAKEOVER)] {
        // The pool and the workspace are shared, so only what stays with the connection counts.
        let mut bench = Bench::new(Role::Server, Config::server(), parameters);
        let mut run = || {
            let frames = [
                Frame::text("in ").more(),
                Frame::ping("x".repeat(100)),
                Frame::continuation("fragments"),
                Frame::binary([7; 5000]),
            ];
            let mut input: Vec<u8> = frames
                .iter()
                .flat_map(|frame| frame.encode(Some(PEER_KEY)))
                .collect();
            bench.receive(&mut input, 100);
            let out = &mut bench.out;
            bench
                .connection
                .send_with(Message::Binary(&[7; 5000]), Compress::Always, out)
                .unwrap();
            bench.connection.poll_output(out);
            out.clear();
        };
        run();
        let cost = measure(run);
        assert_eq!(cost.bytes_current, 0, "{cost:?}");
    }
}

#[test]
fn a_connection_is_small() {
    // A hundred thousand idle connections cost a hundred thousand times this.
    assert!(size_of::<Connection>() <= 120, "{}", size_of::<Connection>());
}
