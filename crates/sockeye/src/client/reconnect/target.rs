//! Where an attempt goes.

use http::{HeaderMap, HeaderName, HeaderValue};
use sockeye_proto::handshake::HeaderError;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::client::{Client, Settings, address, auth};
use crate::error::{Error, Result};
use crate::websocket::WebSocket;

/// Where an attempt goes and what it says: the client, the URL, and header fields.
///
/// Each attempt begins with a fresh one, as the builder was given it; changes last for that attempt.
#[derive(Clone)]
#[must_use]
pub struct Target {
    client: Client,
    url: String,
    headers: HeaderMap,
    attempt: u32,
    /// The first mistake in a header.
    error: Option<HeaderError>,
}

impl Target {
    pub(super) fn new(client: Client, url: String) -> Self {
        Self {
            client,
            url,
            headers: HeaderMap::new(),
            attempt: 0,
            error: None,
        }
    }

    pub(super) fn for_attempt(&self, attempt: u32) -> Self {
        Self {
            attempt,
            ..self.clone()
        }
    }

    pub(super) fn set_client(&mut self, client: Client) {
        self.client = client;
    }

    /// Which attempt in a row this is; from 1.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Goes elsewhere.
    pub fn with_url(mut self, url: impl Into<String>) -> Self {
        self.url = url.into();
        self
    }

    /// Uses another client.
    pub fn with_client(mut self, client: Client) -> Self {
        self.client = client;
        self
    }

    /// Sets a header field, in place of those of that name that the [client](crate::ClientBuilder::header) has.
    ///
    /// A field that cannot be used is an error of the attempt, and final.
    pub fn header(mut self, name: impl TryInto<HeaderName>, value: impl TryInto<HeaderValue>) -> Self {
        if let Err(error) = self.try_header(name, value) {
            self.error.get_or_insert(error);
        }
        self
    }

    fn try_header(
        &mut self,
        name: impl TryInto<HeaderName>,
        value: impl TryInto<HeaderValue>,
    ) -> Result<(), HeaderError> {
        let name = name.try_into().map_err(|_| HeaderError::Name)?;
        let mut value = value.try_into().map_err(|_| HeaderError::Value)?;
        if auth::is_secret(&name) {
            value.set_sensitive(true);
        }
        self.headers
            .try_insert(name, value)
            .map_err(|_| HeaderError::TooMany)?;
        Ok(())
    }

    /// Opens a WebSocket, as [`Client::connect`].
    ///
    /// # Errors
    ///
    /// As [`Client::connect`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the attempt up.
    pub async fn connect(self) -> Result<WebSocket> {
        let url = self.url.clone();
        self.into_client()?.connect(url).await
    }

    /// Opens a WebSocket over a transport that is connected already, as [`Client::handshake`].
    ///
    /// # Errors
    ///
    /// As [`Client::handshake`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the attempt up and drops `io`.
    pub async fn handshake<IO>(self, io: IO) -> Result<WebSocket>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let url = self.url.clone();
        self.into_client()?.handshake(io, url).await
    }

    /// The client with the header fields of this attempt.
    fn into_client(self) -> Result<Client> {
        if let Some(error) = self.error {
            return Err(Error::config(error.to_string()));
        }
        if self.headers.is_empty() {
            return Ok(self.client);
        }
        let mut settings = Settings::clone(&self.client.settings);
        for name in self.headers.keys() {
            settings.headers.remove(name);
        }
        settings.headers.extend(self.headers);
        // Requests differ in their target only: if one can be made, all can.
        settings.request(&settings.journey(address::parse("ws://localhost/")?))?;
        Ok(Client {
            settings: settings.into(),
        })
    }
}

/// Without the password of the URL. The values of header fields are shown unless they are marked sensitive.
impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target")
            .field("client", &self.client)
            .field("url", &address::redacted(&self.url))
            .field("headers", &self.headers)
            .field("attempt", &self.attempt)
            .field("error", &self.error)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use http::header::{AUTHORIZATION, COOKIE};

    use super::*;

    fn target() -> Target {
        let client = Client::builder()
            .header("Authorization", "Bearer old")
            .header("Cookie", "a=1")
            .build()
            .unwrap();
        Target::new(client, "ws://localhost/".into())
    }

    #[test]
    fn a_header_replaces_that_of_the_client() {
        let changed = target()
            .header("authorization", "Bearer new")
            .into_client()
            .unwrap();
        let headers = &changed.settings.headers;
        assert_eq!(
            headers.get_all(AUTHORIZATION).iter().collect::<Vec<_>>(),
            ["Bearer new"]
        );
        assert_eq!(headers[COOKIE], "a=1");
        let plain = target().into_client().unwrap();
        assert_eq!(plain.settings.headers[AUTHORIZATION], "Bearer old");
    }

    #[test]
    fn secrets_are_never_printed() {
        for target in [
            target().header("Authorization", "Bearer secret"),
            target().header("Cookie", "a=secret"),
            target().header("Proxy-Authorization", "secret"),
            target().with_url("wss://user:secret@localhost/"),
        ] {
            let printed = format!("{target:?}");
            assert!(!printed.contains("secret"), "{printed}");
        }
    }

    #[test]
    fn headers_that_cannot_be_sent_are_mistakes() {
        for (name, value) in [
            ("a b", "c"),
            ("a", "b\r\nc: d"),
            ("Host", "elsewhere"),
            ("Sec-WebSocket-Key", "x"),
        ] {
            let error = target().header(name, value).into_client().unwrap_err();
            assert!(error.is_config(), "{name}: {error}");
        }
    }
}
