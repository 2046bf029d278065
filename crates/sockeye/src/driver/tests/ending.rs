//! How connections end.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use socket2::SockRef;

use super::world::{Answer, World, crowd, pattern, reader};
use super::{Tested, with_each_driver};

with_each_driver!(
    the_peers_end_is_told_once,
    a_reset_is_told_once,
    sending_goes_on_after_the_peers_end,
    shutdown_waits_for_what_is_under_way,
    close_sends_what_the_system_takes,
    close_does_not_wait_for_a_peer_that_does_not_read,
    reset_resets,
    sending_to_a_peer_that_is_gone_fails_once,
    a_slot_is_used_again_at_once,
    everything_can_be_under_way_when_the_driver_is_dropped,
    thousands_are_closed_at_once,
    a_socket_can_be_closed_while_it_is_told_of_bytes,
);

fn the_peers_end_is_told_once<D: Tested>() {
    let mut world = World::<D>::new(Answer::Keep);
    let (key, peer) = world.pair();
    drop(peer);
    world.until(|world| world.seen(key).ended > 0);
    world.settle();
    assert_eq!(world.seen(key).ended, 1);
    assert!(world.seen(key).failed.is_empty());
}

fn a_reset_is_told_once<D: Tested>() {
    let mut world = World::<D>::new(Answer::Keep);
    let (key, peer) = world.pair();
    SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
    world.until(|world| !world.seen(key).failed.is_empty());
    world.settle();
    assert_eq!(world.seen(key).failed, [ErrorKind::ConnectionReset]);
    assert_eq!(world.seen(key).ended, 0);
}

fn sending_goes_on_after_the_peers_end<D: Tested>() {
    let mut world = World::<D>::new(Answer::Keep);
    world.book.send_room = Some(4096);
    let (key, peer) = world.pair();
    peer.shutdown(Shutdown::Write).unwrap();
    world.until(|world| world.seen(key).ended == 1);
    let payload = pattern(500_000, 4);
    world.send(key, &payload).unwrap();
    let peer = reader(peer, payload.len());
    world.until(|world| world.unsent(key) == 0);
    assert_eq!(peer.join().unwrap(), payload);
}

fn shutdown_waits_for_what_is_under_way<D: Tested>() {
    let mut world = World::<D>::new(Answer::Keep);
    world.book.send_room = Some(1 << 20);
    let (key, mut peer) = world.pair();
    let payload = pattern(100_000, 4);
    world.send(key, &payload).unwrap();
    world.until(|world| world.book.slots[key.index()].outbox.is_empty());
    world.shutdown(key);
    let peer = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        peer.read_to_end(&mut bytes).unwrap();
        (bytes, peer)
    });
    world.until(|_| peer.is_finished());
    let (bytes, peer) = peer.join().unwrap();
    assert_eq!(bytes, payload);
    drop(peer);
    world.until(|world| world.seen(key).ended == 1);
}

fn close_sends_what_the_system_takes<D: Tested>() {
    let mut world = World::<D>::new(Answer::Keep);
    let (key, mut peer) = world.pair();
    world.turn(Duration::ZERO);
    world.send(key, b"good bye").unwrap();
    world.close(key);
    world.settle();
    let mut bytes = Vec::new();
    peer.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"good bye");
}

fn close_does_not_wait_for_a_peer_that_does_not_read<D: Tested>() {
    let mut world = World::<D>::new(Answer::Keep);
    world.book.send_room = Some(4096);
    let (key, mut peer) = world.pair();
    let payload = pattern(10_000_000, 4);
    world.send(key, &payload).unwrap();
    world.settle();
    world.close(key);
    world.settle();
    let mut bytes = Vec::new();
    // The end is reached: nothing is sent any more.
    peer.read_to_end(&mut bytes).unwrap();
    assert!(bytes.len() < payload.len());
    assert!(payload.starts_with(&bytes));
}

