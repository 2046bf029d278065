//! Bytes that come and go.

use std::io::{IoSlice, Read, Write};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::world::{Answer, Book, PATIENCE, World, pattern, reader, writer};
use super::{Tested, with_each_driver};

with_each_driver!(
    what_comes_is_sent_back,
    hundreds_of_sockets_are_served,
    large_payloads_pass_small_socket_buffers,
    pieces_and_tail_keep_their_order,
    what_is_sent_while_other_things_are_under_way_comes_behind_them,
    a_payload_sent_at_once_comes_behind_what_waits,
    a_payload_sent_at_once_says_how_much_was_taken,
    a_payload_of_many_pieces_waits_for_the_outbox,
    a_large_burst_arrives_whole,
    what_is_added_and_an_end_leave_though_nothing_else_happens,
    outputs_go_back_to_the_pool,
    large_and_small_messages_take_turns,
    bytes_received_in_place_keep_their_order,
    a_peer_may_end_behind_what_is_received_in_place,
);

fn what_comes_is_sent_back<D: Tested>() {
    let mut world = World::<D>::new(Answer::Echo);
    let (key, mut peer) = world.pair();
    for round in 0..100 {
        let message = pattern(20, round);
        peer.write_all(&message).unwrap();
        let mut answer = [0; 20];
        peer.set_nonblocking(true).unwrap();
        world.until(|_| peer.read(&mut answer).is_ok_and(|count| count == 20));
        peer.set_nonblocking(false).unwrap();
        assert_eq!(answer[..], message);
    }
    assert_eq!(world.unsent(key), 0);
}

fn hundreds_of_sockets_are_served<D: Tested>() {
    let mut world = World::<D>::new(Answer::Echo);
    let (_, address) = world.listen();
    let clients = std::thread::spawn(move || {
        let mut peers: Vec<_> = (0..300)
            .map(|_| std::net::TcpStream::connect(address).unwrap())
            .collect();
        for round in 0..5 {
            for (index, peer) in peers.iter_mut().enumerate() {
                peer.write_all(&pattern(100, index + round)).unwrap();
            }
            for (index, peer) in peers.iter_mut().enumerate() {
                let mut answer = [0; 100];
                peer.read_exact(&mut answer).unwrap();
                assert_eq!(answer[..], pattern(100, index + round));
            }
        }
    });
    world.until(|world| world.book.over == 300);
    clients.join().unwrap();
    assert_eq!(world.book.accepted.len(), 300);
}

fn large_payloads_pass_small_socket_buffers<D: Tested>() {
    let mut world = World::<D>::new(Answer::Keep);
    world.book.send_room = Some(4096);
    let (key, peer) = world.pair();
    let payload = pattern(3_000_000, 1);
    world.send(key, &payload).unwrap();
    assert!(world.unsent(key) > 0);
    let peer = reader(peer, payload.len());
    world.until(|world| world.unsent(key) == 0);
    assert_eq!(peer.join().unwrap(), payload);
    assert!(world.seen(key).writable > 0);
}

fn pieces_and_tail_keep_their_order<D: Tested>() {
    let mut world = World::<D>::new(Answer::Keep);
    world.book.send_room = Some(4096);
    let (key, peer) = world.pair();
    let mut expected = Vec::new();
    // More pieces than are sent by one call.
    for round in 0..300 {
        let (small, large) = (pattern(10, round), pattern(5000, round));
        expected.extend_from_slice(&small);
        expected.extend_from_slice(&large);
        let Book { slots, pool, .. } = &mut world.book;
        let output = slots[key.index()].outbox.open(pool);
        output.tail().extend_from_slice(&small);
        output.push(Bytes::from(large));
    }
    world.flush(key).unwrap();
    let peer = reader(peer, expected.len());
    world.until(|world| world.unsent(key) == 0);
    assert_eq!(peer.join().unwrap(), expected);
}

fn what_is_sent_while_other_things_are_under_way_comes_behind_them<D: Tested>() {
    let mut world = World::<D>::new(Answer::Keep);
    world.book.send_room = Some(4096);
    let (key, peer) = world.pair();
    let mut expected = Vec::new();
    for round in 0..200 {
        let part = pattern(1000 * (round % 7 + 1), round);
        expected.extend_from_slice(&part);
        world.send(key, &part).unwrap();
        if round % 3 == 0 {
            world.turn(Duration::ZERO);
        }
    }
    let peer = reader(peer, expected.len());
    world.until(|world| world.unsent(key) == 0);
    assert_eq!(peer.join().unwrap(), expected);
}

