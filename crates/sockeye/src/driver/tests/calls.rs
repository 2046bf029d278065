//! How many system calls a message costs.

use std::io::{Read, Write};
use std::time::Duration;

use super::Tested;
use super::world::{Answer, PATIENCE, World, pattern};
use crate::driver::{Counters, Driver as _, Readiness};

#[cfg(target_os = "linux")]
use crate::driver::Uring;

const SOCKETS: usize = 50;
const ROUNDS: usize = 20;

/// What echoes cost: each round, every peer has sent one before the turn begins.
fn cost<D: Tested>() -> Counters {
    let mut world = World::<D>::new(Answer::Echo);
    let mut peers: Vec<_> = (0..SOCKETS).map(|_| world.pair().1).collect();
    world.settle();
    let before = world.driver.counters();
    for round in 0..ROUNDS {
        for peer in &mut peers {
            peer.write_all(&pattern(20, round)).unwrap();
        }
        let goal = before.events + ((round + 1) * SOCKETS) as u64;
        while world.driver.counters().events < goal {
            world.turn(Duration::from_secs(1));
        }
        world.settle();
        for peer in &mut peers {
            let mut answer = [0; 20];
            peer.read_exact(&mut answer).unwrap();
            assert_eq!(answer[..], pattern(20, round));
        }
    }
    let after = world.driver.counters();
    Counters {
        turns: after.turns - before.turns,
        events: after.events - before.events,
        waits: after.waits - before.waits,
        receives: after.receives - before.receives,
        sends: after.sends - before.sends,
        accepts: after.accepts - before.accepts,
    }
}

#[test]
fn readiness_receives_once_and_sends_once_for_each_message() {
    let cost = cost::<Readiness>();
    let messages = (SOCKETS * ROUNDS) as u64;
    assert_eq!(cost.receives, messages);
    assert_eq!(cost.sends, messages);
    assert!(cost.waits <= 4 * ROUNDS as u64, "{cost:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn uring_enters_the_kernel_once_per_turn() {
    if !Uring::is_available() {
        return;
    }
    let cost = cost::<Uring>();
    assert_eq!((cost.receives, cost.sends), (0, 0));
    assert!(cost.waits <= cost.turns, "{cost:?}");
    // A turn takes at most so much of what has happened as the kernel gives at once: 20 operations and more.
    assert!(cost.turns <= 10 * ROUNDS as u64, "{cost:?}");
    // Nothing is told of what was sent.
    assert_eq!(cost.events, (SOCKETS * ROUNDS) as u64);
}

#[cfg(target_os = "linux")]
#[test]
fn uring_enters_the_kernel_once_for_each_message_of_a_conversation() {
    if !Uring::is_available() {
        return;
    }
    let mut world = World::<Uring>::new(Answer::Echo);
    let (key, mut peer) = world.pair();
    world.settle();
    let before = world.driver.counters();
    let conversation = std::thread::spawn(move || {
        for round in 0..ROUNDS {
            peer.write_all(&pattern(20, round)).unwrap();
            let mut answer = [0; 20];
            peer.read_exact(&mut answer).unwrap();
            assert_eq!(answer[..], pattern(20, round));
        }
        peer
    });
    while world.seen(key).portions.len() < ROUNDS {
        world.turn(PATIENCE);
    }
    let after = world.driver.counters();
    assert_eq!(after.waits - before.waits, ROUNDS as u64);
    // The last answer leaves.
    world.until(|_| conversation.is_finished());
    conversation.join().unwrap();
}
