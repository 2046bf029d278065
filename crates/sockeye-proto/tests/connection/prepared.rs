//! Messages that are framed ahead, and payloads that the caller writes by itself.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use sockeye_proto::deflate::{Deflate, Level, Parameters, Pool, WindowBits};
use sockeye_proto::{Compress, Config, Connection, Message, MessageKind, Prepared, Role, SendError};

use crate::support::end::Heard;
use crate::support::frame::Frame;
use crate::support::pair::Pair;
use crate::support::peer::Peer;
use crate::support::{NO_TAKEOVER, TAKEOVER, deflate_with};

const CHOICES: [Compress; 3] = [Compress::Auto, Compress::Always, Compress::Never];

fn server(parameters: Option<Parameters>, options: &Deflate, pool: &Arc<Pool>) -> Connection {
    let deflate = parameters.map(|parameters| deflate_with(Role::Server, parameters, options, pool));
    Connection::server(Arc::new(Config::server()), deflate, Instant::now())
}

/// The server of `parameters` may refer back this far.
fn with_window(bits: u8, parameters: Parameters) -> Parameters {
    Parameters {
        server_max_window_bits: WindowBits::new(bits).unwrap(),
        ..parameters
    }
}

/// JSON of about this many bytes.
fn json(length: usize) -> String {
    let mut text = String::from("[");
    let mut number = 0;
    while text.len() < length {
        number += 1;
        text += &format!(
            r#"{{"id":{number},"name":"salmon {}","at":[{},{}]}},"#,
            number * 7,
            number % 13,
            number % 11
        );
    }
    text + "]"
}

#[test]
fn a_prepared_message_is_sent_as_any_other() {
    let (pool, options) = (Arc::new(Pool::default()), Deflate::default());
    let (short, long, bytes) = ("x".repeat(20), json(70_000), vec![7; 300]);
    for message in [
        Message::Text(""),
        Message::Text(&short),
        Message::Text(&long),
        Message::Binary(&bytes),
    ] {
        let prepared = Prepared::new(message);
        assert_eq!(prepared.kind(), message.kind());
        assert_eq!(prepared.payload(), message.as_bytes());
        for parameters in [None, Some(NO_TAKEOVER)] {
            for compress in CHOICES {
                let (mut one, mut other) = (Vec::new(), Vec::new());
                server(parameters, &options, &pool)
                    .send_with(message, compress, &mut one)
                    .unwrap();
                server(parameters, &options, &pool)
                    .send_prepared(&prepared, compress, &mut other)
                    .unwrap();
                assert_eq!(one, other, "{parameters:?}, {compress:?}");
            }
        }
    }
}

#[test]
fn connections_of_the_same_parameters_are_sent_the_same_memory() {
    let pool = Arc::new(Pool::default());
    let prepared = Prepared::new(Message::Text(&json(2000)));
    let fast = Deflate {
        level: Level::new(1).unwrap(),
        ..Deflate::default()
    };
    let address = |parameters, options: &Deflate, compress| {
        let mut connection = server(parameters, options, &pool);
        connection
            .prepared(&prepared, compress)
            .unwrap()
            .unwrap()
            .as_ptr()
    };
    let all = [
        (None, Deflate::default()),
        (Some(NO_TAKEOVER), Deflate::default()),
        (Some(with_window(9, NO_TAKEOVER)), Deflate::default()),
        (Some(NO_TAKEOVER), fast),
    ];
    let mut seen = Vec::new();
    for (parameters, options) in &all {
        let first = address(*parameters, options, Compress::Auto);
        assert!(!seen.contains(&first), "{parameters:?}, {options:?}");
        seen.push(first);
        for _ in 0..3 {
            assert_eq!(address(*parameters, options, Compress::Auto), first);
            assert_eq!(address(*parameters, options, Compress::Never), seen[0]);
        }
    }
    // Whether the context is kept makes no difference to the bytes.
    assert_eq!(address(Some(TAKEOVER), &all[1].1, Compress::Always), seen[1]);
}

