//! How listening sockets of the driver accept.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;

use super::super::system::concerns_one_connection;
use super::super::{Key, Owner};
use super::driver::{Listener, Uring};
use super::ring::Completion;

impl Uring {
    pub(super) fn arm_listener(&mut self, listener: &mut Listener) {
        if listener.accepts && !listener.is_armed {
            listener.is_armed = true;
            self.ring.accept(listener.descriptor.as_fd(), listener.key);
        }
    }

    pub(super) fn accepted(&mut self, key: Key, socket: OwnedFd, owner: &mut impl Owner<Self>) -> bool {
        let Some(listener) = owner.listener(key) else {
            return false;
        };
        if !listener.accepts {
            self.held.push((key, socket));
            return false;
        }
        owner.accepted(self, key, socket);
        true
    }

    pub(super) fn accept(&mut self, key: Key, completion: Completion, owner: &mut impl Owner<Self>) {
        let goes_on = completion.goes_on();
        let error = match completion.accepted() {
            Ok(socket) => {
                self.accepted(key, socket, owner);
                None
            }
            Err(error) => Some(error),
        };
        if goes_on {
            return;
        }
        let Some(listener) = owner.listener(key) else {
            return;
        };
        listener.is_armed = false;
        listener.is_disarmed = false;
        if let Some(error) = error
            && error != Errno::CANCELED
        {
            let error = io::Error::from(error);
            if !concerns_one_connection(&error) {
                listener.accepts = false;
                return owner.accept_failed(self, key, error);
            }
        }
        self.arm_listener(listener);
    }
}
