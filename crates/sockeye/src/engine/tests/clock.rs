//! Deadlines.

use super::*;
use crate::Keepalive;

fn pings(stage: &mut Stage, key: crate::driver::Key) -> Vec<Vec<u8>> {
    let sent = stage.sent(key);
    let pings = frames(&sent).into_iter().filter(|(first, _)| *first == 0x89);
    pings.map(|(_, payload)| payload).collect()
}

#[test]
fn a_silent_peer_is_pinged_and_one_that_answers_stays() {
    let (mut stage, key, diary) = opened(Settings::default());
    for round in 1..=3u64 {
        stage.pass(millis(24_900));
        assert!(pings(&mut stage, key).is_empty());
        stage.pass(millis(300));
        assert_eq!(pings(&mut stage, key), [round.to_be_bytes()]);
        stage.receive(key, &frame(0x8A, &round.to_be_bytes()));
    }
    assert_eq!(diary.read().len(), 3);
    stage.pass(millis(25_200));
    assert_eq!(pings(&mut stage, key).len(), 1);
    // And one that does not answer does not.
    stage.pass(millis(10_200));
    let notes = diary.read();
    assert!(notes[0].starts_with("close 1011 "), "{notes:?}");
    let sent = frames(&stage.sent(key));
    assert_eq!(sent[0].0, 0x88);
    assert_eq!(sent[0].1[..2], 1011u16.to_be_bytes());
}

/// A driver may have taken the Ping, and the system no room for it.
#[test]
fn the_time_to_answer_a_ping_begins_when_the_system_has_taken_it() {
    let (mut stage, key, diary) = opened(Settings::default());
    stage.line(key).flies = true;
    stage.pass(millis(25_200));
    assert!(pings(&mut stage, key).is_empty());
    // Longer than it may take to answer, and each part of it less than the peer may take nothing.
    for room in [3, 1, 1] {
        stage.land(key, room);
        stage.pass(millis(9_000));
        assert_eq!(diary.read(), [""; 0]);
    }
    stage.land(key, usize::MAX);
    assert_eq!(pings(&mut stage, key), [1u64.to_be_bytes()]);
    stage.pass(millis(9_900));
    assert_eq!(diary.read(), [""; 0]);
    stage.pass(millis(300));
    assert!(diary.read()[0].starts_with("close 1011 "));
}

/// Nobody else waits for the end of so small a flight.
#[test]
fn a_ping_that_the_system_takes_at_once_is_timed_all_the_same() {
    let (mut stage, key, diary) = opened(Settings::default());
    stage.line(key).flies = true;
    stage.pass(millis(25_200));
    stage.land(key, usize::MAX);
    stage.pass(millis(10_200));
    assert!(diary.read()[0].starts_with("close 1011 "));
}

#[test]
fn traffic_moves_the_ping_back() {
    let (mut stage, key, _) = opened(Settings::default());
    for _ in 0..10 {
        stage.pass(millis(20_000));
        stage.receive(key, &binary(b"x"));
        assert!(pings(&mut stage, key).is_empty());
    }
}

#[test]
fn an_idle_connection_is_closed_with_1001() {
    let (mut stage, key, diary) = opened(with_config(Config {
        idle_timeout: Some(Duration::from_secs(60)),
        keepalive: None,
        ..Config::server()
    }));
    stage.pass(millis(50_000));
    stage.receive(key, &binary(b"x"));
    stage.pass(millis(59_900));
    assert!(diary.read().is_empty());
    stage.pass(millis(300));
    assert!(diary.read()[0].starts_with("close 1001 "));
    stage.pass(millis(10_200));
    assert_eq!(stage.connections.slots.len(), 0);
}

#[test]
fn a_message_that_never_ends_is_cut_off_with_1008() {
    let (mut stage, key, diary) = opened(Settings::default());
    let message = binary(&[0; 1000]);
    stage.pass(millis(20_000));
    for byte in &message[..300] {
        stage.receive(key, std::slice::from_ref(byte));
        stage.pass(millis(100));
    }
    stage.pass(millis(300));
    assert!(diary.read()[0].starts_with("close 1008 "));
    assert_eq!(frames(&stage.sent(key)).last().unwrap().0, 0x88);
}