#[test]
fn a_prepared_message_is_compressed_once_for_all_connections_and_threads() {
    let (pool, options) = (Arc::new(Pool::default()), Deflate::default());
    let prepared = Prepared::new(Message::Text(&json(10_000)));
    let sent: Vec<Vec<u8>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let (prepared, pool, options) = (prepared.clone(), &pool, &options);
                scope.spawn(move || {
                    let mut out = Vec::new();
                    for _ in 0..50 {
                        out.clear();
                        server(Some(NO_TAKEOVER), options, pool)
                            .send_prepared(&prepared, Compress::Auto, &mut out)
                            .unwrap();
                    }
                    out
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(sent.iter().all(|bytes| *bytes == sent[0] && bytes.len() < 5000));
    let stats = pool.stats();
    assert_eq!((stats.created_compressors, stats.reused_compressors), (1, 0));
}

#[test]
fn a_window_that_is_kept_starts_afresh_after_a_prepared_message() {
    let text = |round: usize| {
        format!(
            "message {round} of many, each much like those before it {}",
            json(200)
        )
    };
    for bits in 8..=15 {
        for compress in CHOICES {
            let parameters = with_window(bits, TAKEOVER);
            let mut pair = Pair::new(Config::client(), Config::server(), Some(parameters));
            let mut expected = Vec::new();
            for round in 0..30 {
                let text = text(round);
                let server = &mut pair.server;
                if round % 3 == 1 {
                    let prepared = Prepared::new(Message::Text(&text));
                    server
                        .connection
                        .send_prepared(&prepared, compress, &mut server.out)
                        .unwrap();
                } else {
                    server
                        .connection
                        .send_with(Message::Text(&text), Compress::Always, &mut server.out)
                        .unwrap();
                }
                expected.push(Heard::Text(text));
            }
            pair.run();
            assert_eq!(pair.client.error, None, "{bits} bits, {compress:?}");
            assert_eq!(pair.client.take_heard(), expected, "{bits} bits, {compress:?}");
        }
    }
}

#[test]
fn a_window_that_is_kept_outlives_a_prepared_message_that_went_out_as_it_is() {
    let (pool, options) = (Arc::new(Pool::default()), Deflate::default());
    let prepared = Prepared::new(Message::Text("in between"));
    let text = json(1000);
    for (compress, kept) in [
        (Compress::Never, true),
        (Compress::Auto, true),
        (Compress::Always, false),
    ] {
        let mut connection = server(Some(TAKEOVER), &options, &pool);
        let mut lengths = [0; 2];
        for length in &mut lengths {
            let mut out = Vec::new();
            connection.send(Message::Text(&text), &mut out).unwrap();
            *length = out.len();
            connection.send_prepared(&prepared, compress, &mut out).unwrap();
        }
        assert_eq!(lengths[1] < lengths[0] / 4, kept, "{compress:?}: {lengths:?}");
    }
}

#[test]
fn a_client_masks_a_prepared_message_for_itself() {
    for parameters in [None, Some(TAKEOVER)] {
        let mut peer = Peer::of(Role::Client, Config::client(), parameters);
        let prepared = Prepared::new(Message::Text("Hello"));
        assert_eq!(peer.connection.prepared(&prepared, Compress::Never), Ok(None));
        let mut out = Vec::new();
        peer.connection
            .send_prepared(&prepared, Compress::Never, &mut out)
            .unwrap();
        peer.out = out;
        peer.expect(Frame::text("Hello"));
    }
}

#[test]
fn a_prepared_message_is_cut_at_the_threshold() {
    let config = Config {
        fragmentation_threshold: NonZeroUsize::new(10),
        ..Config::server()
    };
    let prepared = Prepared::new(Message::Binary(&[7; 25]));
    let mut peer = Peer::of_server_with(config);
    for _ in 0..2 {
        let mut out = Vec::new();
        peer.connection
            .send_prepared(&prepared, Compress::Auto, &mut out)
            .unwrap();
        peer.out = out;
        peer.expect(Frame::binary([7; 10]).more());
        peer.expect(Frame::continuation([7; 10]).more());
        peer.expect(Frame::continuation([7; 5]));
        peer.expect_nothing();
    }
}

#[test]
fn the_rules_of_sending_hold_for_what_was_prepared() {
    let prepared = Prepared::new(Message::Text("prepared"));
    let all = |connection: &mut Connection| {
        let mut out = Vec::new();
        let results = [
            connection.send_prepared(&prepared, Compress::Auto, &mut out),
            connection.prepared(&prepared, Compress::Auto).map(|_| ()),
            connection
                .send_header(MessageKind::Text, 8, Compress::Auto)
                .map(|_| ()),
        ];
        assert!(results[0].is_ok() || out.is_empty());
        assert!(results.iter().all(|result| *result == results[0]), "{results:?}");
        results[0]
    };
    for mut peer in Peer::of_both() {
        let connection = &mut peer.connection;
        let mut out = Vec::new();
        connection
            .send_fragment(Message::Text("a"), false, Compress::Auto, &mut out)
            .unwrap();
        assert_eq!(all(connection), Err(SendError::FragmentInProgress));
        connection
            .send_fragment(Message::Text("b"), true, Compress::Auto, &mut out)
            .unwrap();
        assert_eq!(all(connection), Ok(()));

        // What came before the peer's Close can still be answered; what follows ours cannot.
        peer.blocked = true;
        peer.send(Frame::close(1000, ""));
        assert_eq!(all(&mut peer.connection), Ok(()));
        peer.connection.poll_output(&mut out);
        assert_eq!(all(&mut peer.connection), Err(SendError::Closed));
    }
}

#[test]
fn connections_of_one_form_are_sent_the_same_bytes() {
    let pool = Arc::new(Pool::default());
    let eager = Deflate {
        threshold: 0,
        ..Deflate::default()
    };
    let cut = Config {
        fragmentation_threshold: NonZeroUsize::new(10),
        ..Config::server()
    };
    let connections = || {
        [
            server(None, &eager, &pool),
            server(Some(NO_TAKEOVER), &eager, &pool),
            server(Some(TAKEOVER), &eager, &pool),
            server(Some(TAKEOVER), &Deflate::default(), &pool),
            server(Some(with_window(9, TAKEOVER)), &eager, &pool),
            Connection::server(Arc::new(cut.clone()), None, Instant::now()),
        ]
    };
    let forms = connections().map(|connection| connection.prepared_form().unwrap().unwrap());
    let plain = forms.map(|form| form.is_plain(10));
    assert_eq!(plain, [true, false, false, false, false, true]);
    assert!(!forms[5].is_plain(11));
    for compress in CHOICES {
        let prepared = Prepared::new(Message::Text(&json(200)));
        let sent =
            connections().map(|mut connection| connection.prepared(&prepared, compress).unwrap().cloned());
        for (one, form) in forms.iter().enumerate() {
            for (other, _) in forms.iter().enumerate().filter(|(_, other)| *other == form) {
                assert_eq!(sent[one], sent[other]);
            }
        }
    }
    assert_eq!(forms[1], forms[2]);
    assert_ne!(forms[2], forms[3]);
    let client = Peer::of_client();
    assert_eq!(client.connection.prepared_form(), Ok(None));
}

#[test]
fn a_window_starts_afresh_after_what_another_connection_prepared() {
    let mut pair = Pair::new(Config::client(), Config::server(), Some(TAKEOVER));
    let mut other = server(Some(TAKEOVER), &Deflate::default(), &Arc::new(Pool::default()));
    let text = json(200);
    let server = &mut pair.server;
    for round in 0..4 {
        if round % 2 == 1 {
            let prepared = Prepared::new(Message::Text(&text));
            let bytes = other.prepared(&prepared, Compress::Always).unwrap().unwrap();
            server.out.extend_from_slice(bytes);
            server.connection.sent_prepared();
        } else {
            let message = Message::Text(&text);
            server
                .connection
                .send_with(message, Compress::Always, &mut server.out)
                .unwrap();
        }
    }
    pair.run();
    assert_eq!(pair.client.error, None);
    assert_eq!(pair.client.take_heard(), vec![Heard::Text(text); 4]);
}

#[test]
fn a_header_announces_a_payload_that_needs_no_work() {
    let pool = Arc::new(Pool::default());
    let options = Deflate::default();
    for (length, expected) in [
        (0, &[0x82, 0][..]),
        (125, &[0x82, 125]),
        (126, &[0x82, 126, 0, 126]),
        (65_536, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
    ] {
        for (parameters, compress) in [(None, Compress::Always), (Some(TAKEOVER), Compress::Never)] {
            let mut connection = server(parameters, &options, &pool);
            let header = connection.send_header(MessageKind::Binary, length, compress);
            assert_eq!(header.unwrap().as_deref(), Some(expected));
        }
    }
}

#[test]
fn a_payload_that_needs_work_gets_no_header() {
    let options = Deflate::default();
    let length = options.threshold;
    let mut connection = server(Some(NO_TAKEOVER), &options, &Arc::new(Pool::default()));
    let mut header = |length, compress| {
        connection
            .send_header(MessageKind::Text, length, compress)
            .unwrap()
    };
    assert!(header(length, Compress::Auto).is_none());
    assert!(header(length - 1, Compress::Auto).is_some());
    assert!(header(1, Compress::Always).is_none());

    let config = Config {
        fragmentation_threshold: NonZeroUsize::new(100),
        ..Config::server()
    };
    let mut connection = Connection::server(Arc::new(config), None, Instant::now());
    let mut header = |length| {
        connection
            .send_header(MessageKind::Text, length, Compress::Auto)
            .unwrap()
    };
    assert!(header(100).is_some());
    assert!(header(101).is_none());

    let mut client = Peer::of_client();
    let header = client
        .connection
        .send_header(MessageKind::Text, 5, Compress::Never);
    assert_eq!(header, Ok(None));
}

#[test]
fn a_prepared_message_goes_to_any_thread() {
    fn is_shared<T: Send + Sync + Clone>() {}
    is_shared::<Prepared>();
}
