//! Receiving that is stopped and goes on.

use std::io::Write;
use std::time::Duration;

use super::world::{Answer, World, pattern, writer};
use super::{Tested, with_each_driver};

with_each_driver!(
    a_paused_socket_is_told_a_bounded_rest,
    pausing_and_resuming_loses_nothing,
    pausing_twice_in_a_turn_changes_nothing,
    an_end_during_a_pause_is_told_after_it,
);

fn a_paused_socket_is_told_a_bounded_rest<D: Tested>() {
    let mut world = World::<D>::new(Answer::Keep);
    let (key, mut peer) = world.pair();
    peer.write_all(b"before").unwrap();
    world.until(|world| world.seen(key).bytes == b"before");
    world.set_receiving(key, false);
    world.settle();
    let peer = {
        peer.write_all(&pattern(1000, 1)).unwrap();
        peer
    };
    world.settle();
    assert_eq!(world.seen(key).bytes, b"before");
    world.set_receiving(key, true);
    world.until(|world| world.seen(key).bytes.len() == 1006);
    drop(peer);
}

fn pausing_and_resuming_loses_nothing<D: Tested>() {
    let mut world = World::<D>::new(Answer::Keep);
    let (key, peer) = world.pair();
    let payload = pattern(5_000_000, 2);
    let peer = writer(peer, payload.clone());
    let mut round = 0;
    world.until(|world| {
        round += 1;
        world.set_receiving(key, round % 3 != 0);
        world.seen(key).bytes.len() >= payload.len()
    });
    assert!(world.seen(key).bytes == payload);
    drop(peer.join().unwrap());
}

fn pausing_twice_in_a_turn_changes_nothing<D: Tested>() {
    let mut world = World::<D>::new(Answer::Keep);
    let (key, mut peer) = world.pair();
    for round in 0..50 {
        for on in [false, true, false, true] {
            world.set_receiving(key, on);
        }
        peer.write_all(&pattern(10, round)).unwrap();
        world.until(|world| world.seen(key).bytes.len() == (round + 1) * 10);
    }
    let expected: Vec<u8> = (0..50).flat_map(|round| pattern(10, round)).collect();
    assert_eq!(world.seen(key).bytes, expected);
}

fn an_end_during_a_pause_is_told_after_it<D: Tested>() {
    let mut world = World::<D>::new(Answer::Keep);
    let (key, mut peer) = world.pair();
    world.turn(Duration::ZERO);
    world.set_receiving(key, false);
    world.settle();
    peer.write_all(b"last words").unwrap();
    drop(peer);
    world.settle();
    assert_eq!(world.seen(key).ended, 0);
    world.set_receiving(key, true);
    world.until(|world| world.seen(key).ended == 1);
    assert_eq!(world.seen(key).bytes, b"last words");
}
