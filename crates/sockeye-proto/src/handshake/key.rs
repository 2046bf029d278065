//! `Sec-WebSocket-Key` and the `Sec-WebSocket-Accept` that answers it.

use std::fmt;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sha1::{Digest, Sha1};

/// RFC 6455 §1.3: the string that makes a server prove it understood a WebSocket handshake.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Padding is demanded. Bits beyond the sixteenth byte are not: RFC 4648 §3.5 leaves it to the decoder, and
/// hand-written clients get them wrong.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// The value of a `Sec-WebSocket-Key` field: sixteen bytes in base64.
///
/// ```
/// use sockeye_proto::handshake::Key;
///
/// // The example of RFC 6455 §1.3.
/// let key = Key::parse(b"dGhlIHNhbXBsZSBub25jZQ==").unwrap();
/// assert_eq!(key, Key::from_nonce(*b"the sample nonce"));
/// assert_eq!(key.accept(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u8; Self::LEN]);

impl Key {
    /// Length of the text: sixteen bytes make 24 characters.
    const LEN: usize = 24;

    /// Encodes sixteen random bytes, as a client does.
    ///
    /// RFC 6455 §4.1: the nonce "MUST be selected randomly for each connection".
    pub fn from_nonce(nonce: [u8; 16]) -> Self {
        let mut text = [0; Self::LEN];
        // Cannot fail: the buffer has exactly the length that sixteen bytes need.
        let written = BASE64.encode_slice(nonce, &mut text);
        debug_assert_eq!(written, Ok(Self::LEN));
        Self(text)
    }

    /// Checks the value of a field, spaces and tabs at its ends already removed.
    ///
    /// RFC 6455 §4.2.1: "a base64-encoded value that, when decoded, is 16 bytes in length". `None` if it is
    /// not.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let text = <[u8; Self::LEN]>::try_from(value).ok()?;
        let mut decoded = [0; 18];
        match BASE64.decode_slice(text, &mut decoded) {
            Ok(16) => Some(Self(text)),
            _ => None,
        }
    }

    /// The text of the field.
    pub fn as_str(&self) -> &str {
        // Always text: both constructors produce base64.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The `Sec-WebSocket-Accept` value that answers this key: the same as [`accept_key`].
    pub fn accept(&self) -> String {
        accept_key(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.as_str()).finish()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Computes `Sec-WebSocket-Accept`: base64 of the SHA-1 of the key's text followed by a fixed GUID (RFC 6455
/// §4.2.2).
///
/// For whoever answers a handshake without the rest of this module; the key's form is not checked.
///
/// ```
/// use sockeye_proto::handshake::accept_key;
///
/// assert_eq!(accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
pub fn accept_key(key: &[u8]) -> String {
    BASE64.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_base64_of_sixteen_bytes_is_a_key() {
        for good in [
            "AAAAAAAAAAAAAAAAAAAAAA==",
            "dGhlIHNhbXBsZSBub25jZQ==",
            "//////////////////////==", // bits beyond the sixteenth byte
        ] {
            assert_eq!(Key::parse(good.as_bytes()).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "dGhlIHNhbXBsZSBub25jZQ=",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZQ===",
            "dGhlIHNhbXBsZSBub25jZVE=", // 17 bytes
            "dGhlIHNhbXBsZSBub25jZVFR", // 18 bytes
            "dGhlIHNhbXBsZSBub25j====",
            "dGhlIHNhbXBsZSBub25j-_==", // the URL alphabet
            "dGhlIHNhbXBs ZSBub25jQ==",
            "dGhlIHNhbXBsZSBub25jé==",
            "dGhlIHNhbXBsZSBub25jZ\0==",
        ] {
            assert_eq!(Key::parse(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(Key::parse(&[0xff; 24]), None);
        assert_eq!(Key::parse(&[b'A'; 1 << 20]), None);
    }

    #[test]
    fn a_nonce_comes_back_from_its_text() {
        for byte in 0..=255 {
            let key = Key::from_nonce([byte; 16]);
            assert_eq!(Key::parse(key.as_str().as_bytes()), Some(key));
        }
    }
}
