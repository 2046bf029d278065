//! Every quantity that a peer can make grow has a limit, and reaching it closes with the code and a reason that
//! names it.

use std::time::Duration;

use sockeye_proto::{Config, Delivery, Error, Limit, Role, State, Timeout};

use crate::support::end::Heard;
use crate::support::frame::{Frame, header};
use crate::support::peer::{PEER_KEY, Peer};

const SECOND: Duration = Duration::from_secs(1);

/// The endpoint has told its peer why it failed, in these words.
#[track_caller]
fn expect_reason(peer: &mut Peer, error: impl Into<Error>, code: u16, reason: &str) {
    let error = error.into();
    assert_eq!(error.close_code().unwrap().get(), code);
    assert_eq!(error.to_string(), reason);
    peer.expect_failure(error);
}

#[test]
fn a_message_beyond_the_limit_closes_with_1009() {
    for delivery in [Delivery::Messages, Delivery::Chunks] {
        let config = Config {
            max_message_size: 10,
            delivery,
            ..Config::server()
        };
        let mut peer = Peer::of_server_with(config.clone());
        peer.send(Frame::text("0123456789"));
        assert_eq!(peer.take_heard().len(), 1);
        peer.send(Frame::text("01234567890"));
        peer.expect_heard(&[]);
        expect_reason(
            &mut peer,
            Limit::MessageSize(10),
            1009,
            "message larger than 10 bytes",
        );
    }
}

#[test]
fn a_message_in_fragments_is_measured_as_a_whole() {
    let mut peer = Peer::of_server_with(Config {
        max_message_size: 10,
        ..Config::server()
    });
    peer.send_all(&[Frame::binary([0; 6]).more(), Frame::continuation([0; 4])]);
    peer.send_all(&[Frame::binary([0; 6]).more(), Frame::continuation([0; 5])]);
    peer.expect_heard(&[Heard::Binary(vec![0; 10])]);
    expect_reason(
        &mut peer,
        Limit::MessageSize(10),
        1009,
        "message larger than 10 bytes",
    );
}

#[test]
fn a_header_alone_reaches_the_message_limit() {
    // Neither a byte of payload nor room for one is needed to see it.
    for length in [(1 << 20) + 1, 1 << 30, u64::from(u32::MAX), i64::MAX as u64] {
        let mut peer = Peer::of_server();
        peer.send_bytes(&header(&Frame::text(""), length, Some(PEER_KEY)));
        expect_reason(
            &mut peer,
            Limit::MessageSize(1 << 20),
            1009,
            "message larger than 1048576 bytes",
        );
    }
    let mut peer = Peer::of_server();
    peer.send(Frame::binary([0; 60000]).more());
    peer.send_bytes(&header(&Frame::continuation(""), i64::MAX as u64, Some(PEER_KEY)));
    peer.expect_failure(Limit::MessageSize(1 << 20));
}

#[test]
fn a_short_frame_that_arrives_in_part_is_limited_too() {
    let mut peer = Peer::of_server_with(Config {
        max_message_size: 10,
        ..Config::server()
    });
    let bytes = Frame::text("01234567890").encode(Some(PEER_KEY));
    peer.send_bytes(&bytes[..5]);
    assert_eq!(peer.error, None);
    peer.send_bytes(&bytes[5..7]);
    peer.expect_failure(Limit::MessageSize(10));
}

#[test]
fn a_frame_beyond_the_limit_closes_with_1009() {
    for mut peer in [Role::Server, Role::Client].map(|role| {
        let config = Config {
            max_frame_size: 10,
            ..Config::server()
        };
        Peer::of(role, config, None)
    }) {
        peer.send_all(&[Frame::binary([0; 10]).more(), Frame::continuation([0; 10])]);
        peer.send(Frame::binary([0; 11]));
        peer.expect_heard(&[Heard::Binary(vec![0; 20])]);
        expect_reason(
            &mut peer,
            Limit::FrameSize(10),
            1009,
            "frame larger than 10 bytes",
        );
    }
}

