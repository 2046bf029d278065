//! What a session keeps and what messages cost.

use allocation_counter::measure;

use super::*;

#[test]
fn an_idle_session_keeps_no_buffer() {
    for version in BOTH_VERSIONS {
        let mut pair = Setting::new().open_pair(version);
        pair.send_to_server(b"hello");
        pair.send_to_client(&[b"hello"]);
        assert_eq!(pair.records().partial.capacity(), 0);

        pair.client.writer().write_all(&pattern(MAX_PLAIN)).unwrap();
        let record = pair.client_bytes();
        let max = HEADER + MAX_PLAIN + 256;
        pair.step = 100;
        for cut in [1, 4, 5, 100, record.len() - 1] {
            assert!(cut < max);
        }
        pair.feed(&record[..record.len() - 1]);
        assert!(pair.records().partial.len() < max);
        pair.feed(&record[record.len() - 1..]);
        assert_eq!(pair.plain.len(), 5 + MAX_PLAIN);
        assert_eq!(pair.records().partial.capacity(), 0);
    }
}

/// What keys take besides, in aws-lc: about 650 bytes for each direction, which this allocator does not see.
#[test]
fn an_idle_session_takes_little_memory() {
    let setting = Setting::new();
    for (version, most) in [(&version::TLS13, 1100), (&version::TLS12, 300)] {
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

#[test]
fn a_small_message_costs_no_allocation_and_no_copy_of_what_came() {
    for version in BOTH_VERSIONS {
        let mut script = Setting::new().open_pair(version).into_script();
        let mut records: Vec<_> = (0..100)
            .map(|_| script.record(kind::APPLICATION_DATA, &[7; 100]))
            .collect();
        let (mut workspace, mut out) = (Vec::new(), Vec::with_capacity(1000));
        let cost = measure(|| {
            for record in &mut records {
                let place = record.as_ptr_range();
                let received = script.server.receive(record, &mut workspace, &mut out);
                assert!(received.rest.len() == 100 && received.first.is_empty());
                assert!(place.contains(&received.rest.as_ptr()));
                out.clear();
                let pieces = [IoSlice::new(received.rest)];
                script.server.seal(&pieces, usize::MAX, &mut out).unwrap();
            }
        });
        assert_eq!(cost.count_total, 0, "{cost:?}");
    }
}
