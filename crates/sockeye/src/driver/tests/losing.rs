//! A kernel that loses completions, for want of memory.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::Tested;
use super::world::{Answer, PATIENCE, World, pattern, reader};
use crate::driver::{Driver, Key, Uring};

/// A world on a driver with few buffers; none where the system does not allow it.
fn world(answer: Answer) -> Option<World<Uring>> {
    Uring::is_available().then(|| World::with(<Uring as Tested>::scarce(), answer))
}

/// The next thing to happen is not told of, and the kernel says that something was not.
fn lose(world: &mut World<Uring>, count: u32) {
    world.driver.lose_completions(count);
}

#[track_caller]
fn assert_lost(world: &mut World<Uring>, key: Key) {
    assert_eq!(world.seen(key).failed, [ErrorKind::OutOfMemory]);
}

#[track_caller]
fn assert_echoed(peer: &mut TcpStream, world: &mut World<Uring>, payload: &[u8]) {
    peer.write_all(payload).unwrap();
    let answer = reader(peer.try_clone().unwrap(), payload.len());
    world.until(|_| answer.is_finished());
    assert_eq!(answer.join().unwrap(), payload);
}

/// Nobody can say whose bytes they were. Those who come later are not concerned, however often it happens.
#[test]
fn connections_are_lost_rather_than_bytes_and_those_who_come_later_are_not() {
    let Some(mut world) = world(Answer::Echo) else {
        return;
    };
    // There are fewer buffers than this.
    for round in 0..5 {
        let mut pairs: Vec<_> = (0..3).map(|_| world.pair()).collect();
        for (_, peer) in &mut pairs {
            assert_echoed(peer, &mut world, &pattern(9000, round));
        }
        let over = world.book.over;
        lose(&mut world, 1);
        pairs[1].1.write_all(b"lost").unwrap();
        world.until(|world| world.book.over == over + 3);
        world.settle();
        for (_, peer) in &mut pairs {
            let end = peer.read(&mut [0; 8]);
            assert!(matches!(end, Ok(0)) || end.is_err(), "{end:?}");
        }
    }
    let (_, mut peer) = world.pair();
    assert_echoed(&mut peer, &mut world, &pattern(20_000, 1));
}

/// Neither what comes behind lost bytes is told, nor does the end of the operation, for want of buffers, hide that it was under
/// way.
#[test]
fn nothing_is_told_of_what_came_behind_lost_bytes() {
    let Some(mut world) = world(Answer::Keep) else {
        return;
    };
    let (key, mut peer) = world.pair();
    world.settle();
    lose(&mut world, 1);
    // More than all buffers.
    let sent = pattern(20_000, 1);
    peer.write_all(&sent).unwrap();
    world.settle();
    assert!(sent.starts_with(&world.seen(key).bytes));
    assert_lost(&mut world, key);
}

/// For a while the kernel has no memory to tell that all has ended, either.
#[test]
fn it_goes_on_when_the_kernel_tells_nothing_for_a_while() {
    let Some(mut world) = world(Answer::Echo) else {
        return;
    };
    let (_, mut peer) = world.pair();
    world.settle();
    lose(&mut world, 150);
    peer.write_all(b"lost").unwrap();
    world.until(|world| world.book.over == 1);
    let (_, mut peer) = world.pair();
    assert_echoed(&mut peer, &mut world, &pattern(20_000, 1));
}

#[test]
fn a_connection_with_nothing_under_way_is_not_concerned() {
    let Some(mut world) = world(Answer::Keep) else {
        return;
    };
    let (paused, mut paused_peer) = world.pair();
    let (other, mut peer) = world.pair();
    world.set_receiving(paused, false);
    world.settle();
    paused_peer.write_all(b"kept").unwrap();
    lose(&mut world, 1);
    peer.write_all(b"lost").unwrap();
    world.until(|world| !world.seen(other).failed.is_empty());
    assert_lost(&mut world, other);
    world.set_receiving(paused, true);
    world.until(|world| world.seen(paused).bytes == b"kept");
    assert!(world.seen(paused).failed.is_empty());
}

/// Such a connection is read by calls, and the ring only tells when.
#[test]
fn who_sends_much_loses_nothing_by_a_lost_notice() {
    if !Uring::is_available() {
        return;
    }
    let mut world = World::<Uring>::new(Answer::Keep);
    let (key, mut peer) = world.pair();
    let payload = pattern(600_000, 5);
    let mut received = 0;
    // The system has room for each part.
    for part in payload.chunks(100_000) {
        peer.write_all(part).unwrap();
        received += part.len();
        world.until(|world| world.seen(key).bytes.len() == received);
        world.settle();
        // What comes next is not told of.
        lose(&mut world, 1);
    }
    assert!(world.seen(key).failed.is_empty());
    assert!(world.seen(key).bytes == payload);
    peer.write_all(b"end").unwrap();
    world.until(|world| world.seen(key).bytes.ends_with(b"end"));
}

