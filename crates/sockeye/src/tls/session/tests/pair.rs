//! A session and a client to talk to it.

use super::*;

/// A server's configuration and what a client needs to trust it.
pub(super) struct Setting {
    pub(super) server: Arc<ServerConfig>,
    pub(super) roots: Arc<RootCertStore>,
}

impl Setting {
    pub(super) fn new() -> Self {
        let pair = rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap();
        let identity = Identity::new(
            Pem::bytes(pair.cert.pem()),
            Pem::bytes(pair.signing_key.serialize_pem()),
        );
        let tls = ServerTls::builder().identity(identity).build().unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(pair.cert.der().clone()).unwrap();
        Self {
            server: tls.config(),
            roots: Arc::new(roots),
        }
    }

    pub(super) fn client_config(
        &self,
        suites: Vec<SupportedCipherSuite>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ClientConfig {
        let provider = CryptoProvider {
            cipher_suites: suites,
            ..aws_lc_rs::default_provider()
        };
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(Arc::clone(&self.roots))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.enable_secret_extraction = true;
        config
    }

    pub(super) fn pair_of(&self, config: ClientConfig) -> Pair {
        let client = ClientConnection::new(Arc::new(config), "a.test".try_into().unwrap()).unwrap();
        Pair::new(TlsSession::new(&self.server).unwrap(), client)
    }

    pub(super) fn pair(&self, version: &'static SupportedProtocolVersion) -> Pair {
        let suites = aws_lc_rs::DEFAULT_CIPHER_SUITES.to_vec();
        self.pair_of(self.client_config(suites, &[version]))
    }

    pub(super) fn open_pair(&self, version: &'static SupportedProtocolVersion) -> Pair {
        let mut pair = self.pair(version);
        pair.shake();
        pair
    }
}

/// A session and a client of rustls that talks to it.
pub(super) struct Pair {
    pub(super) server: TlsSession,
    pub(super) client: ClientConnection,
    /// How large the pieces are in which the client's bytes come, one after the other and from the beginning again.
    pub(super) steps: Vec<usize>,
    pub(super) workspace: Vec<u8>,
    /// What the server received, and what it knows.
    pub(super) plain: Vec<u8>,
    pub(super) info: Option<Box<TlsInfo>>,
    pub(super) end: Option<End>,
}

impl Pair {
    pub(super) fn new(server: TlsSession, client: ClientConnection) -> Self {
        Self {
            server,
            client,
            steps: vec![usize::MAX],
            workspace: Vec::new(),
            plain: Vec::new(),
            info: None,
            end: None,
        }
    }

    /// Gives the server bytes; what it answers.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut bytes = bytes.to_vec();
        let mut rest = &mut bytes[..];
        while !rest.is_empty() {
            let step = self.steps[0].min(rest.len());
            self.steps.rotate_left(1);
            let (piece, behind) = rest.split_at_mut(step);
            rest = behind;
            let received = self.server.receive(piece, &mut self.workspace, &mut out);
            self.plain.extend_from_slice(received.plain);
            self.info = received.opened.or_else(|| self.info.take());
            self.end = received.end.or_else(|| self.end.take());
        }
        out
    }

    /// What the client has to send.
    pub(super) fn client_bytes(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    pub(super) fn give_client(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            self.client.read_tls(&mut bytes).unwrap();
            self.client.process_new_packets().unwrap();
        }
    }

    /// Moves bytes both ways until nobody has any.
    pub(super) fn exchange(&mut self) {
        loop {
            let bytes = self.client_bytes();
            if bytes.is_empty() {
                return;
            }
            let answer = self.feed(&bytes);
            self.give_client(&answer);
        }
    }

    pub(super) fn shake(&mut self) {
        self.exchange();
        assert!(matches!(self.server.phase, Phase::Open), "{:?}", self.end);
        assert!(!self.client.is_handshaking());
    }

    /// Sends from the client to the server, in as many goes as the client's buffers need.
    pub(super) fn send_to_server(&mut self, message: &[u8]) {
        for part in message.chunks(32 * 1024) {
            self.client.writer().write_all(part).unwrap();
            self.exchange();
        }
    }

    pub(super) fn seal(&mut self, pieces: &[&[u8]]) -> Vec<u8> {
        let pieces: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let len: usize = pieces.iter().map(|piece| piece.len()).sum();
        let mut out = Vec::new();
        assert_eq!(self.server.seal(&pieces, usize::MAX, &mut out), Ok(len));
        out
    }

    /// Sends from the server to the client, and gives what the client read.
    pub(super) fn send_to_client(&mut self, pieces: &[&[u8]]) -> Vec<u8> {
        let records = self.seal(pieces);
        self.read_by_client(&records)
    }

    pub(super) fn read_by_client(&mut self, mut records: &[u8]) -> Vec<u8> {
        let mut read = Vec::new();
        while !records.is_empty() {
            self.client.read_tls(&mut records).unwrap();
            let state = self.client.process_new_packets().unwrap();
            let at = read.len();
            read.resize(at + state.plaintext_bytes_to_read(), 0);
            self.client.reader().read_exact(&mut read[at..]).unwrap();
        }
        read
    }
}
