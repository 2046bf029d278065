//! What connections borrow and give back.

use std::sync::Arc;
use std::thread;

use sockeye_proto::Role;
use sockeye_proto::deflate::{Compressor, Decompressor, Deflate, Level, Parameters, Pool};

use crate::{NO_TAKEOVER, TAKEOVER, bits, compress, inflate_whole};

struct Connection {
    compressor: Compressor,
    decompressor: Decompressor,
}

/// A connection whose decompressor reads what its compressor wrote.
fn connection(parameters: Parameters, pool: &Arc<Pool>) -> Connection {
    connection_at(Level::default(), parameters, pool)
}

/// The same at another level.
fn connection_at(level: Level, parameters: Parameters, pool: &Arc<Pool>) -> Connection {
    let options = Deflate {
        level,
        ..Deflate::default()
    };
    Connection {
        compressor: Compressor::new(Role::Server, parameters, &options, Arc::clone(pool)),
        decompressor: Decompressor::new(Role::Client, parameters, Arc::clone(pool)),
    }
}

/// A level at which the library compresses.
fn library() -> Level {
    Level::new(6).unwrap()
}

impl Connection {
    fn exchange(&mut self, message: &[u8]) {
        let payload = compress(&mut self.compressor, message);
        assert_eq!(
            inflate_whole(&mut self.decompressor, &payload).as_deref(),
            Ok(message)
        );
    }
}

#[test]
fn connections_without_takeover_share_one_of_each() {
    let pool = Arc::new(Pool::default());
    let mut connections: Vec<_> = (0..50).map(|_| connection(NO_TAKEOVER, &pool)).collect();
    assert_eq!(
        pool.stats().created_compressors,
        0,
        "nothing is made before it is needed"
    );
    for connection in &mut connections {
        connection.exchange(b"Hello, hello");
        connection.exchange(b"Hello, hello");
    }
    let stats = pool.stats();
    assert_eq!(
        (
            stats.created_compressors,
            stats.reused_compressors,
            stats.idle_compressors
        ),
        (1, 99, 1)
    );
    assert_eq!(
        (
            stats.created_decompressors,
            stats.reused_decompressors,
            stats.idle_decompressors
        ),
        (1, 99, 1)
    );
}

#[test]
fn connections_with_takeover_keep_compressors_of_the_library_but_nothing_else() {
    // Of the library's compressors all five are kept; of our own, one serves all.
    for (level, compressors, idle) in [(library(), 5, 0), (Level::default(), 1, 1)] {
        let pool = Arc::new(Pool::default());
        let mut connections: Vec<_> = (0..5).map(|_| connection_at(level, TAKEOVER, &pool)).collect();
        for _ in 0..3 {
            for connection in &mut connections {
                connection.exchange(b"Hello, hello");
            }
        }
        let stats = pool.stats();
        assert_eq!(
            (stats.created_compressors, stats.idle_compressors),
            (compressors, idle)
        );
        assert_eq!((stats.created_decompressors, stats.idle_decompressors), (1, 1));
        drop(connections);
        assert_eq!(pool.stats().idle_compressors, compressors as usize);
    }
}

#[test]
fn a_reused_compressor_has_forgotten_what_it_saw() {
    let pool = Arc::new(Pool::default());
    let short = b"a secret of the one connection is no secret of the other".to_vec();
    let long = short.repeat(100);
    let send = |parameters, level, message: &[u8]| {
        let options = Deflate {
            level: Level::new(level).unwrap(),
            ..Deflate::default()
        };
        let mut compressor = Compressor::new(Role::Server, parameters, &options, Arc::clone(&pool));
        compress(&mut compressor, message)
    };
    for (message, level, parameters) in [
        (&long, 6, TAKEOVER),
        (&short, 6, NO_TAKEOVER),
        (&long, 2, NO_TAKEOVER),
        (&short, 2, NO_TAKEOVER),
    ] {
        let first = send(parameters, level, message);
        let reused = pool.stats().reused_compressors;
        let second = send(NO_TAKEOVER, level, message);
        assert_eq!(pool.stats().reused_compressors, reused + 1);
        assert_eq!(first, second);
    }
}

#[test]
fn the_pool_keeps_no_more_than_it_may() {
    for max_idle in [0, 1, 3] {
        let pool = Arc::new(Pool::new(max_idle));
        let mut connections: Vec<_> = (0..5)
            .map(|_| connection_at(library(), NO_TAKEOVER, &pool))
            .collect();
        for connection in &mut connections {
            let mut payload = Vec::new();
            connection
                .compressor
                .compress(b"a first fragment", false, &mut payload)
                .unwrap();
            connection.decompressor.inflate(&payload, &mut [0; 100]).unwrap();
        }
        assert_eq!(pool.stats().created_compressors, 5);
        assert_eq!(pool.stats().created_decompressors, 5);
        drop(connections);
        assert_eq!(pool.stats().idle_compressors, max_idle);
        assert_eq!(pool.stats().idle_decompressors, max_idle);
    }
}

#[test]
fn compressors_are_told_apart_by_window_and_level_and_the_stalest_goes_first() {
    let pool = Arc::new(Pool::new(2));
    let send = |window_bits, level| {
        let parameters = Parameters {
            server_max_window_bits: bits(window_bits),
            ..NO_TAKEOVER
        };
        let options = Deflate {
            level: Level::new(level).unwrap(),
            ..Deflate::default()
        };
        let mut compressor = Compressor::new(Role::Server, parameters, &options, Arc::clone(&pool));
        compress(&mut compressor, b"Hello");
        pool.stats().created_compressors
    };
    assert_eq!(send(15, 6), 1);
    assert_eq!(send(9, 6), 2);
    assert_eq!(send(15, 6), 2);
    assert_eq!(send(15, 1), 3); // evicts (9, 6)
    assert_eq!(send(15, 6), 3);
    assert_eq!(send(9, 6), 4);
}

