mod cost;
mod hostile;
mod keys;
mod pair;
mod properties;
mod script;

use std::io::{Read, Write};

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::cipher_suite as suites;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, ContentType, HandshakeKind, ProtocolVersion,
    RootCertStore, SupportedCipherSuite, SupportedProtocolVersion, version,
};

use self::pair::{Pair, Setting};
use super::reading::HEADER;
use super::writing::MAX_PLAIN;
use super::*;
use crate::tls::{ClientCertificates, Identity, Pem, ServerTls, TlsVersion};

/// Every cipher that a server with an ECDSA certificate can agree on.
const SUITES: [(SupportedCipherSuite, &SupportedProtocolVersion); 6] = [
    (suites::TLS13_AES_128_GCM_SHA256, &version::TLS13),
    (suites::TLS13_AES_256_GCM_SHA384, &version::TLS13),
    (suites::TLS13_CHACHA20_POLY1305_SHA256, &version::TLS13),
    (suites::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, &version::TLS12),
    (suites::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, &version::TLS12),
    (
        suites::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        &version::TLS12,
    ),
];

const BOTH_VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251) as u8).collect()
}

#[test]
fn every_cipher_carries_messages_of_every_size_both_ways() {
    let setting = Setting::new();
    for (suite, version) in SUITES {
        let mut pair = setting.pair_of(setting.client_config(vec![suite], &[version]));
        pair.shake();
        for len in [
            1,
            2,
            100,
            MAX_PLAIN - 1,
            MAX_PLAIN,
            MAX_PLAIN + 1,
            3 * MAX_PLAIN + 5,
            200_000,
        ] {
            let message = pattern(len);
            pair.send_to_server(&message);
            assert!(
                std::mem::take(&mut pair.plain) == message,
                "{suite:?}: {len} bytes"
            );
            assert!(
                pair.send_to_client(&[&message]) == message,
                "{suite:?}: {len} bytes"
            );
        }
        assert!(pair.end.is_none());
    }
}

#[test]
fn every_cut_of_the_stream_gives_the_same() {
    let setting = Setting::new();
    for version in BOTH_VERSIONS {
        for step in [1, 2, 3, 4, 5, 6, 7, 13, 21, 22, 23, 64, 517, 4096, 20_000] {
            let mut pair = setting.pair(version);
            pair.steps = vec![step];
            pair.shake();
            let message = pattern(20_000);
            pair.send_to_server(&message);
            assert!(pair.plain == message, "in steps of {step}");
            assert_eq!(pair.send_to_client(&[b"answer"]), b"answer");
        }
    }
}

#[test]
fn what_comes_with_the_end_of_the_handshake_is_not_lost() {
    let setting = Setting::new();
    for version in BOTH_VERSIONS {
        // The second time the session is resumed: with TLS 1.2 it is the client then that ends the handshake.
        let config = setting.client_config(aws_lc_rs::DEFAULT_CIPHER_SUITES.to_vec(), &[version]);
        for closes in [false, true] {
            for step in [usize::MAX, 1, 100] {
                let mut pair = setting.pair_of(config.clone());
                pair.steps = vec![step];
                // The client sends this as soon as it may.
                pair.client.writer().write_all(&pattern(30_000)).unwrap();
                loop {
                    if closes && !pair.client.is_handshaking() {
                        pair.client.send_close_notify();
                    }
                    let bytes = pair.client_bytes();
                    if bytes.is_empty() {
                        break;
                    }
                    let answer = pair.feed(&bytes);
                    pair.give_client(&answer);
                }
                assert!(pair.info.is_some());
                assert!(pair.plain == pattern(30_000), "{version:?} in steps of {step}");
                assert_eq!(matches!(pair.end, Some(End::Closed)), closes);
                assert_eq!(pair.send_to_client(&[b"answer"]), b"answer");
            }
        }
    }
}

#[test]
fn a_hello_may_wait() {
    let setting = Setting::new();
    for version in BOTH_VERSIONS {
        let mut pair = setting.pair(version);
        assert!(pair.server.is_costly());
        let hello = pair.client_bytes();
        let (first, second) = hello.split_at(100);
        assert!(pair.server.postpone(first));
        assert!(!pair.server.postpone(second));
        let mut out = Vec::new();
        let received = pair.server.receive(&mut [], &mut pair.workspace, &mut out);
        assert!(received.end.is_none() && !out.is_empty());
        assert!(!pair.server.is_costly());
        pair.give_client(&out);
        pair.shake();
    }

    // What waits is bounded.
    let mut pair = setting.pair(&version::TLS13);
    let mut fed = 0;
    while fed < 1 << 20 {
        pair.server.postpone(b"\x16\x03\x01\x40\x00\x01\x00\xff\xff");
        fed += pair.server.postpone(&[0; 4096]) as usize + 4096;
    }
    pair.feed(b"");
    let received = pair.server.receive(&mut [], &mut pair.workspace, &mut Vec::new());
    assert!(matches!(received.end, Some(End::Failed(_))));
}

