use super::{BindError, RouteError};
use crate::Error;
use crate::error::Kind;

/// A setting that cannot work, found when the server is built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl ConfigError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    pub(super) fn zero(name: &str) -> Self {
        Self(format!("{name} must be more than zero"))
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::with_source(Kind::Config(error.to_string()), error)
    }
}

impl From<RouteError> for Error {
    fn from(error: RouteError) -> Self {
        Self::with_source(Kind::Config(error.to_string()), error)
    }
}

/// The source is the [`BindError`].
impl From<BindError> for Error {
    fn from(error: BindError) -> Self {
        Self::with_source(Kind::Config(error.to_string()), error)
    }
}
