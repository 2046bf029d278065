//! Sockets to connect with.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::bench::plan::{Address, Plan};
use crate::bench::trouble::{Kind, Trouble};

/// Receive buffer of a slow reader, in bytes.
const RECEIVE_BUFFER: usize = 8 * 1024;

/// A socket for the connection with this number, and where it is to go.
pub(super) fn open(plan: &Plan, number: usize) -> Result<(OwnedFd, SockAddr), Trouble> {
    make(plan, number).map_err(|error| trouble(&error))
}

fn make(plan: &Plan, number: usize) -> io::Result<(OwnedFd, SockAddr)> {
    let (socket, address) = match &plan.address {
        Address::Unix(path) => (
            Socket::new(Domain::UNIX, Type::STREAM, None)?,
            SockAddr::unix(path)?,
        ),
        Address::Tcp(address) => {
            let socket = Socket::new(Domain::for_address(*address), Type::STREAM, None)?;
            socket.set_tcp_nodelay(true)?;
            if let Some(source) = plan.sources.of(number) {
                socket.bind(&SocketAddr::new(source, 0).into())?;
            }
            (socket, SockAddr::from(*address))
        }
    };
    if number < plan.slow {
        // So that it is the server that has to hold what is not read.
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    }
    socket.set_nonblocking(true)?;
    Ok((socket.into(), address))
}

/// Why there is no connection.
pub(super) fn trouble(error: &io::Error) -> Trouble {
    if error.kind() == io::ErrorKind::AddrNotAvailable {
        return Trouble::new(
            Kind::Connect,
            "no port is free, or the address is not of this machine: --source names addresses to connect from",
        );
    }
    Trouble::of_system(Kind::Connect, error)
}
