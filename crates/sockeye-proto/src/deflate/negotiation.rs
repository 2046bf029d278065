//! The negotiation rules of RFC 7692 §7.1, for both roles.

use super::parameters::{
    CLIENT_MAX_WINDOW_BITS, ClientWindow, SERVER_MAX_WINDOW_BITS, SERVER_NO_CONTEXT_TAKEOVER, Written,
};
use super::{Deflate, EXTENSION_NAME, Parameters, WindowBits};
use crate::extension::Extension;

impl Deflate {
    /// As a server: chooses the first acceptable offer, in the client's order of preference.
    ///
    /// Returns what was agreed and the extension to name in the response, or `None` if the connection goes
    /// without compression. An offer with an unknown, repeated or ill-formed parameter is declined and the
    /// next one is looked at (RFC 7692 §7.1); offers of other extensions are skipped.
    ///
    /// ```
    /// use sockeye_proto::deflate::Deflate;
    /// use sockeye_proto::extension::parse_list;
    ///
    /// let offers = parse_list([&b"permessage-deflate; client_max_window_bits"[..]])?;
    /// let (parameters, response) = Deflate::default().accept(&offers).unwrap();
    /// assert!(parameters.server_no_context_takeover);
    /// assert_eq!(
    ///     response.to_string(),
    ///     "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
    /// );
    /// # Ok::<(), sockeye_proto::extension::ExtensionError>(())
    /// ```
    pub fn accept(&self, offers: &[Extension]) -> Option<(Parameters, Extension)> {
        let offer = offers
            .iter()
            .filter(|offer| offer.name() == EXTENSION_NAME)
            .find_map(|offer| Written::read(offer).ok())?;
        let response = self.respond(offer);
        let parameters = Parameters {
            server_no_context_takeover: response.server_no_context_takeover,
            client_no_context_takeover: response.client_no_context_takeover,
            server_max_window_bits: response.server_max_window_bits.unwrap_or(WindowBits::MAX),
            client_max_window_bits: response.client_max_window_bits.bits(),
        };
        Some((parameters, response.write()))
    }

    fn respond(&self, offer: Written) -> Written {
        let mut response = Written {
            // §7.1.1.1: an offer with the flag is accepted by repeating it; a server may also add it.
            server_no_context_takeover: offer.server_no_context_takeover || self.server_no_context_takeover,
            // §7.1.1.2: in an offer only a hint that the client will do so anyhow. Repeating it lets us
            // rely on it.
            client_no_context_takeover: offer.client_no_context_takeover || self.client_no_context_takeover,
            ..Written::default()
        };
        // §7.1.2.1: an offered value is accepted by the same or a smaller one; a server may also add it.
        let server_bits = self
            .server_max_window_bits
            .min(offer.server_max_window_bits.unwrap_or_default());
        if offer.server_max_window_bits.is_some() || server_bits < WindowBits::MAX {
            response.server_max_window_bits = Some(server_bits);
        }
        // §7.1.2.2: "If a received extension negotiation offer doesn't have the 'client_max_window_bits'
        // extension parameter, the corresponding extension negotiation response to the offer MUST NOT
        // include" it.
        let client_limit = self.client_max_window_bits;
        match offer.client_max_window_bits {
            ClientWindow::Absent => {
                response.client_no_context_takeover |= client_limit < WindowBits::MAX;
            }
            ClientWindow::Bare => {
                if client_limit < WindowBits::MAX {
                    response.client_max_window_bits = ClientWindow::Bits(client_limit);
                }
            }
            ClientWindow::Bits(offered) => {
                response.client_max_window_bits = ClientWindow::Bits(offered.min(client_limit));
            }
        }
        response
    }

    /// As a client: the offers to make, the preferred one first.
    ///
    /// ```
    /// use sockeye_proto::deflate::Deflate;
    ///
    /// let options = Deflate {
    ///     server_no_context_takeover: false,
    ///     client_no_context_takeover: false,
    ///     ..Deflate::default()
    /// };
    /// assert_eq!(options.offer()[0].to_string(), "permessage-deflate; client_max_window_bits");
    /// ```
    pub fn offer(&self) -> Vec<Extension> {
        self.offers().map(Written::write).collect()
    }

    fn offers(&self) -> impl Iterator<Item = Written> {
        let limited = self.server_max_window_bits < WindowBits::MAX;
        let preferred = Written {
            server_no_context_takeover: self.server_no_context_takeover,
            client_no_context_takeover: self.client_no_context_takeover,
            server_max_window_bits: limited.then_some(self.server_max_window_bits),
            client_max_window_bits: match self.client_max_window_bits {
                WindowBits::MAX => ClientWindow::Bare,
                bits => ClientWindow::Bits(bits),
            },
        };
        // For a server that cannot limit its window: what it does not keep needs no memory of ours.
        let fallback = Written {
            server_no_context_takeover: true,
            server_max_window_bits: None,
            ..preferred
        };
        std::iter::once(preferred).chain(limited.then_some(fallback))
    }

