//! Pings, Pongs and the clocks that they move.

use std::time::Duration;

use sockeye_proto::{Config, Error, Keepalive, Limit, Message, Shutdown, Timeout};

use crate::support::end::Heard;
use crate::support::frame::{Frame, PING, header};
use crate::support::peer::{PEER_KEY, Peer};

const SECOND: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_secs(25);
const TIMEOUT: Duration = Duration::from_secs(10);
const LIVE: Config = Config {
    keepalive: Some(Keepalive {
        interval: INTERVAL,
        timeout: TIMEOUT,
    }),
    ..Config::server()
};

/// Waits until the endpoint has sent a keepalive Ping; gives its payload.
fn keepalive_ping(peer: &mut Peer) -> Vec<u8> {
    peer.wait(INTERVAL);
    let ping = peer.next_frame().expect("a Ping");
    assert_eq!(ping.opcode, PING);
    ping.payload
}

#[test]
fn each_ping_is_answered_when_output_is_taken() {
    for mut peer in Peer::of_both() {
        peer.send_all(&[Frame::ping("one"), Frame::ping(""), Frame::ping([0xFF; 125])]);
        peer.expect(Frame::pong("one"));
        peer.expect(Frame::pong(""));
        peer.expect(Frame::pong([0xFF; 125]));
        peer.expect_nothing();
    }
}

#[test]
fn only_the_newest_ping_is_answered_when_output_was_blocked() {
    for mut peer in Peer::of_both() {
        peer.blocked = true;
        peer.send_all(&[Frame::ping("one"), Frame::ping("two"), Frame::ping("three")]);
        assert!(peer.connection.has_output());
        peer.blocked = false;
        peer.expect(Frame::pong("three"));
        peer.expect_nothing();
    }
}

#[test]
fn reading_goes_on_while_control_output_is_blocked() {
    let mut peer = Peer::of_server();
    peer.blocked = true;
    peer.send_all(&[
        Frame::ping("a"),
        Frame::text("first"),
        Frame::ping("b"),
        Frame::text("second"),
    ]);
    peer.expect_heard(&[
        Heard::Ping(b"a".to_vec()),
        Heard::Text("first".to_owned()),
        Heard::Ping(b"b".to_vec()),
        Heard::Text("second".to_owned()),
    ]);
}

#[test]
fn a_pong_is_never_answered() {
    for mut peer in Peer::of_both() {
        peer.send_all(&[Frame::pong("unasked"), Frame::pong("")]);
        peer.expect_heard(&[Heard::Pong(b"unasked".to_vec()), Heard::Pong(Vec::new())]);
        peer.expect_nothing();
    }
}

#[test]
fn a_ping_goes_out_after_silence_only() {
    let mut peer = Peer::of_server_with(LIVE);
    for _ in 0..10 {
        peer.wait(INTERVAL - SECOND);
        peer.send(Frame::text("not silent"));
        peer.expect_nothing();
    }
    peer.wait(INTERVAL - Duration::from_nanos(1));
    peer.expect_nothing();
    peer.wait(Duration::from_nanos(1));
    assert_eq!(peer.next_frame().unwrap().opcode, PING);
    peer.expect_nothing();
}

#[test]
fn any_byte_ends_the_silence() {
    let mut peer = Peer::of_server_with(Config {
        message_timeout: None,
        ..LIVE
    });
    let bytes = Frame::text("slow").encode(Some(PEER_KEY));
    for byte in bytes {
        peer.wait(INTERVAL - SECOND);
        peer.send_bytes(&[byte]);
        peer.expect_nothing();
    }
}

#[test]
fn silence_that_ends_before_its_ping_could_leave_needs_none() {
    let mut peer = Peer::of_server_with(LIVE);
    peer.blocked = true;
    peer.wait(INTERVAL);
    assert!(peer.connection.has_output());
    peer.send(Frame::text("here I am"));
    peer.blocked = false;
    peer.expect_nothing();
    assert_eq!(peer.connection.poll_timeout(), Some(peer.now + INTERVAL));
}

