//! What the driver does when the kernel has lost completions.
//!
//! Completions for which their queue has no room the kernel keeps elsewhere; when it has no memory for that, it throws them
//! away, counts them, and says so once (`EBADR`). What they told is gone: bytes that had been received, the numbers of the
//! buffers that these are in, connections that were accepted, and that an operation has ended, which then seems to go on for
//! ever. Nor can anybody say whose they were. To cancel an operation shows whether it had ended, but not whether bytes are
//! missing: Linux 6.4 to 6.9 put down what an operation tells that goes on as they put down its end, so that it may be lost as well.
//!
//! So all operations are ended and begun anew, and nobody acts on what was told since: bytes may be missing before it, and the
//! end of an operation would hide that it was under way. Connections that were being sent to, or received from into the
//! ring's buffers, are lost, rather than that bytes are missing from the middle of what they say. Those go on that had nothing
//! under way, or only waited for something to read. Whoever was accepted by a lost completion is not heard of; it has a
//! descriptor in this process that nobody knows.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;

use super::super::ends::Ends;
use super::super::{Key, Owner};
use super::driver::{Marks, Phase, Socket, Uring, Way};
use super::ring::Completion;
use super::token::Token;

/// What a connection has lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Loss {
    Nothing,
    /// It goes on, if that is begun anew.
    Waiting,
    Bytes,
}

impl Socket {
    /// Forgets what was under way, since it has ended.
    fn forget(&mut self) -> Loss {
        let sent = self.flight.take().is_some();
        let was_armed = self.marks.set(Marks::ARMED, false);
        let changed = self.marks.set(Marks::DISARMED, false);
        // What was told to end may still be that of the other way.
        let only_waited = matches!(self.way, Way::Calls { .. }) && !changed;
        match (sent, was_armed) {
            (true, _) => Loss::Bytes,
            (false, true) if only_waited => Loss::Waiting,
            (false, true) => Loss::Bytes,
            (false, false) => Loss::Nothing,
        }
    }
}

impl Uring {
    /// Ends everything that is under way, and begins it anew; gives how many events that were.
    ///
    /// Of `last`, what was told since completions were lost, and of what the ends tell, only accepted connections count. Buffers
    /// that these name are replaced, and flights that these end have landed.
    pub(super) fn begin_anew(
        &mut self,
        mut last: Vec<Completion>,
        owner: &mut impl Owner<Self>,
    ) -> io::Result<usize> {
        for ended in self.ring.begin_anew(&mut last)? {
            self.spent.extend(ended.output);
            // If its owner has closed it, so does this.
            drop(ended.closing);
        }
        self.hurries.set(false);
        // These sockets still count as armed. One that is read by calls is told of its end once more. One that receives into buffers
        // is not, and the last words that wait with its end were taken out already: it is lost like others that receive so, since
        // the bytes before these may be what was lost.
        self.ends = Ends::default();
        // Whether somebody woke the driver was lost, too.
        self.wake.is_pending.store(false, Ordering::Release);
        self.watch();

        // All of them before anybody is told, who may send to others.
        let mut lost = Vec::new();
        for key in owner.keys() {
            let Some(socket) = owner.socket(key) else {
                continue;
            };
            match socket.forget() {
                Loss::Nothing => {}
                Loss::Waiting => self.arm(socket),
                Loss::Bytes if socket.phase == Phase::Lost => {}
                Loss::Bytes => {
                    let phase = std::mem::replace(&mut socket.phase, Phase::Lost);
                    lost.push((key, phase == Phase::Connecting));
                }
            }
        }
        tracing::error!(
            connections = lost.len(),
            "io_uring has lost completions for want of the kernel's memory; connections are closed of which bytes may be missing"
        );
        let mut count = lost.len();
        for completion in last {
            if let Token::Accept(key) = completion.token
                && let Ok(socket) = completion.accepted()
            {
                count += usize::from(self.accepted(key, socket, owner));
            }
        }
        for index in 0..self.listeners.len() {
            if let Some(listener) = owner.listener(self.listeners[index]) {
                listener.is_armed = false;
                listener.is_disarmed = false;
                self.arm_listener(listener);
            }
        }
        for (key, was_connecting) in lost {
            self.tell_lost(key, was_connecting, owner);
        }
        Ok(count)
    }

    /// Lets the ring tell when somebody wakes the driver.
    pub(super) fn watch(&mut self) {
        self.ring.watch(self.wake.descriptor.as_fd());
    }

    fn tell_lost(&mut self, key: Key, was_connecting: bool, owner: &mut impl Owner<Self>) {
        let error = io::Error::new(
            io::ErrorKind::OutOfMemory,
            "the kernel had no memory to tell what came of the connection's operations",
        );
        if owner.socket(key).is_none() {
            return;
        }
        if was_connecting {
            owner.connected(self, key, Err(error));
        } else {
            owner.failed(self, key, error);
        }
    }
}