fn what_is_added_and_an_end_leave_though_nothing_else_happens<D: Tested>() {
    let mut world = World::<D>::new(Answer::Keep);
    let (key, mut peer) = world.pair();
    world.settle();
    let peer = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        peer.read_to_end(&mut bytes).map(|_| bytes)
    });
    let start = Instant::now();
    world.send(key, b"first, ").unwrap();
    world.send(key, b"second").unwrap();
    while !world.book.slots[key.index()].outbox.is_empty() {
        world.turn(PATIENCE);
    }
    world.shutdown(key);
    while world.seen(key).ended == 0 {
        world.turn(PATIENCE);
    }
    assert!(start.elapsed() < PATIENCE);
    assert_eq!(peer.join().unwrap().unwrap(), b"first, second");
}

/// Sends at once; what was not taken goes into the outbox.
fn send_now<D: Tested>(world: &mut World<D>, key: crate::driver::Key, payload: &[u8]) -> usize {
    let Book { slots, pool, .. } = &mut world.book;
    let slot = &mut slots[key.index()];
    let socket = slot.socket.as_mut().unwrap();
    let half = payload.len() / 2;
    let slices = [IoSlice::new(&payload[..half]), IoSlice::new(&payload[half..])];
    let taken = world
        .driver
        .send_now(socket, &mut slot.outbox, pool, &slices)
        .unwrap();
    slot.outbox.open(pool).tail().extend_from_slice(&payload[taken..]);
    slot.outbox.settle(pool);
    taken
}

fn a_payload_sent_at_once_comes_behind_what_waits<D: Tested>() {
    let mut world = World::<D>::new(Answer::Keep);
    let (key, peer) = world.pair();
    let Book { slots, pool, .. } = &mut world.book;
    slots[key.index()]
        .outbox
        .open(pool)
        .tail()
        .extend_from_slice(b"first ");
    assert_eq!(send_now(&mut world, key, b"second"), 6);
    assert_eq!(reader(peer, 12).join().unwrap(), b"first second");
    assert_eq!(world.unsent(key), 0);
}

fn a_payload_sent_at_once_says_how_much_was_taken<D: Tested>() {
    let mut world = World::<D>::new(Answer::Keep);
    world.book.send_room = Some(4096);
    let (key, peer) = world.pair();
    let payload = pattern(1_000_000, 3);
    let taken = send_now(&mut world, key, &payload);
    assert!(0 < taken && taken < payload.len(), "{taken}");
    // Nothing overtakes.
    assert_eq!(send_now(&mut world, key, b"and then"), 0);
    let peer = reader(peer, payload.len() + 8);
    world.until(|world| world.unsent(key) == 0);
    let bytes = peer.join().unwrap();
    assert_eq!(bytes[..payload.len()], payload);
    assert_eq!(&bytes[payload.len()..], b"and then");
}

fn a_payload_of_many_pieces_waits_for_the_outbox<D: Tested>() {
    let mut world = World::<D>::new(Answer::Keep);
    let (key, peer) = world.pair();
    let Book { slots, pool, .. } = &mut world.book;
    let output = slots[key.index()].outbox.open(pool);
    for _ in 0..64 {
        output.push(Bytes::from_static(b"x"));
    }
    let taken = send_now(&mut world, key, b"end");
    assert!(taken == 0 || taken == 3);
    let peer = reader(peer, 67);
    world.until(|world| world.unsent(key) == 0);
    assert!(peer.join().unwrap().ends_with(b"xend"));
}

fn a_large_burst_arrives_whole<D: Tested>() {
    let mut world = World::<D>::new(Answer::Keep);
    let payload = pattern(20_000_000, 5);
    let (key, peer) = world.pair();
    let peer = writer(peer, payload.clone());
    world.until(|world| world.seen(key).bytes.len() >= payload.len());
    assert!(world.seen(key).bytes == payload);
    drop(peer.join().unwrap());
    world.until(|world| world.seen(key).ended == 1);
}

