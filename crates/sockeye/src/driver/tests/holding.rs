//! Newcomers that wait until ends were told.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::Tested;
use super::world::{Answer, PATIENCE, World};
use crate::driver::{Key, Uring};

/// A driver that has learned in an idle turn that all its connections have ended, and then that as many newcomers have come,
/// with room for either; none where the system does not allow it. And the listening socket, and the newcomers.
fn ended_and_come(count: usize) -> Option<(World<Uring>, Key, Vec<TcpStream>)> {
    if !Uring::is_available() {
        return None;
    }
    let mut world = World::<Uring>::new(Answer::Echo);
    world.book.places = count;
    let (listener, address) = world.listen();
    let peers: Vec<_> = (0..count).map(|_| world.pair()).collect();
    world.settle();
    drop(peers);
    learn(&mut world, count);
    let newcomers = (0..count).map(|_| TcpStream::connect(address).unwrap()).collect();
    learn(&mut world, count);
    assert_eq!(world.book.over, 0, "nothing was told yet");
    Some((world, listener, newcomers))
}

/// Lets an idle turn learn of so much.
fn learn(world: &mut World<Uring>, count: usize) {
    let (end, mut learned) = (Instant::now() + PATIENCE, 0);
    while learned < count {
        assert!(Instant::now() < end, "{learned} of {count}");
        learned += world.driver.look_once_more(&mut world.book).unwrap();
    }
}

#[test]
fn who_comes_finds_the_place_of_one_of_whom_an_idle_turn_has_learned() {
    // More than a turn tells of, and than it lets in meanwhile.
    const COUNT: usize = 100;
    let Some((mut world, _, _newcomers)) = ended_and_come(COUNT) else {
        return;
    };
    world.until(|world| world.book.accepted.len() + world.book.turned_away == COUNT);
    assert_eq!(world.book.turned_away, 0);
}

#[test]
fn who_is_held_keeps_turns_from_waiting_only_while_they_can_let_it_in() {
    let Some((mut world, listener, _newcomers)) = ended_and_come(1) else {
        return;
    };
    world.set_accepting(listener, false);
    world.settle();
    assert_eq!(world.book.over, 1);
    let start = Instant::now();
    assert_eq!(world.turn(Duration::from_millis(30)), 0);
    assert!(start.elapsed() >= Duration::from_millis(29), "it does not spin");
    assert!(world.book.accepted.is_empty());
    world.set_accepting(listener, true);
    let start = Instant::now();
    assert_eq!(world.turn(PATIENCE), 1);
    assert!(start.elapsed() < PATIENCE);
    assert_eq!(world.book.accepted.len(), 1);
}
