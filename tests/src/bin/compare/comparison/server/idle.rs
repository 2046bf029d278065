//! What a connection costs that does nothing, after one echoed message.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::Library;
use super::child::Child;
use super::report::MemoryRow;
use super::wire::{self, Traffic};
use crate::comparison::Kind;
use crate::comparison::host::{Cores, KernelMemory};

/// Time for the kernel to free what connections that were just opened needed for a moment.
const SETTLE: Duration = Duration::from_millis(500);

/// Opens idle connections to a fresh server.
pub(super) fn measure(library: Library, cores: &Cores, count: usize) -> Result<MemoryRow> {
    let child = Child::start(library, cores)?;
    let traffic = Traffic::new(Kind::Binary, 20, 1);
    // What the first connection makes the program load and allocate is not the price of a connection.
    drop(open(&child, &traffic, 0)?);
    thread::sleep(SETTLE);
    let before = (child.memory()?, KernelMemory::now()?);
    let connections = (0..count)
        .map(|n| open(&child, &traffic, n))
        .collect::<Result<Vec<_>>>()?;
    thread::sleep(SETTLE);
    let after = (child.memory()?, KernelMemory::now()?);
    drop(connections);
    Ok(MemoryRow {
        library,
        connections: count,
        before: before.0,
        after: after.0,
        kernel_before: before.1,
        kernel_after: after.1,
    })
}

/// A connection over which one message went there and back.
fn open(child: &Child, traffic: &Traffic, n: usize) -> Result<TcpStream> {
    let mut stream = wire::open(child.address(), n)?;
    stream.write_all(&traffic.requests[..traffic.request_len])?;
    let mut reply = vec![0; traffic.reply_len];
    stream.read_exact(&mut reply)?;
    ensure!(
        reply == traffic.replies[..traffic.reply_len],
        "something else came back than was sent"
    );
    Ok(stream)
}