#[test]
fn a_ping_starts_its_clock_when_it_is_flushed() {
    let mut peer = Peer::of_server_with(LIVE);
    peer.wait(INTERVAL);
    // Written into our buffer, not handed to the transport: the transport is blocked, not the peer silent.
    assert!(!peer.out.is_empty() && peer.connection.awaits_flush());
    assert_eq!(peer.connection.poll_timeout(), None);
    peer.wait(100 * TIMEOUT);
    assert_eq!(peer.error, None);
    let now = peer.now;
    assert!(peer.connection.handle_flushed(now) && !peer.connection.awaits_flush());
    assert_eq!(peer.connection.poll_timeout(), Some(now + TIMEOUT));
    peer.wait(TIMEOUT - Duration::from_nanos(1));
    assert_eq!(peer.error, None);
    peer.wait(Duration::from_nanos(1));
    assert_eq!(peer.error, Some(Timeout::Keepalive(TIMEOUT).into()));
}

#[test]
fn flushing_before_the_ping_was_written_starts_no_clock() {
    let mut peer = Peer::of_server_with(LIVE);
    peer.blocked = true;
    peer.wait(INTERVAL);
    let now = peer.now;
    peer.connection.handle_flushed(now);
    assert_eq!(peer.connection.poll_timeout(), None);
    peer.blocked = false;
    assert_eq!(peer.next_frame().unwrap().opcode, PING);
    assert_eq!(peer.connection.poll_timeout(), Some(now + TIMEOUT));
}

#[test]
fn a_ping_that_is_not_answered_closes_with_1011() {
    let mut peer = Peer::of_server_with(LIVE);
    keepalive_ping(&mut peer);
    assert_eq!(peer.wait_for_deadline(), Some(TIMEOUT));
    assert_eq!(
        Error::from(Timeout::Keepalive(TIMEOUT))
            .close_code()
            .unwrap()
            .get(),
        1011
    );
    peer.expect_failure(Timeout::Keepalive(TIMEOUT));
    assert_eq!(peer.connection.shutdown(), Shutdown::Linger);
}

#[test]
fn only_the_matching_pong_clears_a_ping() {
    let mut peer = Peer::of_server_with(LIVE);
    let first = keepalive_ping(&mut peer);
    peer.send(Frame::pong(&first));
    let second = keepalive_ping(&mut peer);
    assert_ne!(first, second, "a Pong must tell which Ping it answers");
    peer.send_all(&[
        Frame::pong(&first),
        Frame::pong(""),
        Frame::pong("unasked"),
        Frame::text("busy but not answering"),
    ]);
    peer.wait(TIMEOUT);
    peer.expect_failure(Timeout::Keepalive(TIMEOUT));

    let mut peer = Peer::of_server_with(LIVE);
    let payload = keepalive_ping(&mut peer);
    peer.send(Frame::pong(payload));
    assert_eq!(peer.connection.poll_timeout(), Some(peer.now + INTERVAL));
}

#[test]
fn the_pong_to_a_later_ping_of_the_application_counts() {
    // RFC 6455 §5.5.3: a peer may answer the newest Ping only.
    let mut peer = Peer::of_server_with(LIVE);
    keepalive_ping(&mut peer);
    let mut out = Vec::new();
    peer.connection.ping(b"mine", &mut out).unwrap();
    peer.send(Frame::pong("mine"));
    peer.wait(TIMEOUT);
    assert_eq!(peer.error, None);
}

#[test]
fn pings_of_the_application_do_not_hide_the_pong_to_ours() {
    let mut peer = Peer::of_server_with(LIVE);
    let payload = keepalive_ping(&mut peer);
    let mut out = Vec::new();
    // The application pings faster than the round trip: each Pong arrives when the next Ping has left.
    peer.connection.ping(b"1", &mut out).unwrap();
    peer.send(Frame::pong(payload));
    assert_eq!(peer.connection.poll_timeout(), Some(peer.now + INTERVAL));
    peer.connection.ping(b"2", &mut out).unwrap();
    peer.send(Frame::pong("1"));
    peer.wait(INTERVAL);
    assert_eq!(peer.error, None);
}

#[test]
fn an_old_ping_of_the_application_does_not_answer_for_a_new_keepalive() {
    let mut peer = Peer::of_server_with(LIVE);
    let payload = keepalive_ping(&mut peer);
    let mut out = Vec::new();
    peer.connection.ping(b"old", &mut out).unwrap();
    peer.send_all(&[Frame::pong(payload), Frame::pong("old")]);
    keepalive_ping(&mut peer);
    peer.send(Frame::pong("old"));
    peer.wait(TIMEOUT);
    peer.expect_failure(Timeout::Keepalive(TIMEOUT));
}