#[test]
fn short_messages_are_compressed_in_less_memory_to_the_same_bytes() {
    let pool = Arc::new(Pool::default());
    let text: Vec<u8> = (0..700_u32)
        .flat_map(|number| format!("{{\"id\":{number},\"at\":{}}},", number * 7919 % 1000).into_bytes())
        .collect();
    let noise: Vec<u8> = (0..9000_u32)
        .map(|i| (i.wrapping_mul(0x9E37_79B9) >> 24) as u8)
        .collect();
    for level in [0, 1, 6, 7, 8, 9] {
        let options = Deflate {
            level: Level::new(level).unwrap(),
            ..Deflate::default()
        };
        for length in [1, 100, 199, 200, 999, 1000, 3999, 4000, 9000] {
            for message in [&text[..length], &noise[..length]] {
                // A window that is kept has to be of its full size from the first message on.
                let [whole, alone] = [TAKEOVER, NO_TAKEOVER].map(|parameters| {
                    let pool = Arc::clone(&pool);
                    let mut compressor = Compressor::new(Role::Server, parameters, &options, pool);
                    compress(&mut compressor, message)
                });
                assert!(whole == alone, "level {level}, {length} bytes");
            }
        }
    }
    // One for windows that are kept and long messages, one for short ones, one for those in between.
    assert_eq!(pool.stats().created_compressors, 3 * 6);
}

#[test]
fn a_message_in_flight_gives_back_what_it_borrowed_when_dropped() {
    let pool = Arc::new(Pool::default());
    let mut connection = connection_at(library(), NO_TAKEOVER, &pool);
    let mut payload = Vec::new();
    connection
        .compressor
        .compress(b"a first fragment", false, &mut payload)
        .unwrap();
    connection.decompressor.inflate(&payload, &mut [0; 100]).unwrap();
    drop(connection);
    let mut next = connection_at(library(), NO_TAKEOVER, &pool);
    let mut payload = Vec::new();
    next.compressor
        .compress(b"another one", false, &mut payload)
        .unwrap();
    next.decompressor.inflate(&payload, &mut [0; 100]).unwrap();
    assert_eq!(
        (pool.stats().reused_compressors, pool.stats().reused_decompressors),
        (1, 1)
    );
}

#[test]
fn a_decompressor_that_met_bad_data_is_as_good_as_new() {
    let pool = Arc::new(Pool::default());
    for _ in 0..3 {
        let mut bad = connection(TAKEOVER, &pool);
        bad.exchange(b"Hello");
        inflate_whole(&mut bad.decompressor, &[0x06]).unwrap_err();
        connection(TAKEOVER, &pool).exchange(b"Hello");
    }
    assert_eq!(pool.stats().created_decompressors, 1);
}

#[test]
fn threads_share_a_pool() {
    let pool = Arc::new(Pool::new(2));
    thread::scope(|scope| {
        for seed in 0..8_u8 {
            let pool = &pool;
            scope.spawn(move || {
                let mut kept = connection(TAKEOVER, pool);
                for round in 0..200_u8 {
                    let message = [seed, round, seed, round].repeat(usize::from(round));
                    kept.exchange(&message);
                    connection(NO_TAKEOVER, pool).exchange(&message);
                }
            });
        }
    });
    let stats = pool.stats();
    // Each of its eight parts keeps two.
    assert!(
        stats.idle_compressors <= 16 && stats.idle_decompressors <= 16,
        "{stats:?}"
    );
    assert_eq!(
        stats.created_decompressors + stats.reused_decompressors,
        8 * 200 * 2,
        "{stats:?}"
    );
}

#[test]
fn a_connection_between_messages_has_room_for_pointers_only() {
    assert!(size_of::<Compressor>() <= 40, "{}", size_of::<Compressor>());
    assert!(size_of::<Decompressor>() <= 56, "{}", size_of::<Decompressor>());
}

#[test]
fn what_is_kept_of_a_window_is_of_use_and_a_compressor_only_by_the_library_s_large_ones() {
    let records = |from: u32| {
        (from..from + 40)
            .flat_map(|number| format!("{{\"id\":{number},\"name\":\"salmon\"}},").into_bytes())
            .collect::<Vec<_>>()
    };
    for (level, window_bits) in [Level::default(), library()]
        .into_iter()
        .flat_map(|level| (8..=15).map(move |bits| (level, bits)))
    {
        let parameters = Parameters {
            server_max_window_bits: bits(window_bits),
            ..TAKEOVER
        };
        let pool = Arc::new(Pool::default());
        let mut connections: Vec<_> = (0..3).map(|_| connection_at(level, parameters, &pool)).collect();
        for round in 0..20 {
            for connection in &mut connections {
                connection.exchange(&records(round));
            }
        }
        let kept = if level == library() && window_bits > 11 {
            3
        } else {
            1
        };
        assert_eq!(
            pool.stats().created_compressors,
            kept,
            "level {level}, {window_bits} bits"
        );
        let text = &records(0)[..200];
        let alone = compress(&mut connection_at(level, NO_TAKEOVER, &pool).compressor, text).len();
        let first = compress(&mut connections[0].compressor, text).len();
        let second = compress(&mut connections[0].compressor, text).len();
        assert!(
            second <= first && second < alone / 2,
            "level {level}, {window_bits} bits: {alone}, {first}, {second}"
        );
    }
}
