//! Keys that are used up or changed.

use rustls::crypto::CipherSuiteCommon;
use rustls::{Tls12CipherSuite, Tls13CipherSuite};

use super::*;

#[test]
fn a_client_may_change_its_keys_and_ask_for_new_ones() {
    let mut pair = Setting::new().open_pair(&version::TLS13);
    let usual = pair.seal(&[b"mine too"]);
    pair.read_by_client(&usual);
    for round in 0..100 {
        pair.client.refresh_traffic_keys().unwrap();
        pair.steps = vec![1 + round % 40];
        pair.send_to_server(b"with new keys");
        assert_eq!(std::mem::take(&mut pair.plain), b"with new keys");
        // RFC 8446 §4.6.3: the answer comes "prior to sending its next Application Data record".
        let answer = pair.seal(&[b"mine", b" too"]);
        assert!(answer.len() > usual.len());
        assert_eq!(pair.read_by_client(&answer), b"mine too");
        let after = pair.seal(&[b"mine too"]);
        assert_eq!(after.len(), usual.len());
        assert_eq!(pair.read_by_client(&after), b"mine too");
    }
}

#[test]
fn a_change_of_keys_is_answered_by_the_last_word_as_well() {
    let mut pair = Setting::new().open_pair(&version::TLS13);
    pair.client.refresh_traffic_keys().unwrap();
    let bytes = pair.client_bytes();
    assert!(pair.feed(&bytes).is_empty());
    let mut out = Vec::new();
    pair.server.close(&mut out);
    pair.client.read_tls(&mut &out[..]).unwrap();
    assert!(pair.client.process_new_packets().unwrap().peer_has_closed());
}

#[test]
fn a_key_update_may_come_in_pieces_but_alone() {
    let mut script = Setting::new().script(&version::TLS13);
    for part in [&[24, 0][..], &[0], &[1]] {
        let (_, end, _) = script.send(ContentType::Handshake, part);
        assert!(end.is_none());
        // The session can speak meanwhile.
        let mut out = Vec::new();
        let sealed = script.server.seal(&[IoSlice::new(b"mine")], 100, &mut out);
        assert_eq!(sealed, Ok(4));
        assert_eq!(
            script.read(out),
            [(ContentType::ApplicationData, b"mine".to_vec())]
        );
    }
    script.breaks(ContentType::ApplicationData, b"x", None);
}

#[test]
fn changes_of_keys_without_a_word_between_are_bounded() {
    let mut pair = Setting::new().open_pair(&version::TLS13);
    let mut changes = 0;
    while pair.end.is_none() {
        pair.client.refresh_traffic_keys().unwrap();
        let bytes = pair.client_bytes();
        pair.feed(&bytes);
        changes += 1;
        assert!(changes <= 33);
    }
    assert_eq!(changes, 33);
    // However many asked, there is one answer, so that nothing grows.
    let mut pair = Setting::new().open_pair(&version::TLS13);
    let usual = pair.seal(&[b"x"]);
    pair.read_by_client(&usual);
    for _ in 0..32 {
        pair.client.refresh_traffic_keys().unwrap();
        let bytes = pair.client_bytes();
        assert!(pair.feed(&bytes).is_empty());
    }
    let answer = pair.seal(&[b"x"]);
    assert_eq!(answer.len(), usual.len() + HEADER + 5 + 1 + 16);
    assert_eq!(pair.read_by_client(&answer), b"x");
}

#[test]
fn keys_that_are_used_up_are_changed() {
    let mut pair = pair_that_may_write(20, &version::TLS13);
    let overhead = HEADER + 1 + 16;
    let mut changes = 0;
    for round in 0..100_u8 {
        let records = pair.seal(&[&[round; 50], &[round; 50]]);
        changes += usize::from(records.len() > 100 + overhead);
        assert_eq!(pair.read_by_client(&records), [round; 100]);
    }
    assert!(changes >= 5, "{changes}");
    let message = pattern(200 * MAX_PLAIN);
    let mut rest = &message[..];
    while !rest.is_empty() {
        let (part, behind) = rest.split_at(rest.len().min(16 * MAX_PLAIN));
        assert!(pair.send_to_client(&[part]) == part);
        rest = behind;
    }
}

#[test]
fn tls_1_2_ends_when_its_keys_are_used_up() {
    let mut pair = pair_that_may_write(10, &version::TLS12);
    let mut out = Vec::new();
    let mut sent = 0;
    let failure = loop {
        let at = out.len();
        match pair.server.seal(&[IoSlice::new(b"again")], 100, &mut out) {
            Ok(len) => assert_eq!(len, 5),
            Err(failure) => break failure,
        }
        sent += 1;
        assert_eq!(pair.read_by_client(&out[at..]), b"again");
        out.truncate(at);
        assert!(sent < 10);
    };
    assert!(sent > 5, "{sent}");
    assert_eq!(failure, TlsFailure::Exhausted);
    pair.client.read_tls(&mut &out[..]).unwrap();
    assert!(pair.client.process_new_packets().unwrap().peer_has_closed());
    // Whoever did not look at the failure sees it again: nothing is taken for sent that is not.
    for _ in 0..2 {
        let len = out.len();
        let sealed = pair.server.seal(&[IoSlice::new(b"too late")], 100, &mut out);
        assert_eq!((sealed, out.len()), (Err(TlsFailure::Exhausted), len));
    }
    // What the client still says is heard.
    pair.send_to_server(b"the rest");
    assert_eq!(pair.plain, b"the rest");
}

/// A pair whose ciphers allow fewer records than theirs do.
fn pair_that_may_write(limit: u64, version: &'static SupportedProtocolVersion) -> Pair {
    let mut setting = Setting::new();
    let common = |common: &CipherSuiteCommon| CipherSuiteCommon {
        suite: common.suite,
        hash_provider: common.hash_provider,
        confidentiality_limit: limit,
    };
    let suite = match (
        suites::TLS13_AES_128_GCM_SHA256,
        suites::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ) {
        (SupportedCipherSuite::Tls13(suite), _) if version.version == ProtocolVersion::TLSv1_3 => {
            SupportedCipherSuite::Tls13(Box::leak(Box::new(Tls13CipherSuite {
                common: common(&suite.common),
                ..*suite
            })))
        }
        (_, SupportedCipherSuite::Tls12(suite)) => {
            SupportedCipherSuite::Tls12(Box::leak(Box::new(Tls12CipherSuite {
                common: common(&suite.common),
                ..*suite
            })))
        }
        _ => panic!("the names of ciphers lie"),
    };
    let provider = CryptoProvider {
        cipher_suites: vec![suite],
        ..aws_lc_rs::default_provider()
    };
    let server = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(&setting.server.cert_resolver));
    setting.server = Arc::new(server);
    let mut config = setting.client_config(aws_lc_rs::DEFAULT_CIPHER_SUITES.to_vec(), &[version]);
    config.alpn_protocols.clear();
    let mut pair = setting.pair_of(config);
    pair.shake();
    pair
}
