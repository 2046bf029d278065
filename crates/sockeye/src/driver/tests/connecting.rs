//! Sockets that the driver connects.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;

use super::world::{Answer, World};
use super::{Tested, with_each_driver};

with_each_driver!(
    a_connected_socket_receives_and_sends,
    a_refusal_is_told,
    an_address_that_cannot_be_reached_is_told,
    what_is_sent_while_connecting_leaves_after_it,
    closing_while_connecting_is_silent,
);

fn a_connected_socket_receives_and_sends<D: Tested>() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut world = World::<D>::new(Answer::Keep);
    let key = world.connect(listener.local_addr().unwrap());
    world.until(|world| !world.seen(key).connected.is_empty());
    assert_eq!(world.seen(key).connected, [Ok(())]);
    let (mut peer, _) = listener.accept().unwrap();
    peer.write_all(b"hello").unwrap();
    world.until(|world| world.seen(key).bytes == b"hello");
    world.send(key, b"hi").unwrap();
    world.settle();
    let mut bytes = [0; 2];
    peer.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"hi");
}

fn a_refusal_is_told<D: Tested>() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut world = World::<D>::new(Answer::Keep);
    let key = world.connect(address);
    world.until(|world| !world.seen(key).connected.is_empty());
    assert_eq!(world.seen(key).connected, [Err(ErrorKind::ConnectionRefused)]);
    world.settle();
    assert!(world.seen(key).failed.is_empty());
    assert_eq!(world.seen(key).ended, 0);
    world.close(key);
    world.settle();
}

/// TCP has no broadcast: the system says so without sending anything.
fn an_address_that_cannot_be_reached_is_told<D: Tested>() {
    let mut world = World::<D>::new(Answer::Keep);
    let error = match world.try_connect("255.255.255.255:80".parse().unwrap()) {
        Err(error) => error.kind(),
        Ok(key) => {
            world.until(|world| !world.seen(key).connected.is_empty());
            world.close(key);
            world.book.slots[key.index()].seen.connected[0].unwrap_err()
        }
    };
    assert_eq!(error, ErrorKind::NetworkUnreachable);
    world.settle();
}

fn what_is_sent_while_connecting_leaves_after_it<D: Tested>() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut world = World::<D>::new(Answer::Keep);
    let key = world.connect(listener.local_addr().unwrap());
    world.send(key, b"early").unwrap();
    world.until(|world| !world.seen(key).connected.is_empty());
    world.flush(key).unwrap();
    world.settle();
    let (mut peer, _) = listener.accept().unwrap();
    let mut bytes = [0; 5];
    peer.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"early");
}

fn closing_while_connecting_is_silent<D: Tested>() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut world = World::<D>::new(Answer::Keep);
    for _ in 0..50 {
        let key = world.connect(listener.local_addr().unwrap());
        world.close(key);
    }
    // An event of a closed socket would fail here.
    world.settle();
}