#[test]
fn a_long_frame_may_hold_a_pong_up() {
    // No Pong fits into the middle of a frame, however long the peer's link takes for it.
    let mut peer = Peer::of_server_with(Config {
        message_timeout: None,
        ..LIVE
    });
    let payload = keepalive_ping(&mut peer);
    peer.send_bytes(&header(&Frame::binary(""), 60, Some(PEER_KEY)));
    for _ in 0..60 {
        peer.wait(TIMEOUT - SECOND);
        assert_eq!(peer.error, None);
        peer.send_bytes(b"x");
    }
    peer.send(Frame::pong(payload));
    peer.wait(TIMEOUT);
    assert_eq!(peer.error, None);
}

#[test]
fn a_frame_that_stops_arriving_does_not_hold_a_pong_up() {
    let mut peer = Peer::of_server_with(Config {
        message_timeout: None,
        ..LIVE
    });
    keepalive_ping(&mut peer);
    peer.send_bytes(&header(&Frame::binary(""), 60, Some(PEER_KEY)));
    peer.wait(SECOND);
    peer.send_bytes(b"x");
    peer.wait(TIMEOUT);
    peer.expect_failure(Timeout::Keepalive(TIMEOUT));
}

#[test]
fn one_keepalive_ping_at_a_time_is_outstanding() {
    let mut peer = Peer::of_server_with(Config {
        keepalive: Some(Keepalive {
            interval: SECOND,
            timeout: 10 * SECOND,
        }),
        ..Config::server()
    });
    peer.wait(SECOND);
    assert_eq!(peer.next_frame().unwrap().opcode, PING);
    peer.wait(9 * SECOND);
    peer.expect_nothing();
}

#[test]
fn no_ping_goes_out_while_closing() {
    let mut peer = Peer::of_server_with(Config {
        close_timeout: 10 * INTERVAL,
        ..LIVE
    });
    let now = peer.now;
    let mut out = Vec::new();
    peer.connection.close(None, now, &mut out);
    peer.wait(5 * INTERVAL);
    peer.expect_nothing();
    assert_eq!(peer.error, None);
}

#[test]
fn clients_send_no_pings_of_their_own_by_default() {
    let mut peer = Peer::of_client();
    assert_eq!(peer.connection.poll_timeout(), None);
    peer.wait(1000 * INTERVAL);
    peer.expect_nothing();
}

#[test]
fn a_keepalive_works_in_both_roles() {
    let mut pair = crate::support::pair::Pair::new(LIVE, LIVE, None);
    pair.wait(20 * INTERVAL);
    for end in [&pair.client, &pair.server] {
        assert_eq!(end.error, None);
        assert!(
            end.heard
                .iter()
                .any(|heard| matches!(heard, Heard::Ping(_) | Heard::Pong(_)))
        );
    }
}

#[test]
fn a_paused_reader_blames_nobody() {
    // The application is behind, so we do not read: silence and unanswered Pings are our own doing.
    let config = Config {
        idle_timeout: Some(INTERVAL * 2),
        message_timeout: Some(SECOND),
        ..LIVE
    };
    let mut peer = Peer::of_server_with(config);
    keepalive_ping(&mut peer);
    peer.send(Frame::text("half").more());
    peer.connection.handle_paused();
    for _ in 0..100 {
        peer.wait(INTERVAL);
        peer.expect(Frame::pong(""));
        peer.expect_nothing();
    }
    assert_eq!(peer.error, None);

    let now = peer.now;
    peer.connection.handle_resumed(now);
    assert_eq!(peer.connection.poll_timeout(), Some(now + SECOND));
    peer.send(Frame::continuation("whole"));
    assert_eq!(peer.connection.poll_timeout(), Some(now + TIMEOUT));
    peer.wait(TIMEOUT);
    peer.expect_failure(Timeout::Keepalive(TIMEOUT));
}

#[test]
fn signs_of_life_in_a_pause_do_not_pile_up_and_end_with_it() {
    let mut peer = Peer::of_server_with(LIVE);
    peer.connection.handle_paused();
    peer.blocked = true;
    peer.wait(10 * INTERVAL);
    peer.blocked = false;
    peer.expect(Frame::pong(""));
    peer.expect_nothing();
    peer.blocked = true;
    peer.wait(INTERVAL);
    assert!(peer.connection.has_output());
    let now = peer.now;
    peer.connection.handle_resumed(now);
    assert!(!peer.connection.has_output());

    let mut silent = Peer::of_server_with(Config {
        keepalive: None,
        ..LIVE
    });
    silent.connection.handle_paused();
    assert_eq!(silent.connection.poll_timeout(), None);
}

