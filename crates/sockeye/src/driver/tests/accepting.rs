//! Listening sockets.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;

use super::world::{Answer, World};
use super::{Tested, with_each_driver};

with_each_driver!(
    connections_wait_while_accepting_is_stopped,
    a_stopped_listener_refuses,
    stopping_and_going_on_in_one_turn_loses_no_connection,
);

fn connections_wait_while_accepting_is_stopped<D: Tested>() {
    let mut world = World::<D>::new(Answer::Keep);
    let (listener, address) = world.listen();
    world.settle();
    world.set_accepting(listener, false);
    world.settle();
    let mut peer = TcpStream::connect(address).unwrap();
    peer.write_all(b"hello").unwrap();
    world.settle();
    assert!(world.book.accepted.is_empty());
    world.set_accepting(listener, true);
    world.until(|world| world.book.accepted.len() == 1);
    let key = world.book.accepted[0];
    world.until(|world| world.seen(key).bytes == b"hello");
}

fn a_stopped_listener_refuses<D: Tested>() {
    let mut world = World::<D>::new(Answer::Keep);
    let (listener, address) = world.listen();
    let waiting = TcpStream::connect(address).unwrap();
    world.settle();
    world.stop_listening(listener);
    let error = TcpStream::connect(address).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    world.settle();
    assert_eq!(world.book.accepted.len(), 1);
    drop(waiting);
}

fn stopping_and_going_on_in_one_turn_loses_no_connection<D: Tested>() {
    let mut world = World::<D>::new(Answer::Keep);
    let (listener, address) = world.listen();
    let mut peers = Vec::new();
    for round in 1..=100 {
        peers.push(TcpStream::connect(address).unwrap());
        world.set_accepting(listener, false);
        if round % 2 == 0 {
            world.turn(std::time::Duration::ZERO);
        }
        world.set_accepting(listener, true);
        if round % 3 == 0 {
            world.set_accepting(listener, false);
            world.set_accepting(listener, true);
        }
    }
    world.until(|world| world.book.accepted.len() == 100);
}