    /// As a client: checks the extensions that the server named in its response against our offers.
    ///
    /// Returns `None` if the server named none: the connection goes without compression.
    ///
    /// ```
    /// use sockeye_proto::deflate::{Deflate, NegotiationError};
    /// use sockeye_proto::extension::parse_list;
    ///
    /// let options = Deflate::default();
    /// assert_eq!(options.confirm(&[]), Ok(None));
    ///
    /// let (parameters, response) = options.accept(&options.offer()).unwrap();
    /// assert_eq!(options.confirm(&[response]), Ok(Some(parameters)));
    ///
    /// let ignored = parse_list([&b"permessage-deflate"[..]])?;
    /// assert_eq!(
    ///     options.confirm(&ignored),
    ///     Err(NegotiationError::IgnoredParameter("server_no_context_takeover")),
    /// );
    /// # Ok::<(), sockeye_proto::extension::ExtensionError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A [`NegotiationError`] if the response is none that an offer allows. The client must then fail the
    /// connection (RFC 7692 §7.1, RFC 6455 §4.1).
    pub fn confirm(&self, response: &[Extension]) -> Result<Option<Parameters>, NegotiationError> {
        if response
            .iter()
            .any(|extension| extension.name() != EXTENSION_NAME)
        {
            return Err(NegotiationError::UnofferedExtension);
        }
        let answer = match response {
            [] => return Ok(None),
            [answer] => Written::read(answer)?,
            _ => return Err(NegotiationError::RepeatedExtension),
        };
        // A response does not say which offer it answers; one that it fits is enough.
        let mut first_error = None;
        for offer in self.offers() {
            match self.check(offer, answer) {
                Ok(parameters) => return Ok(Some(parameters)),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        first_error.map_or(Ok(None), Err)
    }

    fn check(&self, offer: Written, answer: Written) -> Result<Parameters, NegotiationError> {
        if offer.server_no_context_takeover && !answer.server_no_context_takeover {
            return Err(NegotiationError::IgnoredParameter(SERVER_NO_CONTEXT_TAKEOVER));
        }
        match (offer.server_max_window_bits, answer.server_max_window_bits) {
            (Some(_), None) => return Err(NegotiationError::IgnoredParameter(SERVER_MAX_WINDOW_BITS)),
            (Some(limit), Some(bits)) if bits > limit => {
                return Err(NegotiationError::BeyondOffer(SERVER_MAX_WINDOW_BITS));
            }
            _ => {}
        }
        match (offer.client_max_window_bits, answer.client_max_window_bits) {
            (_, ClientWindow::Bare) => return Err(NegotiationError::InvalidValue(CLIENT_MAX_WINDOW_BITS)),
            (ClientWindow::Bits(limit), ClientWindow::Bits(bits)) if bits > limit => {
                return Err(NegotiationError::BeyondOffer(CLIENT_MAX_WINDOW_BITS));
            }
            _ => {}
        }
        Ok(Parameters {
            server_no_context_takeover: answer.server_no_context_takeover,
            client_no_context_takeover: answer.client_no_context_takeover || self.client_no_context_takeover,
            server_max_window_bits: answer.server_max_window_bits.unwrap_or(WindowBits::MAX),
            // §7.1.2.2: a client that offered a value keeps to it even if the server does not repeat it.
            client_max_window_bits: answer
                .client_max_window_bits
                .bits()
                .min(self.client_max_window_bits),
        })
    }
}

impl ClientWindow {
    /// The limit it sets.
    fn bits(self) -> WindowBits {
        match self {
            Self::Bits(bits) => bits,
            Self::Absent | Self::Bare => WindowBits::MAX,
        }
    }
}

/// Why a client refuses the extensions in a server's response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum NegotiationError {
    /// The server named an extension that was not offered.
    #[error("the server chose an extension that was not offered")]
    UnofferedExtension,
    /// The server named permessage-deflate more than once.
    #[error("the server chose {EXTENSION_NAME} more than once")]
    RepeatedExtension,
    /// The server sent a parameter that RFC 7692 does not know.
    #[error("the server sent an unknown {EXTENSION_NAME} parameter")]
    UnknownParameter,
    /// The server sent this parameter more than once.
    #[error("the server sent {0} more than once")]
    RepeatedParameter(&'static str),
    /// This parameter lacks its value, has one that it must not have, or one out of range.
    #[error("the server sent {0} with an invalid value")]
    InvalidValue(&'static str),
    /// The client required this parameter and the server left it out.
    #[error("the server chose an offer but left out its {0}")]
    IgnoredParameter(&'static str),
    /// The server's value is greater than the one offered.
    #[error("the server chose a greater {0} than was offered")]
    BeyondOffer(&'static str),
}
