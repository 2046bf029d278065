//! A system that fails on purpose.

use std::io::{Read, Write};
use std::net::TcpStream;

use rustix::io::Errno;

use super::world::{Answer, World, pattern, reader};
use super::{Tested, with_each_driver};
use crate::driver::faults::{Fault, Operation};

with_each_driver!(
    short_writes_lose_nothing,
    interrupted_and_refused_sends_are_tried_again,
    a_reset_at_any_send_is_told,
    a_reset_at_any_receive_is_told,
);

fn short_writes_lose_nothing<D: Tested>() {
    for limit in [1, 2, 7, 100] {
        let mut world = World::<D>::new(Answer::Keep);
        let (key, peer) = world.pair();
        world.driver.faults().always(Operation::Send, Fault::Short(limit));
        let payload = pattern(limit * 40, limit);
        for part in payload.chunks(limit * 3 + 1) {
            world.send(key, part).unwrap();
        }
        // With readiness, the rest is sent when the system says that it takes more, which it does not say here.
        world.until(|world| {
            world.book.writable_again(&mut world.driver, key);
            world.unsent(key) == 0
        });
        assert_eq!(reader(peer, payload.len()).join().unwrap(), payload);
    }
}

fn interrupted_and_refused_sends_are_tried_again<D: Tested>() {
    for fault in [Errno::INTR, Errno::AGAIN] {
        let mut world = World::<D>::new(Answer::Keep);
        let (key, peer) = world.pair();
        world.driver.faults().plan(Operation::Send, Fault::Error(fault));
        world.send(key, b"hello").unwrap();
        world.until(|world| {
            world.book.writable_again(&mut world.driver, key);
            world.unsent(key) == 0
        });
        let bytes = reader(peer, 5).join().unwrap();
        assert_eq!(bytes, b"hello", "{fault:?}");
    }
}

fn a_reset_at_any_send_is_told<D: Tested>() {
    for fine in 0..10 {
        let mut world = World::<D>::new(Answer::Keep);
        let (key, _peer) = world.pair();
        for _ in 0..fine {
            world.driver.faults().plan(Operation::Send, Fault::None);
        }
        world
            .driver
            .faults()
            .plan(Operation::Send, Fault::Error(Errno::CONNRESET));
        let mut refused = 0;
        world.until(|world| {
            refused += usize::from(world.send(key, b"hello").is_err());
            refused + world.seen(key).failed.len() > 0
        });
        world.close(key);
        world.settle();
    }
}

fn a_reset_at_any_receive_is_told<D: Tested>() {
    for fine in 0..10 {
        let mut world = World::<D>::new(Answer::Echo);
        let (_, address) = world.listen();
        for _ in 0..fine {
            world.driver.faults().plan(Operation::Receive, Fault::None);
        }
        let fault = Fault::Error(Errno::CONNRESET);
        world.driver.faults().plan(Operation::Receive, fault);
        let peers = std::thread::spawn(move || {
            let mut peers: Vec<_> = (0..20).map(|_| TcpStream::connect(address).unwrap()).collect();
            for (index, peer) in peers.iter_mut().enumerate() {
                peer.write_all(&pattern(20, index)).unwrap();
            }
            let mut lost = 0;
            for (index, peer) in peers.iter_mut().enumerate() {
                let mut answer = Vec::new();
                let mut answered = [0; 20];
                match peer.read_exact(&mut answered) {
                    Ok(()) => assert_eq!(answered[..], pattern(20, index)),
                    Err(_) => lost += 1,
                }
                peer.shutdown(std::net::Shutdown::Write).ok();
                peer.read_to_end(&mut answer).ok();
            }
            lost
        });
        world.until(|world| world.book.over == 20);
        world.settle();
        // One is lost, and the others do not notice.
        assert_eq!(peers.join().unwrap(), 1);
    }
}
