//! The grammar of `Sec-WebSocket-Extensions` (RFC 6455 §9.1).
//!
//! [`parse_list`] reads the header fields of a request (a list of offers, in the client's order of
//! preference) or of a response (the extensions that the server chose); [`Extension`] writes them.
//! What the names and parameters mean is the business of each extension, for instance of
//! [`deflate`](crate::deflate).

use std::fmt;

use crate::handshake::tokens::{is_token, is_token_byte};

/// How many extensions [`parse_list`] accepts over all header fields.
///
/// Browsers send one or two. The limit keeps a request from making the server hold thousands of them.
pub const MAX_EXTENSIONS: usize = 32;

/// How many parameters [`parse_list`] accepts for one extension.
pub const MAX_PARAMETERS: usize = 16;

/// One extension with its parameters: an offer in a request, a choice in a response.
///
/// Names and values are tokens (RFC 9110 §5.6.2), so what [`Display`](fmt::Display) writes is always a
/// legal header value. They are compared by case, as all implementations do.
///
/// ```
/// use sockeye_proto::extension::Extension;
///
/// let offer = Extension::new("permessage-deflate")?
///     .with_flag("server_no_context_takeover")?
///     .with_value("client_max_window_bits", "12")?;
/// assert_eq!(
///     offer.to_string(),
///     "permessage-deflate; server_no_context_takeover; client_max_window_bits=12",
/// );
/// # Ok::<(), sockeye_proto::extension::ExtensionError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Extension {
    name: String,
    params: Vec<(String, Option<String>)>,
}

impl Extension {
    /// An extension without parameters.
    ///
    /// # Errors
    ///
    /// [`ExtensionError::InvalidToken`] if `name` is not a token.
    pub fn new(name: &str) -> Result<Self, ExtensionError> {
        Ok(Self {
            name: token(name)?,
            params: Vec::new(),
        })
    }

    /// Adds a parameter that has no value.
    ///
    /// # Errors
    ///
    /// [`ExtensionError::InvalidToken`] if `name` is not a token.
    pub fn with_flag(mut self, name: &str) -> Result<Self, ExtensionError> {
        self.params.push((token(name)?, None));
        Ok(self)
    }

    /// Adds a parameter with a value.
    ///
    /// # Errors
    ///
    /// [`ExtensionError::InvalidToken`] if `name` or `value` is not a token.
    pub fn with_value(mut self, name: &str, value: &str) -> Result<Self, ExtensionError> {
        self.params.push((token(name)?, Some(token(value)?)));
        Ok(self)
    }

    /// An extension whose name, parameters and values are known to be tokens.
    pub(crate) fn from_tokens(name: String, params: Vec<(String, Option<String>)>) -> Self {
        Self { name, params }
    }

    /// The extension's name, for instance `permessage-deflate`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The parameters in the order they were written, repeated ones included. A value that was written
    /// as a quoted string is given without its quotes and backslashes.
    pub fn params(&self) -> impl ExactSizeIterator<Item = (&str, Option<&str>)> {
        self.params
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref()))
    }
}

/// Writes the header form, `name; flag; parameter=value`.
impl fmt::Display for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (name, value) in &self.params {
            write!(f, "; {name}")?;
            if let Some(value) = value {
                write!(f, "={value}")?;
            }
        }
        Ok(())
    }
}

/// Why a `Sec-WebSocket-Extensions` value was refused. A server answers a request that has one with
/// status 400, a client fails the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ExtensionError {
    /// A name or value is empty or has a character that a token must not have. The value of a quoted
    /// string is a token too (RFC 6455 §9.1).
    #[error("extension names, parameters and values must be tokens")]
    InvalidToken,
    /// A quoted string does not end.
    #[error("a quoted parameter value of an extension has no closing quote")]
    UnclosedQuote,
    /// Something other than `;`, `,` or the end follows a name or a value.
    #[error("unexpected character between extensions or their parameters")]
    UnexpectedCharacter,
    /// There are more than [`MAX_EXTENSIONS`] extensions.
    #[error("more than {MAX_EXTENSIONS} extensions")]
    TooManyExtensions,
    /// An extension has more than [`MAX_PARAMETERS`] parameters.
    #[error("an extension has more than {MAX_PARAMETERS} parameters")]
    TooManyParameters,
}

