//! Turns that wait, and what ends their waiting.

use std::io::Write;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::world::{Answer, PATIENCE, World};
use super::{Tested, with_each_driver};

with_each_driver!(
    a_turn_ends_when_its_time_is_over,
    a_turn_without_time_does_not_wait,
    a_turn_may_have_all_the_time,
    a_waker_ends_the_waiting_from_another_thread,
    waking_before_the_turn_counts,
    a_waker_of_a_driver_that_is_gone_does_nothing,
    the_descriptor_says_when_there_is_something_to_do,
    the_descriptor_says_that_it_was_woken,
);

fn a_turn_ends_when_its_time_is_over<D: Tested>() {
    let mut world = World::<D>::new(Answer::Keep);
    let (_, _peer) = world.pair();
    world.settle();
    let start = Instant::now();
    assert_eq!(world.turn(Duration::from_millis(30)), 0);
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(29), "{took:?}");
    assert!(took < PATIENCE);
}

fn a_turn_without_time_does_not_wait<D: Tested>() {
    let mut world = World::<D>::new(Answer::Keep);
    let (_, _peer) = world.pair();
    world.settle();
    let start = Instant::now();
    for _ in 0..1000 {
        assert_eq!(world.turn(Duration::ZERO), 0);
    }
    assert!(start.elapsed() < Duration::from_secs(5));
}

fn a_turn_may_have_all_the_time<D: Tested>() {
    let mut world = World::<D>::new(Answer::Keep);
    let waker = world.driver.waker();
    let thread = std::thread::spawn(move || waker.wake());
    assert_eq!(world.turn(Duration::MAX), 0);
    thread.join().unwrap();
    world.driver.waker().wake();
    assert_eq!(world.driver.turn(None, &mut world.book).unwrap(), 0);
}

fn a_waker_ends_the_waiting_from_another_thread<D: Tested>() {
    let mut world = World::<D>::new(Answer::Keep);
    let waker = world.driver.waker();
    let start = Instant::now();
    for _ in 0..100 {
        let waker = waker.clone();
        let thread = std::thread::spawn(move || waker.wake());
        assert_eq!(world.turn(PATIENCE), 0);
        thread.join().unwrap();
    }
    assert!(start.elapsed() < PATIENCE);
}

fn waking_before_the_turn_counts<D: Tested>() {
    let mut world = World::<D>::new(Answer::Keep);
    let waker = world.driver.waker();
    let start = Instant::now();
    for _ in 0..100 {
        waker.wake();
        waker.wake();
        assert_eq!(world.turn(PATIENCE), 0);
    }
    assert!(start.elapsed() < PATIENCE);
}

fn a_waker_of_a_driver_that_is_gone_does_nothing<D: Tested>() {
    let world = World::<D>::new(Answer::Keep);
    let waker = world.driver.waker();
    drop(world);
    waker.wake();
}

/// Waits for the driver's descriptor, as a runtime would: told of edges.
struct Watch(Poll);

impl Watch {
    fn new<D: Tested>(world: &World<D>) -> Self {
        let poll = Poll::new().unwrap();
        let descriptor = world.driver.as_raw_fd();
        poll.registry()
            .register(&mut SourceFd(&descriptor), Token(0), Interest::READABLE)
            .unwrap();
        Self(poll)
    }

    fn is_told(&mut self, time: Duration) -> bool {
        let mut events = Events::with_capacity(4);
        self.0.poll(&mut events, Some(time)).unwrap();
        !events.is_empty()
    }
}

fn the_descriptor_says_when_there_is_something_to_do<D: Tested>() {
    let mut world = World::<D>::new(Answer::Keep);
    let (key, mut peer) = world.pair();
    let mut watch = Watch::new(&world);
    for round in 1..=100 {
        while world.turn(Duration::ZERO) > 0 {}
        peer.write_all(b"x").unwrap();
        assert!(watch.is_told(PATIENCE));
        world.until(|world| world.seen(key).bytes.len() == round);
    }
    while world.turn(Duration::ZERO) > 0 {}
    // What it said so far is old.
    watch.is_told(Duration::ZERO);
    while world.turn(Duration::ZERO) > 0 {}
    assert!(!watch.is_told(Duration::from_millis(20)), "nothing is left to do");
}

fn the_descriptor_says_that_it_was_woken<D: Tested>() {
    let mut world = World::<D>::new(Answer::Keep);
    let waker = world.driver.waker();
    let mut watch = Watch::new(&world);
    for _ in 0..100 {
        while world.turn(Duration::ZERO) > 0 {}
        let waker = waker.clone();
        let thread = std::thread::spawn(move || waker.wake());
        assert!(watch.is_told(PATIENCE));
        thread.join().unwrap();
        world.turn(Duration::ZERO);
    }
}
