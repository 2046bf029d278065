//! A client that writes whatever records a test wants, with the keys of a real one and rustls' ciphers.

use rustls::ConnectionTrafficSecrets;
use rustls::crypto::cipher::{
    InboundOpaqueMessage, MessageDecrypter, MessageEncrypter, OutboundChunks, OutboundPlainMessage,
};

use super::*;

/// A type and a content.
pub(super) type Record = (ContentType, Vec<u8>);

/// What the server received, how it ended, and its answer decrypted.
pub(super) type Outcome = (Vec<u8>, Option<End>, Vec<Record>);

pub(super) struct Script {
    pub(super) server: TlsSession,
    writing: (Box<dyn MessageEncrypter>, u64),
    reading: (Box<dyn MessageDecrypter>, u64),
}

impl Setting {
    pub(super) fn script(&self, version: &'static SupportedProtocolVersion) -> Script {
        // That of TLS 1.2 with AES-GCM writes no second record with keys that were used elsewhere.
        let suites = vec![
            suites::TLS13_AES_128_GCM_SHA256,
            suites::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        ];
        let mut pair = self.pair_of(self.client_config(suites, &[version]));
        pair.shake();
        Script::of(pair)
    }
}

impl Script {
    /// Leaves the client aside and takes its keys.
    fn of(pair: Pair) -> Self {
        let suite = pair.client.negotiated_cipher_suite().unwrap();
        let secrets = pair.client.dangerous_extract_secrets().unwrap();
        let ((sent, tx), (received, rx)) = (secrets.tx, secrets.rx);
        let taken = |secrets| match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv }
            | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (key, iv),
            _ => panic!("another cipher"),
        };
        let ((write_key, write_iv), (read_key, read_iv)) = (taken(tx), taken(rx));
        let (encrypter, decrypter) = match suite {
            SupportedCipherSuite::Tls13(suite) => (
                suite.aead_alg.encrypter(write_key, write_iv),
                suite.aead_alg.decrypter(read_key, read_iv),
            ),
            SupportedCipherSuite::Tls12(suite) => (
                suite.aead_alg.encrypter(write_key, write_iv.as_ref(), &[]),
                suite.aead_alg.decrypter(read_key, read_iv.as_ref()),
            ),
        };
        Self {
            server: pair.server,
            writing: (encrypter, sent),
            reading: (decrypter, received),
        }
    }

    pub(super) fn record(&mut self, typ: ContentType, content: &[u8]) -> Vec<u8> {
        let message = OutboundPlainMessage {
            typ,
            version: ProtocolVersion::TLSv1_2,
            payload: OutboundChunks::Single(content),
        };
        let (encrypter, sent) = &mut self.writing;
        let record = encrypter.encrypt(message, *sent).unwrap();
        *sent += 1;
        record.encode()
    }

    pub(super) fn send(&mut self, typ: ContentType, content: &[u8]) -> Outcome {
        let record = self.record(typ, content);
        self.send_bytes(record)
    }

    pub(super) fn send_bytes(&mut self, mut bytes: Vec<u8>) -> Outcome {
        let (mut workspace, mut out) = (Vec::new(), Vec::new());
        let received = self.server.receive(&mut bytes, &mut workspace, &mut out);
        let (plain, end) = (received.plain.to_vec(), received.end);
        (plain, end, self.read(out))
    }

    pub(super) fn read(&mut self, mut bytes: Vec<u8>) -> Vec<Record> {
        let mut rest = &mut bytes[..];
        let mut records = Vec::new();
        while !rest.is_empty() {
            let len = usize::from(u16::from_be_bytes([rest[3], rest[4]]));
            let (record, behind) = rest.split_at_mut(HEADER + len);
            let typ = ContentType::from(record[0]);
            let message = InboundOpaqueMessage::new(typ, ProtocolVersion::TLSv1_2, &mut record[HEADER..]);
            let (decrypter, received) = &mut self.reading;
            let plain = decrypter.decrypt(message, *received).unwrap();
            *received += 1;
            records.push((plain.typ, plain.payload.to_vec()));
            rest = behind;
        }
        records
    }

    /// Sends a record that must end the session with this alert, or without a word.
    #[track_caller]
    pub(super) fn breaks(self, typ: ContentType, content: &[u8], alert: impl Into<Option<AlertDescription>>) {
        self.breaks_with(|script| script.record(typ, content), alert);
    }

    /// Sends bytes that must end the session with this alert, or without a word.
    #[track_caller]
    pub(super) fn breaks_with(
        mut self,
        bytes: impl FnOnce(&mut Self) -> Vec<u8>,
        alert: impl Into<Option<AlertDescription>>,
    ) {
        let bytes = bytes(&mut self);
        let (_, end, answer) = self.send_bytes(bytes);
        assert!(
            matches!(end, Some(End::Failed(TlsFailure::Session(_)))),
            "{end:?}"
        );
        let alert = alert
            .into()
            .map(|alert| (ContentType::Alert, vec![2, u8::from(alert)]));
        assert_eq!(answer, Vec::from_iter(alert));
        // It is over for good.
        let (plain, end, answer) = self.send(ContentType::ApplicationData, b"more");
        assert!(plain.is_empty() && end.is_none() && answer.is_empty());
    }
}