/// Reads the values of all `Sec-WebSocket-Extensions` fields of one request or response, in order.
///
/// Several fields are the same as one field with their values joined by commas (RFC 6455 §9.1). Empty
/// list elements are skipped (RFC 9110 §5.6.1). The time taken is linear in the length of the values.
///
/// ```
/// use sockeye_proto::extension::parse_list;
///
/// let offers = parse_list([&b"permessage-deflate; client_max_window_bits, x-other; a=\"b\""[..]])?;
/// assert_eq!(offers[0].params().next(), Some(("client_max_window_bits", None)));
/// assert_eq!(offers[1].to_string(), "x-other; a=b");
/// # Ok::<(), sockeye_proto::extension::ExtensionError>(())
/// ```
///
/// # Errors
///
/// An [`ExtensionError`] if a value does not have the form of RFC 6455 §9.1 or a limit is exceeded.
pub fn parse_list<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Extension>, ExtensionError> {
    let mut extensions = Vec::new();
    for value in values {
        let mut cursor = Cursor { rest: value };
        loop {
            cursor.skip_whitespace();
            if cursor.take(b',') {
                continue;
            }
            if cursor.rest.is_empty() {
                break;
            }
            if extensions.len() == MAX_EXTENSIONS {
                return Err(ExtensionError::TooManyExtensions);
            }
            extensions.push(cursor.extension()?);
        }
    }
    Ok(extensions)
}

/// What is left of one header value.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// `extension = extension-token *( ";" extension-param )`, up to a comma or the end.
    fn extension(&mut self) -> Result<Extension, ExtensionError> {
        let mut extension = Extension {
            name: self.token()?.to_owned(),
            params: Vec::new(),
        };
        loop {
            self.skip_whitespace();
            if self.rest.is_empty() || self.take(b',') {
                return Ok(extension);
            }
            if !self.take(b';') {
                return Err(ExtensionError::UnexpectedCharacter);
            }
            if extension.params.len() == MAX_PARAMETERS {
                return Err(ExtensionError::TooManyParameters);
            }
            extension.params.push(self.parameter()?);
        }
    }

    /// `extension-param = token [ "=" (token | quoted-string) ]`
    fn parameter(&mut self) -> Result<(String, Option<String>), ExtensionError> {
        self.skip_whitespace();
        let name = self.token()?.to_owned();
        self.skip_whitespace();
        if !self.take(b'=') {
            return Ok((name, None));
        }
        self.skip_whitespace();
        let value = if self.take(b'"') {
            self.quoted()?
        } else {
            self.token()?.to_owned()
        };
        Ok((name, Some(value)))
    }

    fn token(&mut self) -> Result<&'a str, ExtensionError> {
        let length = self.rest.iter().take_while(|&&byte| is_token_byte(byte)).count();
        let (token, rest) = self.rest.split_at(length);
        self.rest = rest;
        match std::str::from_utf8(token) {
            Ok(token) if !token.is_empty() => Ok(token),
            _ => Err(ExtensionError::InvalidToken),
        }
    }

    /// The rest of a quoted string whose opening quote was taken.
    ///
    /// RFC 6455 §9.1: "When using the quoted-string syntax variant, the value after quoted-string
    /// unescaping MUST conform to the 'token' ABNF."
    fn quoted(&mut self) -> Result<String, ExtensionError> {
        let mut value = String::new();
        loop {
            let byte = match self.next() {
                Some(b'"') if value.is_empty() => return Err(ExtensionError::InvalidToken),
                Some(b'"') => return Ok(value),
                Some(b'\\') => self.next(),
                other => other,
            };
            let byte = byte.ok_or(ExtensionError::UnclosedQuote)?;
            if !is_token_byte(byte) {
                return Err(ExtensionError::InvalidToken);
            }
            value.push(char::from(byte));
        }
    }

    fn skip_whitespace(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.rest.first() == Some(&byte);
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    fn next(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }
}

