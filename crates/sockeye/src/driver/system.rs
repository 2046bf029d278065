//! The system calls that move bytes, counted, and in tests made to fail.

use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};

use super::{Counters, Output};

#[cfg(test)]
use super::faults::{Faults, Operation};

/// The system, as a driver sees it.
#[derive(Debug, Default)]
pub(super) struct System {
    pub(super) counters: Counters,
    #[cfg(test)]
    pub(super) faults: Faults,
}

/// How many pieces are written by one call.
const SLICES: usize = 64;

impl System {
    pub(super) fn receive(&mut self, socket: &OwnedFd, buffer: &mut [u8]) -> Result<usize, Errno> {
        self.counters.receives += 1;
        #[cfg(test)]
        let buffer = {
            let room = self.faults.limit(Operation::Receive, buffer.len())?;
            &mut buffer[..room]
        };
        rustix::net::recv(socket, buffer, RecvFlags::empty()).map(|(count, _)| count)
    }

    /// Sends from the front of what waits; gives how many bytes were offered, and how many the system took.
    pub(super) fn send(&mut self, socket: &OwnedFd, output: &Output) -> io::Result<(usize, usize)> {
        if let Some(only) = output.only() {
            return self.write(socket, &[IoSlice::new(only)]);
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        self.write(socket, output.slices(&mut slices))
    }

    /// Sends what waits and `payload` behind it; gives how many bytes were offered, and how many the system took. `None` if
    /// these are too many pieces for one call.
    pub(super) fn send_both(
        &mut self,
        socket: &OwnedFd,
        output: Option<&Output>,
        payload: &[IoSlice<'_>],
    ) -> io::Result<Option<(usize, usize)>> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let filled = output.map_or(0, |output| output.slices(&mut slices).len());
        if filled + payload.len() > SLICES {
            return Ok(None);
        }
        for (slice, part) in slices[filled..].iter_mut().zip(payload) {
            *slice = IoSlice::new(part);
        }
        self.write(socket, &slices[..filled + payload.len()]).map(Some)
    }

    fn write(&mut self, socket: &OwnedFd, slices: &[IoSlice<'_>]) -> io::Result<(usize, usize)> {
        let offered = slices.iter().map(|slice| slice.len()).sum();
        loop {
            self.counters.sends += 1;
            return match self.try_write(socket, slices, offered) {
                Ok(taken) => Ok((offered, taken)),
                Err(Errno::WOULDBLOCK) => Ok((offered, 0)),
                Err(Errno::INTR) => continue,
                Err(error) => Err(error.into()),
            };
        }
    }

    #[cfg_attr(not(test), expect(clippy::unused_self, reason = "faults are injected here"))]
    fn try_write(
        &mut self,
        socket: &OwnedFd,
        slices: &[IoSlice<'_>],
        offered: usize,
    ) -> Result<usize, Errno> {
        #[cfg(test)]
        {
            let limit = self.faults.limit(Operation::Send, offered)?;
            if limit < offered {
                let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
                return rustix::net::send(socket, &all[..limit], SendFlags::NOSIGNAL);
            }
        }
        let _ = offered;
        match slices {
            [slice] => rustix::net::send(socket, slice, SendFlags::NOSIGNAL),
            _ => {
                let mut control = SendAncillaryBuffer::default();
                rustix::net::sendmsg(socket, slices, &mut control, SendFlags::NOSIGNAL)
            }
        }
    }

    pub(super) fn accept(&mut self, listener: &OwnedFd) -> io::Result<OwnedFd> {
        self.counters.accepts += 1;
        #[cfg(test)]
        self.faults.limit(Operation::Accept, 0)?;
        accept(listener)
    }
}

#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn accept(listener: &OwnedFd) -> io::Result<OwnedFd> {
    use rustix::net::SocketFlags;

    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::accept_with(listener, flags)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
fn accept(listener: &OwnedFd) -> io::Result<OwnedFd> {
    let (socket, _) = socket2::SockRef::from(listener).accept()?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Whether accepting failed for a reason of the one connection only, or of its network: the next one may be accepted.
///
/// Linux passes errors of a new connection's network on (accept(2), "Error handling").
pub(super) fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(
            Errno::CONNABORTED
                | Errno::INTR
                | Errno::NETDOWN
                | Errno::PROTO
                | Errno::NOPROTOOPT
                | Errno::HOSTDOWN
                | Errno::HOSTUNREACH
                | Errno::NETUNREACH
                | Errno::PERM
        )
    )
}
