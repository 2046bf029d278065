//! TLS on a driver without a system: what leaves when, and what it costs.

use std::io::{Read, Write};

use allocation_counter::measure;
use rustls::ClientConnection;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::pipe::{Bell, Pipe, pipe};
use super::super::piped::Piped;
use super::super::slot::Phase;
use super::tls::Pair;
use super::workers::Echo;
use super::*;
use crate::driver::{Key, Owner};
use crate::tls::TlsVersion;

/// A client of a connection on a stage.
struct Client {
    key: Key,
    tls: ClientConnection,
    /// What was heard and not read yet.
    heard: Vec<u8>,
}

impl Client {
    /// Connects, and says nothing yet.
    fn new(stage: &mut Stage, pair: &Pair, version: TlsVersion) -> Self {
        let tls = ClientConnection::new(pair.client(version), "a.test".try_into().unwrap()).unwrap();
        Self {
            key: stage.accept(),
            tls,
            heard: Vec::new(),
        }
    }

    fn open(stage: &mut Stage, pair: &Pair, version: TlsVersion) -> Self {
        let mut client = Self::new(stage, pair, version);
        while client.tls.is_handshaking() {
            client.exchange(stage);
        }
        let response = client.ask(stage, REQUEST);
        assert!(response.starts_with(b"HTTP/1.1 101 "));
        client
    }

    /// What this side has to send.
    fn records(&mut self) -> Vec<u8> {
        let mut records = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut records).unwrap();
        }
        records
    }

    fn exchange(&mut self, stage: &mut Stage) {
        let records = self.records();
        stage.receive(self.key, &records);
        let answer = stage.sent(self.key);
        self.hear(&answer);
    }

    fn hear(&mut self, mut records: &[u8]) {
        while !records.is_empty() {
            self.tls.read_tls(&mut records).unwrap();
            self.tls.process_new_packets().unwrap();
            // It ends where more would have to come, which is no error here.
            let _ = self.tls.reader().read_to_end(&mut self.heard);
        }
    }

    fn read(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.heard)
    }

    fn ask(&mut self, stage: &mut Stage, bytes: &[u8]) -> Vec<u8> {
        self.tls.writer().write_all(bytes).unwrap();
        self.exchange(stage);
        self.read()
    }
}

fn stage_under_tls(handler: impl Handler, settings: Settings, pair: &Pair) -> Stage {
    Stage::under_tls(handler, settings, pair.server())
}

const BOTH: [TlsVersion; 2] = [TlsVersion::Tls13, TlsVersion::Tls12];

#[test]
fn what_a_turn_sends_leaves_in_one_record_and_one_write() {
    let pair = Pair::new();
    let mut stage = stage_under_tls(Echo, Settings::default(), &pair);
    for version in BOTH {
        let mut client = Client::open(&mut stage, &pair, version);
        let messages: Vec<_> = (0..50u8).flat_map(|i| binary(&[i; 20])).collect();
        client.tls.writer().write_all(&messages).unwrap();
        let records = client.records();
        let sends = stage.line(client.key).sends;
        stage.receive(client.key, &records);
        assert_eq!(stage.line(client.key).sends, sends + 1);
        let sent = stage.sent(client.key);
        assert_eq!(
            sent.len(),
            5 + usize::from(u16::from_be_bytes([sent[3], sent[4]]))
        );
        client.hear(&sent);
        assert_eq!(frames(&client.read()).len(), 50);
    }
}

#[test]
fn a_small_message_under_tls_costs_two_allocations_of_rustls_and_one_write() {
    let pair = Pair::new();
    let mut stage = stage_under_tls(Echo, Settings::default(), &pair);
    for version in BOTH {
        let mut client = Client::open(&mut stage, &pair, version);
        let mut records: Vec<_> = (0..200u8)
            .map(|i| {
                client.tls.writer().write_all(&binary(&[i; 100])).unwrap();
                client.records()
            })
            .collect();
        stage.line(client.key).sent.reserve(100_000);
        let Stage {
            driver, connections, ..
        } = &mut stage;
        let mut echo = |record: &mut Vec<u8>| {
            connections.received(driver, client.key, record);
            connections.turn_ends(driver);
        };
        let (early, late) = records.split_at_mut(100);
        early.iter_mut().for_each(&mut echo);
        let cost = measure(|| late.iter_mut().for_each(&mut echo));
        assert_eq!((cost.count_total, cost.count_current), (200, 0), "{cost:?}");
        let sent = stage.sent(client.key);
        client.hear(&sent);
        let echoes: Vec<_> = (0..200u8).map(|i| (0x82, vec![i; 100])).collect();
        assert_eq!(frames(&client.read()), echoes);
    }
}

