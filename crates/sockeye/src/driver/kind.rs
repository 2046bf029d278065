//! Which drivers there are.

use std::fmt;
use std::str::FromStr;

/// Which driver moves the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum DriverKind {
    /// The fastest that the system allows.
    #[default]
    Auto,
    /// io_uring, on Linux.
    Uring,
    /// epoll, kqueue or what else the system has to say which sockets are ready.
    Readiness,
}

impl DriverKind {
    /// The word for it: `auto`, `uring`, `readiness`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Uring => "uring",
            Self::Readiness => "readiness",
        }
    }
}

impl fmt::Display for DriverKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for DriverKind {
    type Err = UnknownDriver;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        [Self::Auto, Self::Uring, Self::Readiness]
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| UnknownDriver(name.to_owned()))
    }
}

/// No driver has this name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("there is no driver `{0}`; the drivers are auto, uring and readiness")]
pub struct UnknownDriver(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for kind in [DriverKind::Auto, DriverKind::Uring, DriverKind::Readiness] {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        let error = "epoll".parse::<DriverKind>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no driver `epoll`; the drivers are auto, uring and readiness"
        );
    }
}
