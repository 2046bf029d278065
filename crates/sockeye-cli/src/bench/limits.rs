//! File descriptors: as many as the system allows.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::error::Failure;

/// Descriptors for everything but connections: files, pipes, the driver's own.
const SPARE: u64 = 64;

/// Raises the limit of open files to what is allowed, and makes sure that so many connections fit.
pub(super) fn make_room(connections: usize) -> Result<(), Failure> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        // Some systems do not allow what they say they do; then what there is counts.
        let raised = Rlimit {
            current: maximum,
            maximum,
        };
        let _ = setrlimit(Resource::Nofile, raised);
    }
    enough(connections, getrlimit(Resource::Nofile).current)
}

fn enough(connections: usize, allowed: Option<u64>) -> Result<(), Failure> {
    let needed = connections as u64 + SPARE;
    match allowed {
        Some(allowed) if allowed < needed => Err(Failure::usage(format!(
            "{connections} connections need {needed} open files, and this process may have {allowed}: \
             raise the hard limit (ulimit -Hn), or ask for at most {} connections",
            allowed.saturating_sub(SPARE)
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_connections_are_told_with_the_number_that_is_possible() {
        assert_eq!(enough(936, Some(1000)), Ok(()));
        assert_eq!(enough(1 << 30, None), Ok(()));
        let error = enough(937, Some(1000)).unwrap_err().to_string();
        assert!(error.contains("at most 936 connections"), "{error}");
    }
}