#[test]
fn records_that_come_byte_by_byte_are_answered() {
    let pair = Pair::new();
    for version in BOTH {
        let mut stage = stage_under_tls(Echo, Settings::default(), &pair);
        let mut client = Client::new(&mut stage, &pair, version);
        let mut tell = |client: &mut Client| {
            for byte in client.records() {
                stage.receive(client.key, &[byte]);
            }
            let answer = stage.sent(client.key);
            client.hear(&answer);
            client.read()
        };
        while client.tls.is_handshaking() {
            tell(&mut client);
        }
        client.tls.writer().write_all(REQUEST).unwrap();
        assert!(tell(&mut client).starts_with(b"HTTP/1.1 101 "));
        client.tls.writer().write_all(&binary(&[7; 300])).unwrap();
        assert_eq!(frames(&tell(&mut client)), [(0x82, vec![7; 300])]);
    }
}

#[test]
fn what_comes_with_the_end_of_tls_is_answered_before_it() {
    let pair = Pair::new();
    for version in BOTH {
        let mut stage = stage_under_tls(Echo, Settings::default(), &pair);
        let mut client = Client::open(&mut stage, &pair, version);
        client.tls.writer().write_all(&binary(b"the last one")).unwrap();
        client.tls.send_close_notify();
        client.exchange(&mut stage);
        assert_eq!(frames(&client.read()), [(0x82, b"the last one".to_vec())]);
        assert!(client.tls.process_new_packets().unwrap().peer_has_closed());
        assert!(stage.line(client.key).end.is_some());
    }
}

#[test]
fn a_system_that_takes_little_gets_all_records_in_order() {
    let pair = Pair::new();
    let payload: Vec<u8> = (0..600_000u32).map(|at| (at * 7) as u8).collect();
    for version in BOTH {
        let mut stage = stage_under_tls(Echo, Settings::default(), &pair);
        let mut client = Client::open(&mut stage, &pair, version);
        client.tls.set_buffer_limit(None);
        stage.line(client.key).at_once = 7_001;
        stage.line(client.key).room = 10_000;
        client.tls.writer().write_all(&binary(&payload)).unwrap();
        client.tls.writer().write_all(&binary(b"behind it")).unwrap();
        let records = client.records();
        stage.receive(client.key, &records);
        let mut received = Vec::new();
        for _ in 0..100 {
            let sent = stage.sent(client.key);
            client.hear(&sent);
            received.extend(client.read());
            stage.make_room(client.key, 10_000);
        }
        let expected = [(0x82, payload.clone()), (0x82, b"behind it".to_vec())];
        assert!(frames(&received) == expected);
    }
}

#[test]
fn records_that_wait_count_as_buffered() {
    let pair = Pair::new();
    let handler = Obedient::default();
    let diary = handler.diary.clone();
    let queues = QueueLimits {
        send: 10_000,
        high_water: 5_000,
        low_water: 1_000,
        ..QueueLimits::default()
    };
    let mut stage = stage_under_tls(handler, with_queues(queues), &pair);
    let mut client = Client::open(&mut stage, &pair, TlsVersion::Tls13);
    diary.read();
    stage.line(client.key).room = 0;
    for order in ["pour 3000", "pour 3000", "pour 6000", "pour 1"] {
        client.ask(&mut stage, &text(order));
    }
    // The first one was sealed and waits as a record.
    assert_eq!(
        diary.read(),
        ["Sent 3004", "Buffered 6030", "Buffered 12034", "Dropped 12034"]
    );
    stage.make_room(client.key, usize::MAX);
    let sent = stage.sent(client.key);
    client.hear(&sent);
    let lens: Vec<_> = frames(&client.read())
        .iter()
        .map(|(_, payload)| payload.len())
        .collect();
    assert_eq!(lens, [3000, 3000, 6000]);
    assert_eq!(diary.read(), ["drain 0"]);
}