fn outputs_go_back_to_the_pool<D: Tested>() {
    let mut world = World::<D>::new(Answer::Keep);
    let (key, peer) = world.pair();
    let peer = reader(peer, 9000);
    world.send(key, &[1; 3000]).unwrap();
    world.until(|world| world.unsent(key) == 0);
    // The first two are what they were: the third one's memory is that of the first.
    let place = |world: &mut World<D>| {
        let Book { slots, pool, .. } = &mut world.book;
        let output = slots[key.index()].outbox.open(pool);
        let place = output.tail().as_ptr();
        output.tail().extend_from_slice(&[2; 3000]);
        place
    };
    place(&mut world);
    world.flush(key).unwrap();
    world.until(|world| world.unsent(key) == 0);
    world.flush(key).unwrap();
    let Book { slots, pool, .. } = &mut world.book;
    assert!(slots[key.index()].outbox.open(pool).tail().capacity() >= 3000);
    world.send(key, &[3; 3000]).unwrap();
    world.until(|world| world.unsent(key) == 0);
    peer.join().unwrap();
}

/// A driver may receive large and small messages in different ways; going from one to the other loses nothing.
fn large_and_small_messages_take_turns<D: Tested>() {
    let mut world = World::<D>::new(Answer::Keep);
    let (key, mut peer) = world.pair();
    let sizes: Vec<usize> = (0..400)
        .map(|round| {
            if round / 40 % 2 == 0 {
                20 + round
            } else {
                60_000 + round
            }
        })
        .collect();
    let expected: Vec<u8> = sizes.iter().flat_map(|size| pattern(*size, *size)).collect();
    let (go, may) = std::sync::mpsc::channel();
    let writer = std::thread::spawn(move || {
        for size in sizes {
            peer.write_all(&pattern(size, size)).unwrap();
            // Each as one.
            may.recv().unwrap();
        }
    });
    let mut sent = 0;
    for round in 0..400_usize {
        sent += if round / 40 % 2 == 0 {
            20 + round
        } else {
            60_000 + round
        };
        if round % 7 == 0 {
            world.set_receiving(key, false);
            world.turn(Duration::ZERO);
            world.set_receiving(key, true);
        }
        world.until(|world| world.seen(key).bytes.len() >= sent);
        go.send(()).unwrap();
    }
    writer.join().unwrap();
    world.until(|world| world.seen(key).ended == 1);
    assert!(world.seen(key).bytes == expected);
}

/// A socket that is read much at a time, and its peer: then both drivers ask for a place.
fn busy<D: Tested>(world: &mut World<D>) -> (crate::driver::Key, std::net::TcpStream) {
    let (key, mut peer) = world.pair();
    let much = pattern(1_000_000, 9);
    let sender = peer.try_clone().unwrap();
    let sender = writer(sender, much.clone());
    world.until(|world| world.seen(key).bytes.len() == much.len());
    sender.join().unwrap();
    world.settle();
    world.seen(key).bytes.clear();
    peer.flush().unwrap();
    (key, peer)
}

fn bytes_received_in_place_keep_their_order<D: Tested>() {
    let mut world = World::<D>::new(Answer::Keep);
    let (key, peer) = busy(&mut world);
    let sent = pattern(3_000_000, 5);
    let peer = writer(peer, sent.clone());
    let mut rounds = 0;
    world.until(|world| {
        rounds += 1;
        // Now here, now there.
        let slot = &mut world.book.slots[key.index()];
        slot.place = if rounds % 3 == 0 {
            Vec::new()
        } else {
            vec![0; 40_000 * rounds % 300_007]
        };
        slot.seen.bytes.len() == sent.len()
    });
    assert!(world.seen(key).bytes == sent);
    assert!(world.seen(key).in_place > 0);
    drop(peer.join().unwrap());
}

fn a_peer_may_end_behind_what_is_received_in_place<D: Tested>() {
    for resets in [false, true] {
        let mut world = World::<D>::new(Answer::Keep);
        let (key, peer) = busy(&mut world);
        world.book.slots[key.index()].place = vec![0; 1 << 20];
        let mut peer = peer;
        peer.write_all(&pattern(50_000, 3)).unwrap();
        if resets {
            world.until(|world| world.seen(key).bytes.len() == 50_000);
            world.book.slots[key.index()].place = vec![0; 1 << 20];
            socket2::SockRef::from(&peer)
                .set_linger(Some(Duration::ZERO))
                .unwrap();
        }
        drop(peer);
        world.until(|world| world.seen(key).ended + world.seen(key).failed.len() > 0);
        assert!(world.seen(key).bytes == pattern(50_000, 3));
        assert_eq!(world.seen(key).ended, usize::from(!resets));
        assert_eq!(world.seen(key).in_place, 50_000);
        world.close(key);
        world.settle();
    }
}
