//! Failures of the operating system, on purpose.

use std::collections::VecDeque;

use rustix::io::Errno;

use super::Key;

/// What a driver asks of the system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Operation {
    Accept,
    Receive,
    Send,
}

/// How the system behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// As it would.
    None,
    /// It moves so many bytes at most.
    Short(usize),
    /// It fails.
    Error(Errno),
}

/// The faults that are to come.
#[derive(Debug, Default)]
pub(super) struct Faults {
    planned: VecDeque<(Operation, Fault)>,
    /// What is done when no fault is planned.
    always: Vec<(Operation, Fault)>,
    /// Flights that were begun and will fail.
    doomed: Vec<(Key, Errno)>,
}

impl Faults {
    /// Lets the next such operation, for which none was planned yet, behave so.
    pub(super) fn plan(&mut self, operation: Operation, fault: Fault) {
        self.planned.push_back((operation, fault));
    }

    /// Lets each such operation behave so.
    pub(super) fn always(&mut self, operation: Operation, fault: Fault) {
        self.always.retain(|(of, _)| *of != operation);
        self.always.push((operation, fault));
    }

    /// The fault of the operation that is done now.
    pub(super) fn next(&mut self, operation: Operation) -> Fault {
        let planned = self.planned.iter().position(|(of, _)| *of == operation);
        let planned = planned.and_then(|index| self.planned.remove(index));
        let always = || self.always.iter().find(|(of, _)| *of == operation).copied();
        planned.or_else(always).map_or(Fault::None, |(_, fault)| fault)
    }

    /// How many bytes the flight that begins now may offer.
    #[cfg(target_os = "linux")]
    pub(super) fn launch(&mut self, flight: Key) -> usize {
        match self.next(Operation::Send) {
            Fault::None => usize::MAX,
            Fault::Short(limit) => limit,
            Fault::Error(error) => {
                self.doomed.push((flight, error));
                // Nothing must leave.
                0
            }
        }
    }

    /// How the flight that ends now failed.
    #[cfg(target_os = "linux")]
    pub(super) fn land(&mut self, flight: Key) -> Option<Errno> {
        let index = self.doomed.iter().position(|(key, _)| *key == flight)?;
        Some(self.doomed.swap_remove(index).1)
    }

    /// How many of `length` bytes the operation that is done now may move.
    pub(super) fn limit(&mut self, operation: Operation, length: usize) -> Result<usize, Errno> {
        match self.next(operation) {
            Fault::None => Ok(length),
            Fault::Short(limit) => Ok(limit.min(length)),
            Fault::Error(error) => Err(error),
        }
    }
}