#[test]
fn the_end_is_announced_behind_the_last_word() {
    let pair = Pair::new();
    let mut stage = stage_under_tls(Echo, Settings::default(), &pair);
    let mut client = Client::open(&mut stage, &pair, TlsVersion::Tls13);
    stage.line(client.key).room = 10;
    client.tls.writer().write_all(&close(1000, "")).unwrap();
    let records = client.records();
    stage.receive(client.key, &records);
    assert_eq!(stage.line(client.key).end, None);
    stage.make_room(client.key, usize::MAX);
    let sent = stage.sent(client.key);
    client.hear(&sent);
    assert_eq!(frames(&client.read()), [(0x88, close_body(1000, ""))]);
    assert!(client.tls.process_new_packets().unwrap().peer_has_closed());
    assert_eq!(stage.line(client.key).end, Some(End::Closed));
}

#[test]
fn a_message_and_a_close_that_came_with_the_announced_end_are_told_after_the_pause() {
    let pair = Pair::new();
    let handler = Obedient::default();
    let diary = handler.diary.clone();
    let mut stage = stage_under_tls(handler, Settings::default(), &pair);
    for version in BOTH {
        let mut client = Client::open(&mut stage, &pair, version);
        diary.read();
        let last = [text("pause"), text("two"), close(1000, "bye")].concat();
        client.tls.writer().write_all(&last).unwrap();
        client.tls.send_close_notify();
        let records = client.records();
        stage.receive(client.key, &records);
        // The connection itself ends behind it.
        stage.end(client.key);
        assert!(diary.read().is_empty());
        stage.resume(client.key);
        let sent = stage.sent(client.key);
        client.hear(&sent);
        let expected = [(0x81, b"two!".to_vec()), (0x88, close_body(1000, "bye"))];
        assert_eq!(frames(&client.read()), expected);
        assert_eq!(diary.read(), ["close 1000 \"bye\" true", "dropped after 2"]);
        assert_eq!(stage.connections.slots.len(), 0);
    }
}

#[test]
fn a_turn_answers_four_hellos() {
    let pair = Pair::new();
    let mut stage = stage_under_tls(Echo, Settings::default(), &pair);
    let mut clients: Vec<_> = (0..11)
        .map(|_| Client::new(&mut stage, &pair, TlsVersion::Tls13))
        .collect();
    for client in &mut clients {
        let mut hello = client.records();
        // In two parts, as a network may cut it.
        let (first, second) = hello.split_at_mut(50);
        stage.connections.received(&mut stage.driver, client.key, first);
        stage.connections.received(&mut stage.driver, client.key, second);
    }
    let answered = |stage: &mut Stage| {
        let answered = clients
            .iter()
            .filter(|client| !stage.line(client.key).sent.is_empty());
        answered.count()
    };
    assert!(answered(&mut stage) <= 4);
    for _ in 0..2 {
        let before = answered(&mut stage);
        assert_eq!(stage.connections.wait(), Some(Duration::ZERO));
        stage.turn();
        assert_eq!(answered(&mut stage), 11.min(before + 4));
    }
    stage.turn();
    assert_eq!(answered(&mut stage), 11);
    assert_ne!(stage.connections.wait(), Some(Duration::ZERO));
}

#[test]
fn a_hello_that_comes_byte_by_byte_takes_no_turn_from_others() {
    let pair = Pair::new();
    let mut stage = stage_under_tls(Echo, Settings::default(), &pair);
    let come = |stage: &mut Stage, most: usize| {
        let mut client = Client::new(stage, &pair, TlsVersion::Tls13);
        let mut hello = client.records();
        let len = hello.len().min(most);
        stage
            .connections
            .received(&mut stage.driver, client.key, &mut hello[..len]);
        client.key
    };
    let is_answered = |stage: &mut Stage, key| !stage.line(key).sent.is_empty();

    let slow = [(); 20].map(|()| come(&mut stage, 1));
    for _ in 0..4 {
        let key = come(&mut stage, usize::MAX);
        assert!(is_answered(&mut stage, key), "those who are slow took its turn");
    }
    // Now there is a line, with the slow ones in front.
    let still_slow = [(); 20].map(|()| come(&mut stage, 1));
    let in_line = [(); 4].map(|()| come(&mut stage, usize::MAX));
    assert!(in_line.iter().all(|&key| !is_answered(&mut stage, key)));
    stage.turn();
    assert!(in_line.iter().all(|&key| is_answered(&mut stage, key)));
    let mut slow = slow.iter().chain(&still_slow);
    assert!(slow.all(|&key| !is_answered(&mut stage, key)));
    assert!(stage.connections.handshakes.is_idle());
}

