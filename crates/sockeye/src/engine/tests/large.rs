//! Large messages, which are received where they stay.

use std::io::{self, ErrorKind, Read, Write};

use allocation_counter::measure;

use super::cost::Floor;
use super::workers::on_each_driver;
use super::*;
use crate::driver::Driver;

on_each_driver!(
    large_echoes_use_the_same_memory_again,
    large_and_small_messages_of_a_slow_reader_keep_their_order,
    a_peer_that_dies_in_the_middle_leaves_others_alone,
);

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at / 251 + at * 7) as u8).collect()
}

fn large_config() -> Settings {
    with_config(Config {
        max_message_size: 8 << 20,
        max_frame_size: 8 << 20,
        ..Config::server()
    })
}

#[test]
fn large_messages_come_back_however_they_arrive() {
    let (large, small) = (pattern(1_000_003), pattern(20));
    for piece in [5_000, 65_483, 262_144, 524_288] {
        let (mut stage, key, diary) = opened(large_config());
        let bytes = [
            binary(&small),
            binary(&large),
            frame(0x89, b"?"),
            binary(&small),
            text("x"),
        ]
        .concat();
        for _ in 0..2 {
            let in_place = stage.receive_much(key, &bytes, piece);
            assert!(piece > 300_000 || in_place > 600_000, "{in_place} at {piece}");
            let answers = frames(&stage.sent(key));
            let expected = [
                (0x82, small.clone()),
                (0x82, large.clone()),
                (0x8A, b"?".to_vec()),
                (0x82, small.clone()),
                (0x81, b"x!".to_vec()),
            ];
            assert!(answers == expected, "{piece}");
        }
        assert_eq!(diary.read(), ["ping ?", "ping ?"]);
    }
}

#[test]
fn a_system_that_takes_a_part_of_a_large_answer_gets_the_rest_in_order() {
    let large = pattern(600_000);
    for room in [0, 3, 10, 11, 70_000, 600_009] {
        let (mut stage, key, _) = opened(large_config());
        stage.line(key).room = room;
        let bytes = [binary(&large), text("behind")].concat();
        assert!(stage.receive_much(key, &bytes, 100_000) > 0);
        // Meanwhile another one uses the memory again.
        let other = stage.open();
        stage.receive_much(other, &binary(&vec![9; 600_000]), 100_000);
        while stage.connections.slots.get_mut(key).unwrap().has_output() {
            stage.make_room(key, 77_777);
        }
        let expected = [(0x82, large.clone()), (0x81, b"behind!".to_vec())];
        assert!(frames(&stage.sent(key)) == expected, "{room}");
    }
}

#[test]
fn what_was_kept_during_a_pause_comes_before_what_is_received_in_place() {
    let (mut stage, key, _) = opened(large_config());
    let large = pattern(400_000);
    let bytes = [text("pause"), binary(&large)].concat();
    // The pause comes with the first part of what is behind it.
    assert_eq!(stage.receive_much(key, &bytes, 100_000), 0);
    assert!(!stage.line(key).receives);
    let lent = |_: &mut crate::driver::Key, _: &mut [u8]| ();
    assert_eq!(
        crate::driver::Owner::receive_in_place(&mut stage.connections, key, lent),
        None
    );
    stage.resume(key);
    assert!(stage.line(key).receives);
    assert!(stage.receive_much(key, &bytes[100_000..], 100_000) > 200_000);
    assert!(frames(&stage.sent(key)) == [(0x82, large)]);
}

#[test]
fn a_limit_reached_behind_what_was_received_in_place_closes_with_1009() {
    let (mut stage, key, diary) = opened(with_config(Config {
        max_message_size: 500_000,
        max_frame_size: 500_000,
        ..Config::server()
    }));
    let first = frame(0x02, &pattern(400_000));
    assert!(stage.receive_much(key, &first, 65_536) > 300_000);
    stage.receive_much(key, &frame(0x80, &pattern(100_001)), 65_536);
    let sent = frames(&stage.sent(key));
    assert_eq!(sent[0].1[..2], 1009_u16.to_be_bytes());
    assert!(diary.read()[0].starts_with("close 1009"));
}

#[test]
fn the_end_in_the_middle_of_what_is_received_in_place_is_told() {
    let bytes = binary(&pattern(400_000));
    for fails in [false, true] {
        let (mut stage, key, diary) = opened(large_config());
        assert!(stage.receive_much(key, &bytes[..300_000], 65_536) > 200_000);
        if fails {
            stage.fail(key, ErrorKind::ConnectionReset);
        } else {
            stage.end(key);
        }
        assert!(diary.read()[0].starts_with("close 1006"));
        assert_eq!(stage.connections.slots.len(), 0);
    }
}