#[test]
fn a_send_whose_end_was_lost_fails() {
    let Some(mut world) = world(Answer::Keep) else {
        return;
    };
    world.book.send_room = Some(4096);
    let (key, peer) = world.pair();
    // More than there is room for, so that it has a completion.
    world.send(key, &pattern(1_000_000, 1)).unwrap();
    world.settle();
    assert!(world.unsent(key) > 0);
    lose(&mut world, 1);
    let rest = std::thread::spawn({
        let mut peer = peer.try_clone().unwrap();
        move || peer.read_to_end(&mut Vec::new())
    });
    world.until(|world| !world.seen(key).failed.is_empty());
    assert_lost(&mut world, key);
    world.close(key);
    world.until(|_| rest.is_finished());
}

/// Silent sends have no completion, if all is well; but one that went wrong may have lost it.
#[test]
fn a_silent_send_may_be_what_was_lost() {
    let Some(mut world) = world(Answer::Keep) else {
        return;
    };
    let (key, _peer) = world.pair();
    let (other, mut other_peer) = world.pair();
    world.settle();
    world.send(key, b"hello").unwrap();
    lose(&mut world, 1);
    other_peer.write_all(b"lost").unwrap();
    world.until(|world| !world.seen(other).failed.is_empty());
    assert_lost(&mut world, key);
}

/// What its owner has closed is closed, though its last send is never heard of again.
#[test]
fn a_socket_that_was_closed_while_it_sent_is_closed_though_the_end_of_that_was_lost() {
    let Some(mut world) = world(Answer::Keep) else {
        return;
    };
    world.book.send_room = Some(4096);
    let (key, mut peer) = world.pair();
    world.send(key, &pattern(1_000_000, 1)).unwrap();
    world.settle();
    // Its ends of receiving and of sending.
    lose(&mut world, 2);
    world.close(key);
    world.settle();
    let end = std::thread::spawn(move || peer.read_to_end(&mut Vec::new()));
    world.until(|_| end.is_finished());
    // With a reset, since not all could be sent; or in order.
    let _: io::Result<usize> = end.join().unwrap();
}

#[test]
fn accepting_goes_on() {
    let Some(mut world) = world(Answer::Keep) else {
        return;
    };
    let (key, address) = world.listen();
    let (_, other_address) = world.listen();
    world.settle();
    for round in 1..4 {
        lose(&mut world, 1);
        let unheard_of = TcpStream::connect(address).unwrap();
        world.settle();
        for address in [address, other_address] {
            let heard_of = TcpStream::connect(address).unwrap();
            world.until(|world| world.book.accepted.pop_front().is_some());
            drop(heard_of);
        }
        // Once each, however often it was begun.
        world.settle();
        assert!(world.book.accepted.is_empty(), "{round}");
        drop(unheard_of);
    }
    // Here it is the end of accepting that is not told of.
    lose(&mut world, 1);
    world.set_accepting(key, false);
    world.settle();
    let waiting = TcpStream::connect(address).unwrap();
    world.settle();
    assert!(world.book.accepted.is_empty());
    world.set_accepting(key, true);
    world.until(|world| world.book.accepted.pop_front().is_some());
    drop(waiting);
}

#[test]
fn who_wakes_the_driver_is_heard_again() {
    let Some(mut world) = world(Answer::Keep) else {
        return;
    };
    let waker = world.driver.waker();
    for _ in 0..3 {
        world.settle();
        lose(&mut world, 1);
        waker.wake();
        world.settle();
        let sleeper = std::time::Instant::now();
        let thread = std::thread::spawn({
            let waker = waker.clone();
            move || waker.wake()
        });
        world.turn(PATIENCE);
        assert!(sleeper.elapsed() < PATIENCE, "nobody was woken");
        thread.join().unwrap();
    }
    assert!(world.driver.turn(Some(Duration::ZERO), &mut world.book).is_ok());
}

#[test]
fn a_driver_that_has_lost_something_is_dropped_in_order() {
    let Some(mut world) = world(Answer::Keep) else {
        return;
    };
    let (key, mut peer) = world.pair();
    world.settle();
    // The end of receiving is not told of.
    lose(&mut world, 1);
    world.set_receiving(key, false);
    world.settle();
    let begun = std::time::Instant::now();
    drop(world);
    // It does not wait for what has ended.
    assert!(begun.elapsed() < Duration::from_millis(900));
    assert!(matches!(peer.read(&mut [0; 8]), Ok(0) | Err(_)));
}
