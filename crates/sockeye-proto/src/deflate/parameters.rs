//! The extension's parameters, as agreed on and as written in a header.

use super::{NegotiationError, WindowBits};
use crate::Role;
use crate::extension::Extension;

/// The extension's name in `Sec-WebSocket-Extensions`.
pub const EXTENSION_NAME: &str = "permessage-deflate";

pub(super) const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
pub(super) const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
pub(super) const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
pub(super) const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";

/// What both sides of a connection agreed on (RFC 7692 §7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Parameters {
    /// The server forgets its window after each message.
    pub server_no_context_takeover: bool,
    /// The client forgets its window after each message.
    pub client_no_context_takeover: bool,
    /// The server's references reach back at most this far.
    pub server_max_window_bits: WindowBits,
    /// The client's references reach back at most this far.
    pub client_max_window_bits: WindowBits,
}

impl Parameters {
    /// Whether `sender` may refer to what it sent in earlier messages.
    ///
    /// ```
    /// use sockeye_proto::Role;
    /// use sockeye_proto::deflate::Deflate;
    ///
    /// let options = Deflate { client_no_context_takeover: false, ..Deflate::default() };
    /// let (parameters, _) = options.accept(&options.offer()).unwrap();
    /// assert!(parameters.keeps_context(Role::Client));
    /// assert!(!parameters.keeps_context(Role::Server));
    /// ```
    pub const fn keeps_context(self, sender: Role) -> bool {
        match sender {
            Role::Server => !self.server_no_context_takeover,
            Role::Client => !self.client_no_context_takeover,
        }
    }

    /// The window of what `sender` sends.
    pub const fn window_bits(self, sender: Role) -> WindowBits {
        match sender {
            Role::Server => self.server_max_window_bits,
            Role::Client => self.client_max_window_bits,
        }
    }
}

/// The parameters of one offer or response as they stand in the header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) server_no_context_takeover: bool,
    pub(super) client_no_context_takeover: bool,
    pub(super) server_max_window_bits: Option<WindowBits>,
    pub(super) client_max_window_bits: ClientWindow,
}

/// `client_max_window_bits` is the one parameter that may come with or without a value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum ClientWindow {
    #[default]
    Absent,
    /// In an offer: "I understand the parameter, choose a value" (RFC 7692 §7.1.2.2).
    Bare,
    Bits(WindowBits),
}

impl Written {
    /// Reads parameters with the rules that offers and responses share: none unknown, none repeated,
    /// each value well-formed (RFC 7692 §7.1).
    pub(super) fn read(extension: &Extension) -> Result<Self, NegotiationError> {
        let mut written = Self::default();
        for (name, value) in extension.params() {
            match name {
                SERVER_NO_CONTEXT_TAKEOVER => {
                    set_flag(
                        &mut written.server_no_context_takeover,
                        SERVER_NO_CONTEXT_TAKEOVER,
                        value,
                    )?;
                }
                CLIENT_NO_CONTEXT_TAKEOVER => {
                    set_flag(
                        &mut written.client_no_context_takeover,
                        CLIENT_NO_CONTEXT_TAKEOVER,
                        value,
                    )?;
                }
                SERVER_MAX_WINDOW_BITS => {
                    if written.server_max_window_bits.is_some() {
                        return Err(NegotiationError::RepeatedParameter(SERVER_MAX_WINDOW_BITS));
                    }
                    let bits = value.and_then(window_bits);
                    let bits = bits.ok_or(NegotiationError::InvalidValue(SERVER_MAX_WINDOW_BITS))?;
                    written.server_max_window_bits = Some(bits);
                }
                CLIENT_MAX_WINDOW_BITS => {
                    if written.client_max_window_bits != ClientWindow::Absent {
                        return Err(NegotiationError::RepeatedParameter(CLIENT_MAX_WINDOW_BITS));
                    }
                    written.client_max_window_bits = match value.map(window_bits) {
                        None => ClientWindow::Bare,
                        Some(Some(bits)) => ClientWindow::Bits(bits),
                        Some(None) => return Err(NegotiationError::InvalidValue(CLIENT_MAX_WINDOW_BITS)),
                    };
                }
                _ => return Err(NegotiationError::UnknownParameter),
            }
        }
        Ok(written)
    }

    pub(super) fn write(self) -> Extension {
        let mut params = Vec::new();
        if self.server_no_context_takeover {
            params.push((SERVER_NO_CONTEXT_TAKEOVER, None));
        }
        if self.client_no_context_takeover {
            params.push((CLIENT_NO_CONTEXT_TAKEOVER, None));
        }
        if let Some(bits) = self.server_max_window_bits {
            params.push((SERVER_MAX_WINDOW_BITS, Some(bits)));
        }
        match self.client_max_window_bits {
            ClientWindow::Absent => {}
            ClientWindow::Bare => params.push((CLIENT_MAX_WINDOW_BITS, None)),
            ClientWindow::Bits(bits) => params.push((CLIENT_MAX_WINDOW_BITS, Some(bits))),
        }
        let params = params
            .into_iter()
            .map(|(name, bits)| (name.to_owned(), bits.map(|bits| bits.to_string())));
        Extension::from_tokens(EXTENSION_NAME.to_owned(), params.collect())
    }
}

fn set_flag(flag: &mut bool, name: &'static str, value: Option<&str>) -> Result<(), NegotiationError> {
    if value.is_some() {
        return Err(NegotiationError::InvalidValue(name));
    }
    if std::mem::replace(flag, true) {
        return Err(NegotiationError::RepeatedParameter(name));
    }
    Ok(())
}

/// RFC 7692 §7.1.2: "a decimal integer value without leading zeroes between 8 to 15, inclusive".
fn window_bits(value: &str) -> Option<WindowBits> {
    let bits = match value.as_bytes() {
        [digit @ b'8'..=b'9'] => digit - b'0',
        [b'1', digit @ b'0'..=b'5'] => 10 + digit - b'0',
        _ => return None,
    };
    WindowBits::new(bits)
}
