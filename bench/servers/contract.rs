//! What every server of the benchmark offers, whatever library it is written with.
//!
//! - It listens on a free port of 127.0.0.1, alone in one thread, and prints the port as its first line.
//! - A WebSocket on `/` gets each message back, as the kind of message it was.
//! - A WebSocket on any other path is subscribed to the topic of that path; what it sends goes to all subscribers of the
//!   topic, itself included.
//! - `--tls-certificate` and `--tls-key` name PEM files; with them the server speaks TLS.
//! - `--compression shared` agrees to permessage-deflate without context takeover, `dedicated` with it in both
//!   directions; every message of a compressed connection is sent compressed. Without the option, no compression.
//! - It takes messages of up to [`LARGEST_MESSAGE`] bytes.
//!
//! This crate is that contract for the servers written in Rust on tokio. Each is written as its library's own examples
//! are, and sets what the library's documentation advises for speed.

use std::collections::HashMap;
use std::future::Future;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// The largest message that a server takes, in bytes.
pub const LARGEST_MESSAGE: usize = 100 * 1024 * 1024;

/// The path of the echo.
pub const ECHO: &str = "/";

/// How many messages of a topic a slow subscriber may be behind.
const TOPIC_CAPACITY: usize = 16 * 1024;

/// What a server is asked for.
#[derive(Clone, Debug, Parser)]
pub struct Options {
    /// The certificate chain, a PEM file; with it the server speaks TLS
    #[arg(long, requires = "tls_key")]
    pub tls_certificate: Option<PathBuf>,
    /// The certificate's private key, a PEM file
    #[arg(long, requires = "tls_certificate")]
    pub tls_key: Option<PathBuf>,
    /// Whether permessage-deflate is agreed to, and whether contexts are taken over
    #[arg(long, value_enum, default_value = "off")]
    pub compression: Compression,
}

/// How messages are compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Compression {
    /// They are not.
    Off,
    /// Each by itself, so that connections can share compressors.
    Shared,
    /// With what came before on the connection, in both directions.
    Dedicated,
}

/// A connection's transport: TCP or TLS over it.
pub trait Transport: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Transport for T {}

/// A library that is given accepted transports.
pub trait Peer: Clone + Send + 'static {
    /// Serves one connection to its end.
    fn serve<S: Transport>(self, stream: S) -> impl Future<Output = Result<()>> + Send + 'static;
}

/// Runs a server on a current-thread runtime until the process is killed.
///
/// # Errors
///
/// Whatever the server ends with.
pub fn run(server: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(server)
}

/// Accepts connections and gives each to `peer` in a task of its own.
///
/// How a connection ends is dropped: the load resets its connections, and notices by itself if a server ends one.
///
/// # Errors
///
/// The server cannot listen, or the TLS files cannot be read.
pub async fn accept_for<P: Peer>(options: &Options, peer: P) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", listener.local_addr()?.port());
    let acceptor = options.tls()?.map(|config| TlsAcceptor::from(Arc::new(config)));
    loop {
        let stream = accept(&listener).await?;
        let peer = peer.clone();
        match acceptor.clone() {
            None => drop(tokio::spawn(peer.serve(stream))),
            Some(acceptor) => {
                drop(tokio::spawn(async move {
                    peer.serve(acceptor.accept(stream).await?).await
                }));
            }
        }
    }
}

/// The next connection. Answers leave at once, as all libraries advise.
async fn accept(listener: &TcpListener) -> Result<TcpStream> {
    let (stream, _) = listener.accept().await.context("accept")?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Options {
    /// The TLS configuration that was asked for: rustls with its defaults.
    ///
    /// # Errors
    ///
    /// The files cannot be read.
    pub fn tls(&self) -> Result<Option<ServerConfig>> {
        let (Some(certificate), Some(key)) = (&self.tls_certificate, &self.tls_key) else {
            return Ok(None);
        };
        let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<_, _>>()?;
        let key = PrivateKeyDer::from_pem_file(key)?;
        Ok(Some(
            ServerConfig::builder()
                .with_no_client_auth()
                .with_single_cert(chain, key)?,
        ))
    }
}

/// Topics for libraries that have none: tokio's broadcast channels, which their chat examples use.
#[derive(Debug)]
pub struct Topics<M>(Arc<Mutex<HashMap<String, broadcast::Sender<M>>>>);

impl<M> Clone for Topics<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M: Clone> Default for Topics<M> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<M: Clone> Topics<M> {
    /// Subscribes to a topic, which is made if there is none of that name.
    pub fn join(&self, topic: &str) -> (broadcast::Sender<M>, broadcast::Receiver<M>) {
        let mut topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = topics
            .entry(topic.to_owned())
            .or_insert_with(|| broadcast::Sender::new(TOPIC_CAPACITY));
        (sender.clone(), sender.subscribe())
    }
}