#[test]
fn without_keepalive_a_message_is_timed_all_the_same() {
    let (mut stage, key, diary) = opened(with_config(Config {
        keepalive: None,
        ..Config::server()
    }));
    stage.pass(Duration::from_secs(1000));
    stage.receive(key, &binary(&[0; 10])[..3]);
    stage.pass(millis(29_900));
    assert!(diary.read().is_empty());
    stage.pass(millis(300));
    assert!(diary.read()[0].starts_with("close 1008 "));
}

#[test]
fn at_the_end_of_its_lifetime_a_connection_closes_with_1001() {
    let (mut stage, key, diary) = opened(with_config(Config {
        max_lifetime: Some(Duration::from_secs(100)),
        lifetime_jitter: 0,
        keepalive: Some(Keepalive {
            interval: Duration::from_secs(1000),
            timeout: Duration::from_secs(10),
        }),
        ..Config::server()
    }));
    stage.pass(millis(100_200));
    let sent = frames(&stage.sent(key));
    assert_eq!(sent[0].0, 0x88);
    assert_eq!(sent[0].1[..2], 1001u16.to_be_bytes());
    // What was under way is heard.
    stage.receive(key, &text("late"));
    stage.receive(key, &close(1001, ""));
    assert_eq!(diary.read(), ["close 1001 \"\" true", "dropped after 1"]);
}

#[test]
fn connections_that_were_opened_together_do_not_end_together() {
    let (mut stage, diary) = stage(with_config(Config {
        max_lifetime: Some(Duration::from_secs(100)),
        keepalive: None,
        ..Config::server()
    }));
    for _ in 0..100 {
        let key = stage.open();
        // Traffic does not prolong it.
        stage.receive(key, &text("hello"));
    }
    diary.read();
    stage.pass(millis(89_900));
    assert!(diary.read().is_empty());
    let lasting = |stage: &Stage| {
        let keys = stage.connections.slots.keys();
        let lasts = |key: &crate::driver::Key| {
            frames(&stage.driver.lines[key].sent)
                .iter()
                .all(|(first, _)| *first != 0x88)
        };
        keys.iter().filter(|key| lasts(key)).count()
    };
    let mut before = lasting(&stage);
    assert_eq!(before, 100);
    for _ in 0..10 {
        stage.pass(Duration::from_secs(1));
        let now = lasting(&stage);
        // Ten each second, evenly but for the edges.
        assert!((6..=14).contains(&(before - now)), "{before} -> {now}");
        before = now;
    }
    stage.pass(millis(300));
    assert_eq!(lasting(&stage), 0);
}

#[test]
fn a_handshake_that_takes_too_long_is_dropped() {
    let (mut stage, diary) = stage(Settings::default());
    let key = stage.accept();
    for byte in &REQUEST[..95] {
        stage.receive(key, std::slice::from_ref(byte));
        stage.pass(millis(100));
    }
    assert_eq!(stage.connections.slots.len(), 1);
    stage.pass(millis(700));
    assert_eq!(stage.connections.slots.len(), 0);
    assert!(stage.line(key).end.is_some());
    assert!(diary.read().is_empty());
}

#[test]
fn each_connection_has_one_timer_which_traffic_does_not_touch() {
    let (mut stage, key, _) = opened(with_config(Config {
        idle_timeout: Some(Duration::from_secs(60)),
        max_lifetime: Some(Duration::from_secs(3600)),
        ..Config::server()
    }));
    stage.open();
    stage.open();
    assert_eq!(stage.connections.wheel.armed(), 3);
    let next = |stage: &Stage| {
        let now = stage.connections.common.now;
        now + stage.connections.wheel.wait(now).unwrap()
    };
    let before = next(&stage);
    for _ in 0..50 {
        stage.receive(key, &text("traffic"));
        stage.pass(millis(100));
    }
    assert_eq!((next(&stage), stage.connections.wheel.armed()), (before, 3));
}

#[test]
fn idle_connections_are_looked_at_no_more_than_they_ask_for() {
    let (stage, _, _) = opened(Settings::default());
    let wait = stage.connections.wait().unwrap();
    // The handshake's deadline is left to fire, and finds nothing to do.
    assert!(
        wait > Duration::from_secs(5) && wait <= Duration::from_secs(26),
        "{wait:?}"
    );
}