#[test]
fn too_many_fragments_close_with_1008() {
    for delivery in [Delivery::Messages, Delivery::Chunks] {
        let mut peer = Peer::of_server_with(Config {
            max_fragments: 3,
            delivery,
            ..Config::server()
        });
        peer.send_all(&[
            Frame::text("a").more(),
            Frame::continuation("b").more(),
            Frame::continuation("c"),
        ]);
        assert_eq!(peer.error, None);
        peer.send_all(&[
            Frame::text("a").more(),
            Frame::continuation("b").more(),
            Frame::continuation("c").more(),
            Frame::continuation("d"),
        ]);
        expect_reason(
            &mut peer,
            Limit::Fragments(3),
            1008,
            "message in more than 3 fragments",
        );
    }
}

#[test]
fn endless_fragments_reach_the_limit_whatever_they_carry() {
    for payload in ["", "x"] {
        let mut peer = Peer::of_server();
        peer.send(Frame::text(payload).more());
        for _ in 1..1024 {
            assert_eq!(peer.error, None);
            peer.send(Frame::continuation(payload).more());
        }
        assert_eq!(peer.error, None);
        peer.send(Frame::continuation(payload).more());
        peer.expect_failure(Limit::Fragments(1024));
    }
}

#[test]
fn pings_between_fragments_do_not_reset_the_limits() {
    let mut peer = Peer::of_server_with(Config {
        max_fragments: 100,
        ..Config::server()
    });
    peer.send(Frame::binary("").more());
    for _ in 1..100 {
        peer.send_all(&[Frame::ping(""), Frame::continuation("").more()]);
        peer.expect(Frame::pong(""));
    }
    assert_eq!(peer.error, None);
    peer.send_all(&[Frame::ping(""), Frame::continuation("").more()]);
    peer.expect(Frame::pong(""));
    peer.expect_failure(Limit::Fragments(100));
}

#[test]
fn too_many_control_frames_close_with_1008() {
    let mut peer = Peer::of_server_with(Config {
        max_control_rate: 2,
        ..Config::server()
    });
    peer.send_all(&[Frame::pong("a"), Frame::pong("b"), Frame::pong("c")]);
    peer.expect_heard(&[Heard::Pong(b"a".to_vec()), Heard::Pong(b"b".to_vec())]);
    let reason = "more than 2 control frames in a second";
    expect_reason(&mut peer, Limit::ControlRate(2), 1008, reason);
}

#[test]
fn a_message_that_takes_too_long_closes_with_1008() {
    for delivery in [Delivery::Messages, Delivery::Chunks] {
        let mut peer = Peer::of_server_with(Config {
            message_timeout: Some(3 * SECOND),
            delivery,
            ..Config::server()
        });
        peer.send(Frame::text("a").more());
        // The deadline is that of the message: progress does not move it.
        peer.wait(SECOND);
        peer.send(Frame::continuation("b").more());
        peer.wait(SECOND);
        peer.send_all(&[Frame::continuation("c").more(), Frame::ping("")]);
        peer.expect(Frame::pong(""));
        peer.wait(SECOND - Duration::from_nanos(1));
        assert_eq!(peer.error, None);
        peer.wait(Duration::from_nanos(1));
        let reason = "message not complete within 3s";
        expect_reason(&mut peer, Timeout::Message(3 * SECOND), 1008, reason);
    }
}

#[test]
fn a_header_or_control_frame_that_stops_half_way_reaches_the_message_timeout() {
    for frame in [
        Frame::text("payload"),
        Frame::ping("payload"),
        Frame::close(1000, ""),
    ] {
        let bytes = frame.encode(Some(PEER_KEY));
        for cut in 1..bytes.len() {
            let mut peer = Peer::of_server_with(Config {
                message_timeout: Some(3 * SECOND),
                ..Config::server()
            });
            peer.wait(SECOND);
            peer.send_bytes(&bytes[..cut]);
            peer.wait(3 * SECOND);
            peer.expect_failure(Timeout::Message(3 * SECOND));
        }
    }
}