#[test]
fn small_frames_of_a_turn_share_a_record_and_large_ones_fill_records() {
    let mut pair = Setting::new().open_pair(&version::TLS13);
    let overhead = HEADER + 1 + 16;
    let out = pair.seal(&[b"one", b"", b"two", b"three"]);
    assert_eq!(out.len(), 11 + overhead);
    assert_eq!(pair.read_by_client(&out), b"onetwothree");

    let large = pattern(2 * MAX_PLAIN);
    let out = pair.seal(&[b"head", &large, b"tail"]);
    assert_eq!(out.len(), large.len() + 8 + 3 * overhead);
    assert_eq!(pair.read_by_client(&out), [b"head", &large[..], b"tail"].concat());
    assert!(pair.seal(&[]).is_empty());
    assert!(pair.seal(&[b""]).is_empty());
}

#[test]
fn no_more_than_the_limit_is_sealed() {
    let mut pair = Setting::new().open_pair(&version::TLS13);
    let message = pattern(100_000);
    let (mut out, mut taken) = (Vec::new(), 0);
    while taken < message.len() {
        let pieces = [IoSlice::new(&message[taken..])];
        let part = pair.server.seal(&pieces, 40_000, &mut out).unwrap();
        assert_eq!(part, 40_000.min(message.len() - taken));
        taken += part;
    }
    assert!(pair.read_by_client(&out) == message);
}

#[test]
fn the_handshake_tells_what_was_agreed() {
    let setting = Setting::new();
    for (version, name) in [(&version::TLS13, "TLSv1.3"), (&version::TLS12, "TLSv1.2")] {
        let pair = setting.open_pair(version);
        let info = pair.info.unwrap();
        assert_eq!(info.version, name);
        assert!(info.cipher.is_some());
        assert_eq!(info.alpn.as_deref(), Some(&b"http/1.1"[..]));
        assert_eq!(info.server_name.as_deref(), Some("a.test"));
        assert!(!info.resumed);
        assert!(info.peer_certificates.is_empty());
    }
}

#[test]
fn a_client_that_comes_back_resumes() {
    let setting = Setting::new();
    for version in BOTH_VERSIONS {
        let mut config = setting.client_config(aws_lc_rs::DEFAULT_CIPHER_SUITES.to_vec(), &[version]);
        config.resumption = Resumption::in_memory_sessions(4);
        for is_back in [false, true, true] {
            let mut pair = setting.pair_of(config.clone());
            pair.shake();
            assert_eq!(
                pair.client.handshake_kind() == Some(HandshakeKind::Resumed),
                is_back
            );
            let info = pair.info.as_ref().unwrap();
            assert_eq!(info.resumed, is_back, "{version:?}");
            assert_eq!(info.server_name.as_deref(), Some("a.test"));
            pair.send_to_server(b"again");
            assert_eq!(pair.plain, b"again");
            assert_eq!(pair.send_to_client(&[b"welcome"]), b"welcome");
        }
    }
}