fn reset_resets<D: Tested>() {
    let mut world = World::<D>::new(Answer::Keep);
    let (key, mut peer) = world.pair();
    world.turn(Duration::ZERO);
    world.reset(key);
    world.settle();
    assert_eq!(
        peer.read(&mut [0; 1]).unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
}

fn sending_to_a_peer_that_is_gone_fails_once<D: Tested>() {
    let mut world = World::<D>::new(Answer::Keep);
    world.book.send_room = Some(4096);
    let (key, peer) = world.pair();
    let mut told = usize::from(world.send(key, &pattern(2_000_000, 1)).is_err());
    world.settle();
    drop(peer);
    world.until(|world| !world.seen(key).failed.is_empty() || world.seen(key).ended > 0);
    told += usize::from(world.send(key, b"more").is_err());
    world.settle();
    told += world.seen(key).failed.len();
    assert!(told <= 2, "{told}");
    world.close(key);
    world.settle();
}

/// Data comes in the turn in which its socket is closed, and the next socket gets slot and descriptor.
fn a_slot_is_used_again_at_once<D: Tested>() {
    let mut world = World::<D>::new(Answer::Keep);
    for round in 0..200 {
        let (old, mut peer) = world.pair();
        if round % 2 == 0 {
            world.turn(Duration::ZERO);
        }
        peer.write_all(b"stale").unwrap();
        world.close(old);
        let (new, mut next) = world.pair();
        assert_eq!(old.index(), new.index());
        next.write_all(b"fresh").unwrap();
        world.until(|world| world.seen(new).bytes.len() >= 5);
        assert_eq!(world.seen(new).bytes, b"fresh");
        world.send(new, b"answer").unwrap();
        world.settle();
        let mut answer = [0; 6];
        next.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"answer");
        world.close(new);
    }
}

fn everything_can_be_under_way_when_the_driver_is_dropped<D: Tested>() {
    let mut world = World::<D>::with(D::scarce(), Answer::Echo);
    world.book.send_room = Some(4096);
    let (_, address) = world.listen();
    let mut peers: Vec<TcpStream> = Vec::new();
    for index in 0..50 {
        let (key, mut peer) = world.pair();
        peer.write_all(&pattern(100, index)).unwrap();
        world.send(key, &pattern(100_000, index)).unwrap();
        if index % 5 == 0 {
            world.turn(Duration::ZERO);
        }
        if index % 7 == 0 {
            world.close(key);
        }
        peers.push(peer);
        peers.push(TcpStream::connect(address).unwrap());
    }
    let World { driver, book } = world;
    drop(driver);
    drop(book);
    for mut peer in peers {
        peer.set_read_timeout(Some(super::world::PATIENCE)).unwrap();
        // Each is over: by an end or a reset, not by the time that a test may take.
        let error = std::io::copy(&mut peer, &mut std::io::sink()).err();
        assert_ne!(error.map(|error| error.kind()), Some(ErrorKind::WouldBlock));
    }
}

fn thousands_are_closed_at_once<D: Tested>() {
    let count = crowd();
    let mut world = World::<D>::new(Answer::Keep);
    let (_, address) = world.listen();
    let peers = std::thread::spawn(move || {
        (0..count)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect::<Vec<_>>()
    });
    world.until(|world| world.book.accepted.len() == count);
    let mut peers = peers.join().unwrap();
    for key in std::mem::take(&mut world.book.accepted) {
        world.close(key);
    }
    // Accepting goes on meanwhile.
    let late = TcpStream::connect(address).unwrap();
    world.until(|world| world.book.accepted.len() == 1);
    drop(late);
    world.settle();
    for peer in &mut peers {
        assert_eq!(peer.read(&mut [0; 1]).unwrap(), 0);
    }
}

fn a_socket_can_be_closed_while_it_is_told_of_bytes<D: Tested>() {
    let mut world = World::<D>::new(Answer::Close);
    let mut pairs: Vec<_> = (0..50).map(|_| world.pair()).collect();
    for (_, peer) in &mut pairs {
        peer.write_all(b"bye").unwrap();
    }
    world.until(|world| world.book.free.len() == 50);
    world.settle();
    for (_, peer) in &mut pairs {
        assert_eq!(peer.read(&mut [0; 1]).unwrap(), 0);
    }
}