#[test]
fn what_is_deaf_offers_no_place() {
    let bytes = binary(&pattern(400_000));
    let (mut stage, key, _) = opened(large_config());
    stage.receive_much(key, &bytes[..300_000], 65_536);
    stage.pause(key);
    let lent = |_: &mut crate::driver::Key, room: &mut [u8]| room.len();
    let offered = crate::driver::Owner::receive_in_place(&mut stage.connections, key, lent);
    assert_eq!(offered, None);
    stage.resume(key);
    let offered = crate::driver::Owner::receive_in_place(&mut stage.connections, key, lent);
    assert!(offered > Some(0));
}

fn large_echoes_use_the_same_memory_again<D: Driver + 'static>(make: fn() -> io::Result<D>) {
    let mut floor = Floor::new(make);
    let mut peers: Vec<_> = (0..4).map(|_| floor.peer()).collect();
    peers.iter_mut().for_each(|peer| floor.open(peer));
    let frames = [65_536, 300_000, 1 << 20].map(|len| binary(&pattern(len)));
    let mut answer = vec![0; (1 << 20) + 10];
    let mut round = || {
        for frame in &frames {
            for peer in &mut peers {
                let mut written = 0;
                while written < frame.len() {
                    match peer.write(&frame[written..]) {
                        Ok(count) => written += count,
                        Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                    }
                    floor.turn();
                }
            }
            for peer in &mut peers {
                let answer = &mut answer[..frame.len() - 4];
                floor.read(peer, answer);
                assert!(answer[10..] == frame[14..]);
            }
        }
    };
    (0..4).for_each(|_| round());
    let cost = measure(round);
    // Until an eighth of it arrived, which may be in several pieces, a message has memory of its own. Without any that is used
    // again it would be more than all of them.
    let all: usize = frames.iter().map(|frame| frame.len() * peers.len()).sum();
    assert!(cost.bytes_total <= all as u64 * 3 / 4, "{cost:?}");
}

fn large_and_small_messages_of_a_slow_reader_keep_their_order<D: Driver + 'static>(
    make: fn() -> io::Result<D>,
) {
    let queues = QueueLimits {
        send: 64 << 20,
        high_water: 64 << 20,
        ..QueueLimits::default()
    };
    let mut floor = Floor::with(make, with_queues(queues));
    let mut peer = floor.peer();
    floor.open(&mut peer);
    let (mut sent, mut expected) = (Vec::new(), Vec::new());
    for round in 0..8 {
        let large = pattern(900_000 + round);
        sent.extend([binary(&large), binary(&[round as u8; 20])].concat());
        expected.push((0x82, large));
        expected.push((0x82, vec![round as u8; 20]));
    }
    let (mut written, mut answers) = (0, Vec::new());
    let total: usize = expected
        .iter()
        .map(|(_, payload)| payload.len() + if payload.len() > 125 { 10 } else { 2 })
        .sum();
    let mut buffer = vec![0; 30_011];
    while answers.len() < total {
        // It writes as much as there is room for, and reads a little.
        while written < sent.len() {
            match peer.write(&sent[written..]) {
                Ok(count) => written += count,
                Err(_) => break,
            }
        }
        floor.turn();
        match peer.read(&mut buffer) {
            Ok(0) => panic!("closed"),
            Ok(count) => answers.extend_from_slice(&buffer[..count]),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    assert!(frames(&answers) == expected);
}

fn a_peer_that_dies_in_the_middle_leaves_others_alone<D: Driver + 'static>(make: fn() -> io::Result<D>) {
    let mut floor = Floor::new(make);
    let (mut dies, mut lives) = (floor.peer(), floor.peer());
    floor.open(&mut dies);
    floor.open(&mut lives);
    let message = binary(&pattern(1 << 20));
    for peer in [&mut dies, &mut lives] {
        let mut written = 0;
        while written < message.len() / 2 {
            match peer.write(&message[written..message.len() / 2]) {
                Ok(count) => written += count,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            floor.turn();
        }
    }
    socket2::SockRef::from(&dies)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(dies);
    while floor.connections.slots.len() > 1 {
        floor.turn();
    }
    let mut written = message.len() / 2;
    while written < message.len() {
        match lives.write(&message[written..]) {
            Ok(count) => written += count,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        floor.turn();
    }
    let mut answer = vec![0; message.len() - 4];
    floor.read(&mut lives, &mut answer);
    assert!(answer[10..] == message[14..]);
}
