//! Ends of connections that wait to be told.

use std::collections::VecDeque;

/// Ends of connections, in the order in which the system told of them.
///
/// A turn takes some of them, behind all else that has happened but newcomers. So who comes while a crowd leaves waits for a few
/// of it, not for all: to close a connection takes longer than to learn that it has ended.
#[derive(Debug)]
pub(super) struct Ends<T>(VecDeque<T>);

impl<T> Default for Ends<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Ends<T> {
    /// How many a turn tells of.
    pub(super) const SHARE: usize = 32;
    /// How many newcomers a turn lets in while ends wait: fewer, so that those find the places free that the others had.
    pub(super) const NEWCOMERS: usize = Self::SHARE / 2;
    /// For so many memory is kept.
    const KEPT: usize = 1024;

    pub(super) fn push(&mut self, end: T) {
        self.0.push_back(end);
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        let end = self.0.pop_front();
        if end.is_none() && self.0.capacity() > Self::KEPT {
            self.0.shrink_to(Self::KEPT);
        }
        end
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
