//! Whether the kernel has all that the driver needs, and tells what silent flights did not send.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use io_uring::opcode;
use rustix::io::Errno;
use socket2::SockRef;

use super::super::probe::Unavailable;
use super::super::{Key, Output};
use super::flight::ALL;
use super::ring::{Completion, Ring, Sizes};
use super::token::Token;

/// More than a [`narrow_pair`] has room for, in bytes.
const TOO_MUCH: usize = 256 * 1024;

/// Makes a ring and asks the kernel.
pub(in super::super) fn probe() -> Result<(), Unavailable> {
    let mut ring = Ring::new(Sizes::SMALL)?;
    let known = ring
        .operations()
        .map_err(|error| Unavailable::new("asking for its operations", &error))?;
    let operations = [
        opcode::AcceptMulti::CODE,
        opcode::AsyncCancel::CODE,
        opcode::Close::CODE,
        opcode::Connect::CODE,
        opcode::PollAdd::CODE,
        opcode::RecvMulti::CODE,
        opcode::Send::CODE,
        opcode::SendMsg::CODE,
    ];
    if let Some(code) = operations.iter().find(|&&code| !known.is_supported(code)) {
        return Err(Unavailable::new(
            &format!("operation {code}"),
            &io::ErrorKind::Unsupported.into(),
        ));
    }
    let told = narrow_pair().and_then(|(socket, _peer)| send_silently(&mut ring, &socket, TOO_MUCH));
    match told {
        Ok(Some(Ok(_))) => Ok(()),
        Ok(_) => Err(Unavailable::new(
            "telling what was not sent",
            &io::ErrorKind::Unsupported.into(),
        )),
        Err(error) => Err(Unavailable::new("sending", &error)),
    }
}

/// Sends `length` bytes by a silent flight; gives what it tells, which is nothing if all were sent.
fn send_silently(
    ring: &mut Ring,
    socket: &UnixStream,
    length: usize,
) -> io::Result<Option<Result<usize, Errno>>> {
    let mut output = Box::new(Output::new());
    output.tail().resize(length, 0);
    let flight = ring.flights().output(Key::new(0, 0), output, false);
    ring.launch(flight, socket.as_raw_fd(), ALL);
    ring.look()?;
    let (mut completions, mut sent) = (Vec::new(), Vec::new());
    ring.take(&mut completions, &mut sent);
    ring.flights().end(flight);
    let told = completions
        .iter()
        .find(|completion| completion.token == Token::Flight(flight));
    Ok(told.map(Completion::moved))
}

/// A socket with little room, and its peer.
fn narrow_pair() -> io::Result<(UnixStream, UnixStream)> {
    let (socket, peer) = UnixStream::pair()?;
    SockRef::from(&socket).set_send_buffer_size(4096)?;
    Ok((socket, peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ring, if the system allows one, and a socket with its peer.
    fn ring() -> Option<(Ring, UnixStream, UnixStream)> {
        let ring = Ring::new(Sizes::SMALL)
            .map_err(|reason| eprintln!("not tested: {reason}"))
            .ok()?;
        let (socket, peer) = narrow_pair().unwrap();
        Some((ring, socket, peer))
    }

    #[test]
    fn a_silent_flight_says_nothing_if_all_was_sent() {
        let Some((mut ring, socket, _peer)) = ring() else {
            return;
        };
        assert_eq!(send_silently(&mut ring, &socket, 1000).unwrap(), None);
        assert_eq!(ring.flights().airborne(), 0);
    }

    #[test]
    fn a_silent_flight_says_how_much_was_sent_if_not_all_was_and_that_there_was_no_room() {
        let Some((mut ring, socket, _peer)) = ring() else {
            return;
        };
        let told = send_silently(&mut ring, &socket, TOO_MUCH).unwrap();
        let sent = told.expect("it is told").expect("it sent a part");
        assert!(0 < sent && sent < TOO_MUCH, "{sent}");
        assert_eq!(
            send_silently(&mut ring, &socket, TOO_MUCH).unwrap(),
            Some(Err(Errno::AGAIN))
        );
        assert_eq!(ring.flights().airborne(), 0);
    }

    #[test]
    fn a_silent_flight_says_that_the_connection_is_lost() {
        let Some((mut ring, socket, peer)) = ring() else {
            return;
        };
        drop(peer);
        assert_eq!(
            send_silently(&mut ring, &socket, 1000).unwrap(),
            Some(Err(Errno::PIPE))
        );
    }
}
