//! Connections that do nothing after one echoed message.

use anyhow::Result;

use super::{Echo, Load, Target};
use crate::payload::Kind;
use crate::scenario::Message;

/// Opens connections, sends one message over each, and waits until all have come back. They stay open as long as the
/// result lives.
pub(crate) fn hold(target: &Target, connections: usize) -> Result<Echo> {
    let message = Message {
        kind: Kind::Ascii,
        len: 20,
    };
    let mut echo = Echo::open(target, message, 1, connections)?;
    echo.finish()?;
    Ok(echo)
}