#[test]
fn a_huge_declared_length_followed_by_silence_ends_at_the_deadline() {
    let mut peer = Peer::of_server_with(Config {
        max_message_size: u64::MAX,
        ..Config::server()
    });
    peer.send_bytes(&header(&Frame::binary(""), i64::MAX as u64, Some(PEER_KEY)));
    assert_eq!(
        peer.wait_for_deadline(),
        Some(25 * SECOND),
        "first it is asked for a sign of life"
    );
    peer.wait(5 * SECOND);
    assert_eq!(peer.error, Some(Timeout::Message(30 * SECOND).into()));
}

#[test]
fn messages_in_quick_succession_never_reach_the_message_timeout() {
    let mut peer = Peer::of_server_with(Config {
        message_timeout: Some(3 * SECOND),
        ..Config::server()
    });
    // There is a message under way at all times, but each is complete in time.
    let first = Frame::text("abc").encode(Some(PEER_KEY));
    peer.send_bytes(&first[..4]);
    for _ in 0..20 {
        peer.wait(2 * SECOND);
        peer.send_bytes(&[&first[4..], &first[..4]].concat());
    }
    assert_eq!(peer.error, None);
    assert_eq!(peer.take_heard().len(), 20);
}

#[test]
fn silence_beyond_the_idle_timeout_closes_with_1001() {
    let mut peer = Peer::of_server_with(Config {
        idle_timeout: Some(5 * SECOND),
        ..Config::server()
    });
    peer.wait(4 * SECOND);
    peer.send(Frame::pong("a sign of life"));
    assert_eq!(peer.wait_for_deadline(), Some(5 * SECOND));
    expect_reason(
        &mut peer,
        Timeout::Idle(5 * SECOND),
        1001,
        "nothing received for 5s",
    );
}

#[test]
fn our_own_output_does_not_make_a_silent_peer_live() {
    let mut peer = Peer::of_server_with(Config {
        idle_timeout: Some(5 * SECOND),
        ..Config::server()
    });
    peer.wait(4 * SECOND);
    let mut out = Vec::new();
    peer.connection.send("news".into(), &mut out).unwrap();
    let now = peer.now;
    peer.connection.handle_flushed(now);
    assert_eq!(peer.wait_for_deadline(), Some(SECOND));
    peer.expect_failure(Timeout::Idle(5 * SECOND));
}

#[test]
fn an_old_connection_closes_with_1001() {
    let mut peer = Peer::of_server_with(Config {
        max_lifetime: Some(60 * SECOND),
        ..Config::server()
    });
    for _ in 0..59 {
        peer.wait(SECOND);
        peer.send(Frame::text("busy"));
    }
    assert_eq!(peer.error, None);
    peer.wait(SECOND);
    let error = Error::from(Timeout::Lifetime(60 * SECOND));
    assert_eq!(peer.error, Some(error));
    assert_eq!(error.close_code().unwrap().get(), 1001);
    peer.expect(Frame::close(
        1001,
        "connections last 60s at most, please reconnect",
    ));

    // Nobody did wrong, so it closes as on request: what is under way still arrives.
    peer.take_heard();
    peer.send_all(&[Frame::text("under way"), Frame::close(1001, "")]);
    peer.expect_heard(&[
        Heard::Text("under way".to_owned()),
        Heard::Close(1001, String::new()),
    ]);
    peer.expect_nothing();
    assert!(peer.connection.is_close_complete());
}

#[test]
fn a_lifetime_ends_earlier_by_a_share_of_its_jitter() {
    for (jitter, share, seconds) in [
        (10, 0.0, 100),
        (10, 0.5, 95),
        (10, 1.0, 90),
        (50, 0.5, 75),
        (0, 1.0, 100),
        // Out of range is as far as it goes.
        (255, 0.5, 50),
        (10, 7.0, 90),
        (10, -1.0, 100),
        (10, f64::NAN, 100),
    ] {
        let mut peer = Peer::of_server_with(Config {
            max_lifetime: Some(100 * SECOND),
            lifetime_jitter: jitter,
            ..Config::server()
        });
        peer.connection.shorten_lifetime(share);
        for _ in 1..seconds {
            peer.wait(SECOND);
            peer.send(Frame::text("busy"));
        }
        assert_eq!(peer.error, None, "{jitter} {share}");
        peer.wait(SECOND);
        assert_eq!(
            peer.error,
            Some(Timeout::Lifetime(100 * SECOND).into()),
            "{jitter} {share}"
        );
    }
}

