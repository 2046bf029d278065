//! How listening sockets of the driver accept.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;

use super::super::ends::Ends;
use super::super::system::concerns_one_connection;
use super::super::{Key, Owner};
use super::driver::{Listener, Uring};
use super::receiving::End;
use super::ring::Completion;

impl Uring {
    pub(super) fn arm_listener(&mut self, listener: &mut Listener) {
        if listener.accepts && !listener.is_armed {
            listener.is_armed = true;
            self.ring.accept(listener.descriptor.as_fd(), listener.key);
        }
    }

    /// Hands over a connection, or holds it while its listening socket is to accept none, or ends wait to be told: it is to find
    /// the place of one who has left. Gives whether it was handed over.
    pub(super) fn accepted(&mut self, key: Key, socket: OwnedFd, owner: &mut impl Owner<Self>) -> bool {
        if !self.ends.is_empty() {
            self.held.push_back((key, socket));
            return false;
        }
        self.hand_over(key, socket, owner)
    }

    /// Whether connections are held that their listening socket is to accept.
    pub(super) fn lets_in(&self, owner: &mut impl Owner<Self>) -> bool {
        let mut held = self.held.iter();
        held.any(|&(key, _)| owner.listener(key).is_some_and(|listener| listener.accepts))
    }

    /// Hands over connections that were held; gives how many.
    pub(super) fn hand_over_held(&mut self, owner: &mut impl Owner<Self>) -> usize {
        let most = if self.ends.is_empty() {
            usize::MAX
        } else {
            Ends::<End>::NEWCOMERS
        };
        let mut count = 0;
        for _ in 0..self.held.len() {
            if count == most {
                break;
            }
            if let Some((key, socket)) = self.held.pop_front() {
                count += usize::from(self.hand_over(key, socket, owner));
            }
        }
        count
    }

    fn hand_over(&mut self, key: Key, socket: OwnedFd, owner: &mut impl Owner<Self>) -> bool {
        let Some(listener) = owner.listener(key) else {
            return false;
        };
        if !listener.accepts {
            self.held.push_back((key, socket));
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
