//! What a TLS handshake came to.

use rustls::pki_types::CertificateDer;
use rustls::{CommonState, HandshakeKind, ProtocolVersion};

/// What was agreed in a TLS handshake, as an upgrade hook, a client and a log want to know it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsInfo {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite, such as `TLS13_AES_256_GCM_SHA384`.
    pub cipher: Option<&'static str>,
    /// The host name the client asked for (SNI), if it named one. Known to the server only.
    pub server_name: Option<String>,
    /// The application protocol agreed on (ALPN), if any.
    pub alpn: Option<Vec<u8>>,
    /// The peer's certificate chain in DER, its own first; empty when it sent none. A client's was verified against
    /// the configured roots before any request is seen; a server's was verified unless the client was told to accept
    /// any.
    pub peer_certificates: Vec<CertificateDer<'static>>,
    /// Whether keys of an earlier connection were used again, which saves a round trip or the certificates.
    pub resumed: bool,
}

impl TlsInfo {
    /// The facts of a finished server-side handshake.
    pub fn of_server(connection: &rustls::ServerConnection) -> Self {
        let server_name = connection.server_name().map(str::to_owned);
        Self {
            server_name,
            ..Self::of(connection)
        }
    }

    /// The facts of a finished server-side handshake whose name (SNI) is known from elsewhere.
    #[cfg(all(feature = "server", unix))]
    pub(super) fn of_handshake(state: &CommonState, server_name: Option<String>) -> Self {
        Self {
            server_name,
            ..Self::of(state)
        }
    }

    /// The facts of a finished client-side handshake.
    pub fn of_client(connection: &rustls::ClientConnection) -> Self {
        Self::of(connection)
    }

    fn of(state: &CommonState) -> Self {
        Self {
            version: match state.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
                Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
                _ => "unknown",
            },
            cipher: state
                .negotiated_cipher_suite()
                .and_then(|suite| suite.suite().as_str()),
            server_name: None,
            alpn: state.alpn_protocol().map(<[u8]>::to_vec),
            resumed: state.handshake_kind() == Some(HandshakeKind::Resumed),
            peer_certificates: state
                .peer_certificates()
                .map(|chain| {
                    chain
                        .iter()
                        .map(|certificate| certificate.clone().into_owned())
                        .collect()
                })
                .unwrap_or_default(),
        }
    }
}
