//! What a session keeps and what messages cost.

use allocation_counter::measure;

use super::*;

#[test]
fn an_idle_session_keeps_no_buffer() {
    for version in BOTH_VERSIONS {
        let mut pair = Setting::new().open_pair(version);
        assert_eq!(pair.server.kept.capacity(), 0);
        pair.send_to_server(b"hello");
        pair.send_to_client(&[b"hello"]);
        assert_eq!(pair.server.kept.capacity(), 0);

        pair.client.writer().write_all(&pattern(MAX_PLAIN)).unwrap();
        let record = pair.client_bytes();
        pair.steps = vec![100];
        pair.feed(&record[..record.len() - 1]);
        // Of a record that came in part, that part is kept, and no room for more.
        assert_eq!(pair.server.kept.len(), record.len() - 1);
        assert_eq!(pair.server.kept.capacity(), record.len() - 1);
        pair.feed(&record[record.len() - 1..]);
        assert_eq!(pair.plain.len(), 5 + MAX_PLAIN);
        assert_eq!(pair.server.kept.capacity(), 0);
    }
}

/// What keys take besides, in aws-lc: about 650 bytes for each direction, which this allocator does not see.
#[test]
fn an_idle_session_takes_little_memory() {
    let setting = Setting::new();
    for (version, most) in [(&version::TLS13, 2400), (&version::TLS12, 2300)] {
        let client = Arc::new(setting.client_config(aws_lc_rs::DEFAULT_CIPHER_SUITES.to_vec(), &[version]));
        let open = || {
            let client = ClientConnection::new(Arc::clone(&client), "a.test".try_into().unwrap()).unwrap();
            let mut pair = Pair::new(TlsSession::new(&setting.server).unwrap(), client);
            pair.shake();
            pair.send_to_server(b"hello");
            pair.send_to_client(&[b"hello"]);
            Box::new(pair.server)
        };
        // The first ones fill what is kept for all.
        let early: Vec<_> = (0..40).map(|_| open()).collect();
        let mut sessions = Vec::with_capacity(100);
        let cost = measure(|| sessions.extend((0..100).map(|_| open())));
        let each = cost.bytes_current / 100;
        assert!((1..most).contains(&each), "{version:?}: {each} bytes");
        drop(early);
    }
}

/// rustls has its own memory for what it decrypts and what it encrypts, each as long as a record.
#[test]
fn a_small_message_costs_two_allocations_that_are_given_back() {
    for version in BOTH_VERSIONS {
        let mut script = Setting::new().script(version);
        let mut records: Vec<_> = (0..100)
            .map(|_| script.record(ContentType::ApplicationData, &[7; 100]))
            .collect();
        let (mut workspace, mut out) = (Vec::with_capacity(1000), Vec::with_capacity(1000));
        let mut echo = |record: &mut Vec<u8>| {
            let received = script.server.receive(record, &mut workspace, &mut out);
            assert_eq!(received.plain.len(), 100);
            out.clear();
            let (head, body) = received.plain.split_at(10);
            let pieces = [IoSlice::new(head), IoSlice::new(body)];
            script.server.seal(&pieces, usize::MAX, &mut out).unwrap();
        };
        let (early, late) = records.split_at_mut(10);
        early.iter_mut().for_each(&mut echo);
        let cost = measure(|| late.iter_mut().for_each(&mut echo));
        assert_eq!((cost.count_total, cost.count_current), (180, 0), "{cost:?}");
    }
}
