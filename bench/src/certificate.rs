//! The certificate of servers that speak TLS: made for this run, and trusted by the load alone.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;

/// A certificate for 127.0.0.1, in files for as long as this lives.
#[derive(Debug)]
pub(crate) struct Certificate {
    folder: TempDir,
    client: Arc<ClientConfig>,
}

impl Certificate {
    /// Makes a new one: ECDSA on P-256, as public authorities issue.
    pub(crate) fn new() -> Result<Self> {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()])?;
        let folder = TempDir::new()?;
        std::fs::write(folder.path().join("chain.pem"), made.cert.pem())?;
        std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem())?;
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone())?;
        let mut client = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        // Each handshake is a full one, whatever tickets a server hands out.
        client.resumption = Resumption::disabled();
        Ok(Self {
            folder,
            client: Arc::new(client),
        })
    }

    pub(crate) fn chain(&self) -> PathBuf {
        self.folder.path().join("chain.pem")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    /// How the load trusts it.
    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.client)
    }
}