fn token(text: &str) -> Result<String, ExtensionError> {
    if !is_token(text.as_bytes()) {
        return Err(ExtensionError::InvalidToken);
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> Result<Vec<String>, ExtensionError> {
        Ok(parse_list([value.as_bytes()])?
            .iter()
            .map(ToString::to_string)
            .collect())
    }

    #[test]
    fn header_values_are_read_in_order() {
        for (value, expected) in [
            ("", &[][..]),
            (" , ,\t", &[]),
            ("a", &["a"]),
            ("a,b", &["a", "b"]),
            (",a ,, b,", &["a", "b"]),
            ("a;b;c=1", &["a; b; c=1"]),
            ("\ta ; b = 1 ;c\t, d", &["a; b=1; c", "d"]),
            ("a; b=\"10\"", &["a; b=10"]),
            ("a; b=\"1\\0\" ; c", &["a; b=10; c"]),
            ("a; b; b; b=1", &["a; b; b; b=1"]),
            (
                "constructor; __proto__=toString",
                &["constructor; __proto__=toString"],
            ),
            (
                "permessage-deflate; a, permessage-deflate",
                &["permessage-deflate; a", "permessage-deflate"],
            ),
        ] {
            assert_eq!(
                parse(value).as_deref(),
                Ok(&expected.iter().map(|s| s.to_string()).collect::<Vec<_>>()[..]),
                "{value:?}"
            );
        }
    }

    #[test]
    fn several_fields_continue_the_list() {
        let parsed = parse_list([&b"a; x"[..], b"", b"b, c"]).unwrap();
        assert_eq!(
            parsed.iter().map(Extension::name).collect::<Vec<_>>(),
            ["a", "b", "c"]
        );
    }

    #[test]
    fn malformed_header_values_are_refused() {
        use ExtensionError::*;
        for (value, expected) in [
            (";", InvalidToken),
            ("a;", InvalidToken),
            ("a; ;b", InvalidToken),
            ("a;,b", InvalidToken),
            ("a; =1", InvalidToken),
            ("a; b=", InvalidToken),
            ("a; b=;c", InvalidToken),
            ("a; b=\"\"", InvalidToken),
            ("a; b=\"1 2\"", InvalidToken),
            ("a; b=\"1,2\"", InvalidToken),
            ("a; b=\"\\\"\"", InvalidToken),
            ("a; b=\"ä\"", InvalidToken),
            ("ä", InvalidToken),
            ("\"a\"", InvalidToken),
            ("a\0", UnexpectedCharacter),
            ("a\r\nb: c", UnexpectedCharacter),
            ("a b", UnexpectedCharacter),
            ("a=b", UnexpectedCharacter),
            ("a; b=1 2", UnexpectedCharacter),
            ("a; b=1=2", UnexpectedCharacter),
            ("a; b=\"1\"2", UnexpectedCharacter),
            ("a; b=\"1", UnclosedQuote),
            ("a; b=\"", UnclosedQuote),
            ("a; b=\"1\\", UnclosedQuote),
        ] {
            assert_eq!(parse(value), Err(expected), "{value:?}");
        }
    }

    #[test]
    fn counts_are_bounded_over_all_fields() {
        let full = vec!["a"; MAX_EXTENSIONS].join(",");
        assert_eq!(parse(&full).unwrap().len(), MAX_EXTENSIONS);
        assert_eq!(
            parse_list([full.as_bytes(), b"b"]),
            Err(ExtensionError::TooManyExtensions)
        );

        let full = format!("a{}", "; b".repeat(MAX_PARAMETERS));
        assert_eq!(
            parse_list([full.as_bytes()]).unwrap()[0].params().len(),
            MAX_PARAMETERS
        );
        assert_eq!(
            parse(&format!("{full}; c")),
            Err(ExtensionError::TooManyParameters)
        );
    }

    #[test]
    fn an_extension_cannot_be_built_from_what_would_break_the_header() {
        let extension = Extension::new("a").unwrap();
        assert_eq!(Extension::new(""), Err(ExtensionError::InvalidToken));
        assert_eq!(Extension::new("a\r\nb"), Err(ExtensionError::InvalidToken));
        assert_eq!(
            extension.clone().with_flag("b;c"),
            Err(ExtensionError::InvalidToken)
        );
        assert_eq!(
            extension.with_value("b", "1, 2"),
            Err(ExtensionError::InvalidToken)
        );
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused_and_what_parses_is_written_back_the_same(
            value in proptest::collection::vec(proptest::sample::select(&b"ab1;,=\"\\ \t\x00\xff"[..]), 0..40)
        ) {
            if let Ok(parsed) = parse_list([&value[..]]) {
                let written = parsed.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                proptest::prop_assert_eq!(parse_list([written.as_bytes()]), Ok(parsed));
            }
        }
    }
}