#[test]
fn a_client_s_certificate_is_shown_and_checked() {
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let chain = rcgen::CertificateParams::new(vec!["client".to_owned()])
        .unwrap()
        .signed_by(&key, &authority)
        .unwrap();
    let pair = rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap();
    let tls = ServerTls::builder()
        .identity(Identity::new(
            Pem::bytes(pair.cert.pem()),
            Pem::bytes(pair.signing_key.serialize_pem()),
        ))
        .client_certificates(ClientCertificates::Required, Pem::bytes(authority.pem()))
        .oldest_version(TlsVersion::Tls12)
        .build()
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(pair.cert.der().clone()).unwrap();
    let setting = Setting {
        server: tls.config(),
        roots: Arc::new(roots),
    };

    for version in BOTH_VERSIONS {
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(Arc::clone(&setting.roots));
        let mut config = builder
            .with_client_auth_cert(
                vec![chain.der().clone()],
                rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut known = setting.pair_of(config);
        known.steps = vec![333];
        known.shake();
        assert_eq!(known.info.unwrap().peer_certificates, [chain.der().clone()]);

        let mut anonymous = setting.pair(version);
        let answer = loop {
            let bytes = anonymous.client_bytes();
            let answer = anonymous.feed(&bytes);
            if anonymous.end.is_some() {
                break answer;
            }
            anonymous.give_client(&answer);
        };
        assert!(matches!(
            anonymous.end,
            Some(End::Failed(TlsFailure::Handshake(_)))
        ));
        anonymous.client.read_tls(&mut &answer[..]).unwrap();
        let error = anonymous.client.process_new_packets().unwrap_err();
        assert!(matches!(error, rustls::Error::AlertReceived(_)), "{error}");
    }
}

#[test]
fn close_notify_goes_both_ways() {
    let setting = Setting::new();
    for version in BOTH_VERSIONS {
        let mut pair = setting.open_pair(version);
        assert_eq!(pair.server.ended(), Err(TlsFailure::Truncated));
        pair.client.writer().write_all(b"last words").unwrap();
        pair.client.send_close_notify();
        pair.exchange();
        assert_eq!(pair.plain, b"last words");
        assert!(matches!(pair.end, Some(End::Closed)));
        assert_eq!(pair.server.ended(), Ok(()));

        // The other direction is still open.
        assert_eq!(pair.send_to_client(&[b"mine"]), b"mine");
        let mut out = Vec::new();
        pair.server.close(&mut out);
        let len = out.len();
        pair.server.close(&mut out);
        assert_eq!(out.len(), len, "it is said once");
        pair.client.read_tls(&mut &out[..]).unwrap();
        assert!(pair.client.process_new_packets().unwrap().peer_has_closed());
        // What comes after the end is thrown away.
        assert!(pair.seal(&[b"too late"]).is_empty());
    }
}

#[test]
fn what_the_peer_sends_after_our_last_word_is_read() {
    let setting = Setting::new();
    for version in BOTH_VERSIONS {
        for step in [usize::MAX, 7, 1000] {
            let mut pair = setting.open_pair(version);
            pair.steps = vec![step];
            let mut out = Vec::new();
            pair.server.close(&mut out);
            pair.give_client(&out);
            let message = pattern(50_000);
            pair.send_to_server(&message);
            if version.version == ProtocolVersion::TLSv1_3 {
                pair.client.refresh_traffic_keys().unwrap();
            }
            pair.client.writer().write_all(b"the rest").unwrap();
            let bytes = pair.client_bytes();
            assert!(pair.feed(&bytes).is_empty());
            assert!(pair.plain == [&message[..], b"the rest"].concat());
            // Without its end there could be more.
            assert!(pair.end.is_none());
            assert_eq!(pair.server.ended(), Err(TlsFailure::Truncated));
            pair.client.send_close_notify();
            let bytes = pair.client_bytes();
            assert!(pair.feed(&bytes).is_empty());
            assert!(matches!(pair.end, Some(End::Closed)));
            assert_eq!(pair.server.ended(), Ok(()));
        }
    }
}

#[test]
fn what_comes_after_our_last_word_is_thrown_away_where_rustls_must_not_see_it() {
    let setting = Setting::new();
    for version in BOTH_VERSIONS {
        let mut pair = setting.open_pair(version);
        pair.server.reads_on = false;
        let mut out = Vec::new();
        pair.server.close(&mut out);
        pair.send_to_server(b"a record, and one that is none");
        assert!(pair.feed(&[0x17, 3, 3, 0, 4, 1, 2, 3, 4]).is_empty());
        assert!(pair.plain.is_empty() && pair.end.is_none(), "{:?}", pair.end);
        assert!(pair.server.kept.is_empty());
        // Nobody knows what it was.
        assert_eq!(pair.server.ended(), Err(TlsFailure::Truncated));
    }
}

#[test]
fn what_comes_behind_a_close_is_ignored() {
    for version in BOTH_VERSIONS {
        let mut script = Setting::new().script(version);
        let bytes = [
            script.record(ContentType::ApplicationData, b"before"),
            script.record(ContentType::Alert, &[1, 0]),
            script.record(ContentType::ApplicationData, b"behind"),
        ]
        .concat();
        let (plain, end, answer) = script.send_bytes(bytes);
        assert_eq!(plain, b"before");
        assert!(matches!(end, Some(End::Closed)));
        assert!(answer.is_empty());
        let (plain, end, _) = script.send(ContentType::ApplicationData, b"later");
        assert!(plain.is_empty() && matches!(end, Some(End::Closed)));
    }
}

#[test]
fn an_end_in_the_handshake_is_told_from_none_at_all() {
    let setting = Setting::new();
    let mut pair = setting.pair(&version::TLS13);
    assert_eq!(pair.server.ended(), Ok(()));
    let hello = pair.client_bytes();
    pair.feed(&hello[..10]);
    assert_eq!(pair.server.ended(), Err(TlsFailure::Truncated));
}