#[test]
fn an_old_connection_that_is_closed_before_it_could_say_so_answers_the_peer() {
    let mut peer = Peer::of_server_with(Config {
        max_lifetime: Some(60 * SECOND),
        ..Config::server()
    });
    peer.blocked = true;
    peer.wait(60 * SECOND);
    peer.send(Frame::close(3000, "bye"));
    peer.blocked = false;
    peer.expect(Frame::close(3000, "bye"));
    peer.expect_nothing();
    assert_eq!(peer.connection.state(), State::Closed);
}

#[test]
fn an_unanswered_keepalive_names_itself() {
    let mut peer = Peer::of_server();
    peer.wait(25 * SECOND);
    peer.next_frame().unwrap();
    peer.wait(10 * SECOND);
    let reason = "ping not answered within 10s";
    expect_reason(&mut peer, Timeout::Keepalive(10 * SECOND), 1011, reason);
}

#[test]
fn an_unfinished_closing_handshake_ends_without_another_word() {
    let mut peer = Peer::of_server();
    let now = peer.now;
    peer.connection.close(None, now, &mut Vec::new());
    peer.wait(10 * SECOND);
    assert_eq!(peer.error, Some(Timeout::Close(10 * SECOND).into()));
    assert_eq!(peer.error.unwrap().close_code(), None);
    assert_eq!(
        peer.error.unwrap().to_string(),
        "closing handshake not finished within 10s"
    );
    peer.expect_nothing();
    assert_eq!(peer.connection.state(), State::Closed);
}

#[test]
fn limits_at_their_largest_do_not_overflow() {
    for role in [Role::Server, Role::Client] {
        for delivery in [Delivery::Messages, Delivery::Chunks, Delivery::Frames] {
            let config = Config {
                max_message_size: u64::MAX,
                max_frame_size: u64::MAX,
                max_fragments: u32::MAX,
                max_control_rate: u32::MAX,
                message_timeout: Some(Duration::MAX),
                idle_timeout: Some(Duration::MAX),
                max_lifetime: Some(Duration::MAX),
                close_timeout: Duration::MAX,
                delivery,
                keepalive: Some(sockeye_proto::Keepalive {
                    interval: Duration::MAX,
                    timeout: Duration::MAX,
                }),
                ..Config::server()
            };
            let mut peer = Peer::of(role, config, Some(crate::support::TAKEOVER));
            peer.connection.shorten_lifetime(1.0);
            assert_eq!(peer.connection.poll_timeout(), None);
            // Two frames of the greatest length make more than 64 bits can count, but it takes their bytes to get
            // there.
            let key = peer.key();
            peer.send_bytes(&header(&Frame::binary("").rsv1().more(), 1, key));
            peer.send_bytes(&[key.map_or(0, |key| key[0])]);
            peer.send_bytes(&header(&Frame::continuation(""), i64::MAX as u64, key));
            assert_eq!(peer.error, None);
            peer.wait(1000 * SECOND);
            let now = peer.now;
            peer.connection.close(None, now, &mut Vec::new());
            assert_eq!(peer.connection.poll_timeout(), None);
        }
    }
}

#[test]
fn limits_at_zero_let_only_empty_messages_in() {
    let mut peer = Peer::of_server_with(Config {
        max_message_size: 0,
        max_frame_size: 0,
        max_fragments: 1,
        max_control_rate: 1,
        ..Config::server()
    });
    peer.send_all(&[Frame::text(""), Frame::binary(""), Frame::ping("")]);
    peer.expect_heard(&[
        Heard::Text(String::new()),
        Heard::Binary(Vec::new()),
        Heard::Ping(Vec::new()),
    ]);
    peer.send(Frame::text("x"));
    peer.expect(Frame::pong(""));
    peer.expect_failure(Limit::FrameSize(0));
}
