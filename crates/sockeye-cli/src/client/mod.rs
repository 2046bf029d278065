//! What all commands that connect have in common: their options, the client these make, and what is said about a
//! handshake.

mod cookies;
mod explain;
mod handshake;
mod options;
mod proxy;
mod secret;

use sockeye::proto::deflate::Deflate;
use sockeye::tls::{ClientTls, Identity, Pem};
use sockeye::{Client, Config, ConnectTimeouts, Keepalive, Sender, WebSocket};

use crate::config::units::OrOff;
use crate::error::{Failure, chain};
use cookies::CookieJar;
pub(crate) use explain::explain;
pub(crate) use handshake::{Handshake, status_text};
pub(crate) use options::{ClientOptions, parse_header, parse_origin};
use secret::Credentials;

impl ClientOptions {
    /// What connects as these options say.
    pub(crate) fn dialer(&self) -> Result<Dialer, Failure> {
        let jar = self.cookie_jar.as_deref().map(CookieJar::open).transpose()?;
        Ok(Dialer {
            client: self.client(jar.as_ref())?,
            jar,
            verbose: self.verbose,
        })
    }

    fn client(&self, jar: Option<&CookieJar>) -> Result<Client, Failure> {
        let phase = self.connect_timeout.0;
        let mut client = Client::builder()
            .limits(Config {
                max_message_size: self.max_message_size.0 as u64,
                keepalive: self
                    .ping_interval
                    .and_then(OrOff::duration)
                    .map(|interval| Keepalive {
                        interval,
                        timeout: self.ping_timeout.0,
                    }),
                ..Config::client()
            })
            .timeouts(ConnectTimeouts::each(phase))
            .redirects(if self.location { self.max_redirects } else { 0 })
            .proxy(self.proxy.policy()?)
            .compression(self.compress.then(Deflate::default));
        #[cfg(unix)]
        if let Some(path) = &self.unix {
            client = client.unix_socket(path);
        }
        for (name, value) in &self.headers {
            client = client.header(name, value);
        }
        for name in &self.subprotocols {
            client = client.subprotocol(name);
        }
        if let Some(origin) = &self.origin {
            client = client.origin(origin);
        }
        if let Some(Credentials { user, password }) = &self.auth {
            client = client.basic_auth(user, password.expose());
        }
        if let Some(token) = &self.bearer {
            client = client.bearer_auth(token.expose());
        }
        if let Some(jar) = jar {
            client = client.cookies(jar.store());
        }
        if self.asks_for_tls() {
            client = client.tls(self.tls()?);
        }
        client.build().map_err(|error| Failure::usage(chain(&error)))
    }

    /// Whether TLS is to be other than by default.
    fn asks_for_tls(&self) -> bool {
        self.ca.is_some()
            || self.cert.is_some()
            || self.server_name.is_some()
            || !self.pins.is_empty()
            || self.insecure
    }

    fn tls(&self) -> Result<ClientTls, Failure> {
        let mut tls = ClientTls::builder().danger_accept_invalid_certs(self.insecure);
        if let Some(authorities) = &self.ca {
            tls = tls.root(Pem::file(authorities));
        }
        if let Some(name) = &self.server_name {
            tls = tls.server_name(name);
        }
        for pin in &self.pins {
            tls = tls.pin(*pin);
        }
        if let Some(chain) = &self.cert {
            // Both may lie in one file.
            let key = self.key.as_ref().unwrap_or(chain);
            tls = tls.identity(Identity::files(chain, key));
        }
        tls.build()
            .map_err(|error| Failure::usage(format!("TLS: {}", chain(&error))))
    }
}

/// Connects, and keeps the cookies.
#[derive(Debug)]
pub(crate) struct Dialer {
    client: Client,
    jar: Option<CookieJar>,
    verbose: bool,
}

impl Dialer {
    /// Opens a connection, and shows its handshake where that was asked for.
    pub(crate) async fn connect(&mut self, url: &str) -> Result<WebSocket, Failure> {
        let result = self.client.connect(url).await;
        // A server that refuses may set cookies too.
        self.save_cookies()?;
        let socket = result.map_err(|error| explain(&error))?;
        self.show(&socket.sender());
        Ok(socket)
    }

    /// The client, for whoever connects with it and tells of it with [`opened`](Self::opened).
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// A connection of this client is open.
    pub(crate) fn opened(&mut self, sender: &Sender) -> Result<(), Failure> {
        self.save_cookies()?;
        self.show(sender);
        Ok(())
    }

    fn save_cookies(&mut self) -> Result<(), Failure> {
        self.jar.as_mut().map_or(Ok(()), CookieJar::save)
    }

    fn show(&self, sender: &Sender) {
        if self.verbose {
            let handshake = Handshake::of(sender);
            for line in handshake.lines() {
                eprintln!("{line}");
            }
            eprintln!("connected: {}", handshake.summary());
        }
    }
}
