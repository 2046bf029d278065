//! Systems and drivers that run out of something.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::world::{Answer, World, crowd, pattern};
use super::{Tested, with_each_driver};

with_each_driver!(
    many_sockets_with_few_buffers_lose_nothing,
    large_payloads_with_few_buffers_lose_nothing,
    more_happens_than_the_queues_hold,
    many_accepts_come_at_once,
    a_crowd_that_leaves_at_once_takes_several_turns,
    who_comes_while_a_crowd_leaves_does_not_wait_for_all_of_it,
    who_comes_back_finds_the_places_of_those_who_left,
    who_comes_while_a_crowd_says_goodbye_and_leaves_does_not_wait_for_all_of_it,
);

fn many_sockets_with_few_buffers_lose_nothing<D: Tested>() {
    let mut world = World::<D>::with(D::scarce(), Answer::Echo);
    let mut peers: Vec<_> = (0..300).map(|_| world.pair().1).collect();
    world.settle();
    for round in 0..5 {
        for (index, peer) in peers.iter_mut().enumerate() {
            peer.write_all(&pattern(5000, index + round)).unwrap();
        }
        let mut answers = vec![Vec::new(); peers.len()];
        world.until(|_| {
            for (peer, answer) in peers.iter_mut().zip(&mut answers) {
                peer.set_nonblocking(true).unwrap();
                let mut bytes = [0; 5000];
                if let Ok(count) = peer.read(&mut bytes) {
                    answer.extend_from_slice(&bytes[..count]);
                }
                peer.set_nonblocking(false).unwrap();
            }
            answers.iter().all(|answer| answer.len() == 5000)
        });
        for (index, answer) in answers.iter().enumerate() {
            assert_eq!(*answer, pattern(5000, index + round));
        }
    }
}

fn large_payloads_with_few_buffers_lose_nothing<D: Tested>() {
    let mut world = World::<D>::with(D::scarce(), Answer::Keep);
    let payload = pattern(2_000_000, 3);
    let mut keys = Vec::new();
    let mut writers = Vec::new();
    for _ in 0..8 {
        let (key, mut peer) = world.pair();
        keys.push(key);
        let payload = payload.clone();
        writers.push(std::thread::spawn(move || {
            peer.write_all(&payload).unwrap();
            peer
        }));
    }
    world.until(|world| {
        keys.iter()
            .all(|key| world.book.slots[key.index()].seen.bytes.len() == payload.len())
    });
    for key in keys {
        assert!(world.seen(key).bytes == payload);
    }
    for writer in writers {
        writer.join().unwrap();
    }
}

fn more_happens_than_the_queues_hold<D: Tested>() {
    let mut world = World::<D>::with(D::scarce(), Answer::Keep);
    let mut pairs: Vec<_> = (0..500).map(|_| world.pair()).collect();
    world.settle();
    for round in 0..5 {
        // Sends of all in one turn.
        for (key, _) in &pairs {
            world.send(*key, &pattern(30, round)).unwrap();
        }
        for (_, peer) in &mut pairs {
            peer.write_all(&pattern(30, round)).unwrap();
        }
        world.until(|world| pairs.iter().all(|(key, _)| world.unsent(*key) == 0));
        for (_, peer) in &mut pairs {
            let mut bytes = [0; 30];
            peer.read_exact(&mut bytes).unwrap();
            assert_eq!(bytes[..], pattern(30, round));
        }
    }
    world.until(|world| {
        pairs
            .iter()
            .all(|(key, _)| world.book.slots[key.index()].seen.bytes.len() == 150)
    });
    for (key, _) in pairs {
        let expected: Vec<u8> = (0..5).flat_map(|round| pattern(30, round)).collect();
        assert_eq!(world.seen(key).bytes, expected);
    }
}

fn many_accepts_come_at_once<D: Tested>() {
    let mut world = World::<D>::with(D::scarce(), Answer::Keep);
    let (_, address) = world.listen();
    world.turn(Duration::ZERO);
    let peers = std::thread::spawn(move || -> Vec<_> {
        (0..500).map(|_| TcpStream::connect(address).unwrap()).collect()
    });
    world.until(|world| world.book.accepted.len() == 500);
    drop(peers.join().unwrap());
    world.until(|world| {
        world
            .book
            .accepted
            .iter()
            .all(|key| world.book.slots[key.index()].seen.ended == 1)
    });
}

fn a_crowd_that_leaves_at_once_takes_several_turns<D: Tested>() {
    /// What else a worker has to do must not wait for more than so many events, and ends that earlier ones told of.
    const MOST: usize = 1024 + 32;

    let mut world = World::<D>::with(D::scarce(), Answer::Keep);
    let (keys, peers): (Vec<_>, Vec<_>) = (0..1500).map(|_| world.pair()).unzip();
    world.settle();
    drop(peers);
    world.until(|world| {
        let count = world.turn(Duration::ZERO);
        assert!(count <= MOST, "{count} events in a turn");
        keys.iter()
            .all(|key| world.book.slots[key.index()].seen.ended == 1)
    });
}

fn who_comes_while_a_crowd_leaves_does_not_wait_for_all_of_it<D: Tested>() {
    comes_while_a_crowd_leaves::<D>(b"");
}

fn who_comes_while_a_crowd_says_goodbye_and_leaves_does_not_wait_for_all_of_it<D: Tested>() {
    comes_while_a_crowd_leaves::<D>(b"bye");
}

fn comes_while_a_crowd_leaves<D: Tested>(last_words: &[u8]) {
    /// So many ends may be told before the first bytes of who came behind all.
    const MOST: usize = 256;

    let mut world = World::<D>::new(Answer::Echo);
    let (_, address) = world.listen();
    let count = crowd();
    let (keys, peers): (Vec<_>, Vec<_>) = (0..count).map(|_| world.pair()).unzip();
    world.settle();
    for mut peer in peers {
        peer.write_all(last_words).unwrap();
    }
    let mut newcomer = TcpStream::connect(address).unwrap();
    newcomer.write_all(b"let me in").unwrap();
    world.until(|world| !world.book.accepted.is_empty());
    let before = world.book.over;
    let key = world.book.accepted[0];
    world.until(|world| world.seen(key).portions == [9]);
    assert!(
        world.book.over <= MOST,
        "{before} of {count} ended first, and {} before it was read",
        world.book.over
    );
    assert!(count > 2 * MOST, "no crowd");
    world.until(|world| world.book.over == count);
    // What they said was told all the same.
    let told = if last_words.is_empty() {
        Vec::new()
    } else {
        vec![last_words.len()]
    };
    for old in keys.iter().filter(|old| old.index() != key.index()) {
        assert_eq!(world.seen(*old).portions, told);
    }
}

/// Whoever limits connections would turn away those who come back while the places of their old ones still count.
fn who_comes_back_finds_the_places_of_those_who_left<D: Tested>() {
    let mut world = World::<D>::new(Answer::Echo);
    let (_, address) = world.listen();
    let peers: Vec<_> = (0..100).map(|_| world.pair().1).collect();
    world.settle();
    drop(peers);
    let back: Vec<_> = (0..100).map(|_| TcpStream::connect(address).unwrap()).collect();
    world.until(|world| {
        let (came, left) = (world.book.accepted.len(), world.book.over);
        assert!(came <= left, "{came} were let in when {left} had left");
        came == back.len()
    });
}
