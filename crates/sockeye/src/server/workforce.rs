//! How many workers a server has, and how they work.

use super::{ConfigError, ServerBuilder};
use crate::driver::DriverKind;

/// How new TCP connections come to the workers of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Balance {
    /// Each worker listens by itself on a socket of its own, and the system spreads the connections
    /// (`SO_REUSEPORT`). The default. Only Linux does so fairly; elsewhere it is as
    /// [`RoundRobin`](Self::RoundRobin).
    #[default]
    Kernel,
    /// One task accepts all connections, on the runtime that the server was started on, and hands them to the
    /// workers in turn: an even number for each, for one more hop between threads. Unix sockets, and
    /// listeners that were open already, are always accepted on this way, unless there is one worker only.
    RoundRobin,
}

/// What the builder was told about workers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wishes {
    pub(super) workers: Option<usize>,
    pub(super) driver: DriverKind,
    pub(super) pin: bool,
    pub(super) balance: Balance,
}

/// The workers that a server is to have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Workforce {
    /// 0: all runs on the runtime that the server was started on.
    pub(super) workers: usize,
    pub(super) driver: DriverKind,
    pub(super) pin: bool,
    balance: Balance,
}

impl Wishes {
    /// Fixes what was left open. `is_needed`: some of the routes can only be served by workers.
    pub(super) fn settle(self, is_needed: bool) -> Result<Workforce, ConfigError> {
        let workers = match self.workers {
            Some(0) if is_needed => {
                return Err(ConfigError::new(
                    "routes with a `Handler` need workers, and there are to be none",
                ));
            }
            Some(workers) if workers > ServerBuilder::MAX_WORKERS => {
                return Err(ConfigError::new(format!(
                    "{workers} workers are not possible: from 0, for none, to {}",
                    ServerBuilder::MAX_WORKERS
                )));
            }
            Some(workers) => workers,
            None if is_needed => std::thread::available_parallelism().map_or(1, usize::from),
            None => 0,
        };
        if self.pin && !cfg!(any(target_os = "linux", target_os = "android")) {
            return Err(ConfigError::new(
                "workers cannot be pinned to processors on this system",
            ));
        }
        Ok(Workforce {
            workers,
            driver: self.driver,
            pin: self.pin,
            balance: self.balance,
        })
    }
}

impl Workforce {
    /// How many sockets listen on one address, if the system spreads the connections among them.
    pub(super) fn balanced(&self) -> usize {
        match self.balance {
            Balance::Kernel if self.workers == 1 || cfg!(any(target_os = "linux", target_os = "android")) => {
                self.workers
            }
            Balance::Kernel | Balance::RoundRobin => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(wish: Option<usize>, is_needed: bool) -> Option<usize> {
        let wishes = Wishes {
            workers: wish,
            ..Wishes::default()
        };
        wishes.settle(is_needed).ok().map(|force| force.workers)
    }

    #[test]
    fn there_is_a_worker_per_core_if_one_is_needed_and_none_otherwise() {
        let cores = std::thread::available_parallelism().unwrap().get();
        assert_eq!(workers(None, true), Some(cores));
        assert_eq!(workers(None, false), Some(0));
        assert_eq!(workers(Some(3), false), Some(3));
        assert_eq!(workers(Some(0), false), Some(0));
        assert_eq!(workers(Some(0), true), None);
        assert_eq!(workers(Some(4096), false), Some(4096));
    }

    #[test]
    fn too_many_workers_are_told_how_many_there_may_be() {
        let wishes = Wishes {
            workers: Some(4097),
            ..Wishes::default()
        };
        let error = wishes.settle(false).unwrap_err();
        assert_eq!(
            error.to_string(),
            "4097 workers are not possible: from 0, for none, to 4096"
        );
    }

    #[test]
    fn the_system_balances_unless_told_otherwise() {
        let balanced = |balance, workers| {
            let wishes = Wishes {
                workers: Some(workers),
                balance,
                ..Wishes::default()
            };
            wishes.settle(false).unwrap().balanced()
        };
        assert_eq!(balanced(Balance::Kernel, 1), 1);
        assert_eq!(balanced(Balance::RoundRobin, 4), 0);
        if cfg!(target_os = "linux") {
            assert_eq!(balanced(Balance::Kernel, 4), 4);
        }
    }
}