/// A bell that nobody hears: the test looks by itself.
struct Deaf;

impl Bell for Deaf {
    fn ring(&self, _: Key) {}
}

/// A connection that a task sees to.
fn piped(stage: &mut Stage, pair: &Pair, version: TlsVersion) -> (Client, Pipe) {
    let mut client = Client::new(stage, pair, version);
    while client.tls.is_handshaking() {
        client.exchange(stage);
    }
    // Its last part of the handshake.
    client.exchange(stage);
    let (task, end) = pipe(Arc::new(Deaf), client.key);
    stage.connections.slots.get_mut(client.key).unwrap().phase = Phase::Piped(Box::new(Piped::new(end)));
    (client, task)
}

#[tokio::test]
async fn a_task_that_has_ended_its_direction_gets_what_the_peer_still_sends() {
    let pair = Pair::new();
    for version in BOTH {
        for is_cut_off in [false, true] {
            let mut stage = stage_under_tls(Echo, Settings::default(), &pair);
            let (mut client, mut task) = piped(&mut stage, &pair, version);
            task.write_all(b"all of mine").await.unwrap();
            task.shutdown().await.unwrap();
            stage.connections.rung(&mut stage.driver, client.key);
            client.exchange(&mut stage);
            assert_eq!(client.read(), b"all of mine");
            assert!(client.tls.process_new_packets().unwrap().peer_has_closed());

            client.tls.writer().write_all(&[7; 20_000]).unwrap();
            if !is_cut_off {
                client.tls.send_close_notify();
            }
            client.exchange(&mut stage);
            stage.end(client.key);
            let mut read = Vec::new();
            let result = task.read_to_end(&mut read).await;
            assert!(read == [7; 20_000], "{version:?}: {} bytes", read.len());
            assert_eq!(
                result.err().map(|error| error.kind()),
                is_cut_off.then_some(std::io::ErrorKind::UnexpectedEof)
            );
        }
    }
}

#[tokio::test]
async fn what_is_wrong_after_the_end_of_a_task_s_direction_is_an_error_to_it() {
    let pair = Pair::new();
    let mut stage = stage_under_tls(Echo, Settings::default(), &pair);
    let (client, mut task) = piped(&mut stage, &pair, TlsVersion::Tls13);
    task.shutdown().await.unwrap();
    stage.connections.rung(&mut stage.driver, client.key);
    stage.sent(client.key);
    stage.receive(client.key, &[&b"\x17\x03\x03\x00\x20"[..], &[0; 32]].concat());
    assert_eq!(stage.sent(client.key), b"");
    let error = task.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionAborted);
}

#[test]
fn clients_that_leave_while_they_wait_are_forgotten() {
    let pair = Pair::new();
    let mut stage = stage_under_tls(Echo, Settings::default(), &pair);
    let hello = Client::new(&mut stage, &pair, TlsVersion::Tls13).records();
    let come = |stage: &mut Stage| {
        let key = stage.accept();
        let mut hello = hello.clone();
        stage.connections.received(&mut stage.driver, key, &mut hello);
        key
    };
    for _ in 0..10 {
        come(&mut stage);
    }
    for _ in 0..1000 {
        let key = come(&mut stage);
        stage
            .connections
            .failed(&mut stage.driver, key, std::io::ErrorKind::ConnectionReset.into());
        assert!(stage.connections.handshakes.len() < 100);
    }
    while !stage.connections.handshakes.is_idle() {
        stage.turn();
    }
}
