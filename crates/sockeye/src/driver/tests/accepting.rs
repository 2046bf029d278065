//! Listening sockets.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::time::Instant;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit};

use super::world::{Answer, PATIENCE, World};
use super::{Tested, with_each_driver};

with_each_driver!(
    connections_wait_while_accepting_is_stopped,
    a_stopped_listener_refuses,
    stopping_and_going_on_in_one_turn_loses_no_connection,
    a_process_out_of_descriptors_accepts_later,
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
    // A process that another test starts has the socket as well until it runs its program: nobody accepts there.
    let end = Instant::now() + PATIENCE;
    let error = loop {
        match TcpStream::connect(address) {
            Ok(_) => assert!(Instant::now() < end, "it still listens"),
            Err(error) => break error,
        }
    };
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

/// Runs in a process of its own, which has few descriptors.
fn a_process_out_of_descriptors_accepts_later<D: Tested>() {
    const ALONE: &str = "SOCKEYE_TEST_WITH_FEW_DESCRIPTORS";
    if std::env::var_os(ALONE).is_none() {
        let module = module_path!().split_once("::").unwrap().1;
        let this = format!(
            "{module}::{}::a_process_out_of_descriptors_accepts_later",
            D::fresh().kind()
        );
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &this, "--test-threads", "1", "--nocapture"])
            .env(ALONE, "1")
            .output()
            .unwrap();
        assert!(child.status.success(), "{child:?}");
        assert!(
            String::from_utf8_lossy(&child.stdout).contains("1 passed"),
            "{child:?}"
        );
        return;
    }
    let mut world = World::<D>::new(Answer::Keep);
    let (listener, address) = world.listen();
    let limit = Rlimit {
        current: Some(64),
        maximum: Some(64),
    };
    rustix::process::setrlimit(Resource::Nofile, limit).unwrap();
    let peers: Vec<_> = (0..5).map(|_| TcpStream::connect(address).unwrap()).collect();
    let mut others: Vec<_> = std::iter::from_fn(|| peers[0].try_clone().ok()).collect();
    world.until(|world| !world.book.accept_errors.is_empty());
    let error = world.book.accept_errors.pop().unwrap();
    assert_eq!(error.raw_os_error(), Some(Errno::MFILE.raw_os_error()));
    world.settle();
    assert!(
        world.book.accept_errors.is_empty(),
        "it does not try again by itself"
    );
    // Still no room but for two.
    others.truncate(others.len() - 2);
    world.set_accepting(listener, true);
    world.until(|world| !world.book.accept_errors.is_empty());
    assert_eq!(world.book.accepted.len(), 2);
    drop(others);
    world.set_accepting(listener, true);
    world.until(|world| world.book.accepted.len() == 5);
}