#[test]
fn a_pause_does_not_stop_the_clock_of_closing_nor_of_age() {
    let config = Config {
        max_lifetime: Some(INTERVAL),
        ..LIVE
    };
    let mut peer = Peer::of_server_with(config.clone());
    peer.connection.handle_paused();
    assert_eq!(peer.wait_for_deadline(), Some(INTERVAL));
    assert_eq!(peer.error, Some(Timeout::Lifetime(INTERVAL).into()));

    let mut peer = Peer::of_server_with(config);
    peer.connection.handle_paused();
    let now = peer.now;
    let mut out = Vec::new();
    peer.connection.close(None, now, &mut out);
    assert_eq!(peer.wait_for_deadline(), Some(Config::server().close_timeout));
    assert_eq!(peer.connection.shutdown(), Shutdown::Now);
}

#[test]
fn a_deadline_acts_when_it_is_reached_and_not_before() {
    let config = Config {
        idle_timeout: Some(Duration::from_millis(70_500)),
        max_lifetime: Some(Duration::from_secs(200)),
        ..LIVE
    };
    let mut peer = Peer::of_server_with(config);
    let mut payload = Vec::new();
    while let Some(deadline) = peer.connection.poll_timeout()
        && peer.error.is_none()
    {
        // Early calls, as from a timer that was not moved back, do nothing.
        let before = deadline - Duration::from_nanos(1);
        assert_eq!(peer.connection.handle_timeout(before), Ok(()));
        assert!(!peer.connection.has_output());
        assert_eq!(peer.connection.poll_timeout(), Some(deadline));
        peer.wait_for_deadline();
        let acted = peer.next_frame();
        assert!(acted.is_some() || peer.error.is_some(), "a deadline did nothing");
        if let Some(ping) = acted.filter(|frame| frame.opcode == PING) {
            assert_ne!(ping.payload, payload);
            payload = ping.payload;
            peer.send(Frame::pong(&payload));
        }
    }
    assert_eq!(
        peer.error,
        Some(Timeout::Lifetime(Duration::from_secs(200)).into())
    );
    assert_eq!(peer.age(), Duration::from_secs(200));
}

#[test]
fn a_flood_of_pings_that_nobody_reads_the_answers_to_costs_one_answer() {
    let config = Config {
        max_control_rate: u32::MAX,
        ..Config::server()
    };
    let mut peer = Peer::of_server_with(config);
    peer.blocked = true;
    let flood: Vec<u8> = (0..10_000_u32)
        .flat_map(|count| Frame::ping(count.to_be_bytes()).encode(Some(PEER_KEY)))
        .collect();
    peer.send_bytes(&flood);
    peer.blocked = false;
    peer.expect(Frame::pong(9_999_u32.to_be_bytes()));
    peer.expect_nothing();
}

#[test]
fn a_flood_of_pings_or_pongs_reaches_the_limit() {
    for frame in [Frame::ping("x"), Frame::pong("x")] {
        for mut peer in Peer::of_both() {
            peer.blocked = true;
            for _ in 0..1000 {
                peer.send(frame.clone());
            }
            assert_eq!(peer.error, None);
            peer.take_heard();
            peer.send(frame.clone());
            peer.expect_heard(&[]);
            peer.blocked = false;
            peer.expect_failure(Limit::ControlRate(1000));
        }
    }
}

#[test]
fn control_frames_at_a_steady_rate_below_the_limit_go_on_for_ever() {
    let mut peer = Peer::of_server_with(Config {
        max_control_rate: 10,
        ..Config::server()
    });
    for _ in 0..1000 {
        peer.send(Frame::ping("steady"));
        peer.wait(SECOND / 10);
        peer.expect(Frame::pong("steady"));
    }
    assert_eq!(peer.error, None);
}

#[test]
fn an_application_may_send_unsolicited_pongs() {
    for mut peer in Peer::of_both() {
        let mut out = Vec::new();
        peer.connection.pong(b"alive", &mut out).unwrap();
        peer.connection.send(Message::Text("a"), &mut out).unwrap();
        peer.out = out;
        peer.expect(Frame::pong("alive"));
        peer.expect(Frame::text("a"));
    }
}
