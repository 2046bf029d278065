//! The closing handshake, in all the ways it can go.

use std::time::Duration;

use sockeye_proto::{
    CloseCode, CloseFrame, Config, Error, Message, ProtocolError, Role, SendError, Shutdown, State, Timeout,
};

use crate::support::end::Heard;
use crate::support::frame::{CLOSE, Frame};
use crate::support::pair::Pair;
use crate::support::peer::Peer;

fn frame(code: u16, reason: &str) -> Option<CloseFrame<'_>> {
    Some(CloseFrame::new(CloseCode::new(code).unwrap(), reason).unwrap())
}

/// The endpoint starts the closing handshake.
fn close(peer: &mut Peer, code: u16, reason: &str) {
    let now = peer.now;
    let mut out = std::mem::take(&mut peer.out);
    peer.connection.close(frame(code, reason), now, &mut out);
    peer.out = out;
}

#[test]
fn close_without_code_reports_1005() {
    for mut peer in Peer::of_both() {
        peer.send(Frame::close_without_code());
        peer.expect_heard(&[Heard::Close(1005, String::new())]);
        peer.expect(Frame::close_without_code());
        assert!(peer.connection.is_close_complete());
    }
}

#[test]
fn code_and_reason_are_echoed() {
    let longest = "x".repeat(123);
    for reason in ["", "bye", "auf Wiedersehen, schöne Grüße", &longest] {
        for mut peer in Peer::of_both() {
            peer.send(Frame::close(3001, reason));
            peer.expect_heard(&[Heard::Close(3001, reason.to_owned())]);
            peer.expect(Frame::close(3001, reason));
            peer.expect_nothing();
            assert_eq!(peer.connection.state(), State::Closed);
            assert!(peer.connection.is_close_complete());
        }
    }
}

#[test]
fn a_close_body_of_one_byte_fails_the_connection() {
    let mut peer = Peer::of_server();
    peer.send(Frame::new(CLOSE, "x"));
    peer.expect_heard(&[]);
    peer.expect_failure(ProtocolError::CloseTooShort);
}

#[test]
fn codes_that_may_not_travel_fail_the_connection() {
    for code in [
        0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535,
    ] {
        let mut peer = Peer::of_server();
        peer.send(Frame::close(code, ""));
        peer.expect_heard(&[]);
        peer.expect_failure(ProtocolError::CloseCodeInvalid);
        assert!(!peer.connection.is_close_complete());
    }
}

#[test]
fn codes_that_may_travel_are_accepted() {
    for code in [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999,
    ] {
        let mut peer = Peer::of_server();
        peer.send(Frame::close(code, ""));
        peer.expect_heard(&[Heard::Close(code, String::new())]);
        peer.expect(Frame::close(code, ""));
    }
}

#[test]
fn a_close_reason_that_is_not_utf8_fails_the_connection() {
    let mut peer = Peer::of_server();
    peer.send(Frame::close(1000, b"\xCE\xBA\xF4\x90\x80"));
    peer.expect_heard(&[]);
    peer.expect_failure(ProtocolError::Utf8Invalid);
}

#[test]
fn a_reply_holds_nothing_but_the_code_and_reason_that_came() {
    // What was in the buffers before must not show in a shorter reply.
    for mut peer in Peer::of_both() {
        peer.send_bytewise(&Frame::ping(
            "a payload long enough to fill the buffer of control frames",
        ));
        peer.send(Frame::text("a message").more());
        peer.send_bytewise(&Frame::close(1000, "ok"));
        peer.expect(Frame::pong(
            "a payload long enough to fill the buffer of control frames",
        ));
        peer.expect(Frame::close(1000, "ok"));
        peer.expect_nothing();
    }
}

#[test]
fn messages_sent_before_close_leave_before_it() {
    for mut peer in Peer::of_both() {
        let mut out = Vec::new();
        peer.connection.send(Message::Text("first"), &mut out).unwrap();
        peer.connection.send(Message::Text("second"), &mut out).unwrap();
        peer.out = out;
        close(&mut peer, 1000, "done");
        peer.expect(Frame::text("first"));
        peer.expect(Frame::text("second"));
        peer.expect(Frame::close(1000, "done"));
        peer.expect_nothing();
    }
}

#[test]
fn a_close_while_a_pong_waits_is_answered_behind_the_pong() {
    for mut peer in Peer::of_both() {
        peer.blocked = true;
        peer.send_all(&[Frame::ping("waiting"), Frame::close(1000, "bye")]);
        peer.expect_heard(&[
            Heard::Ping(b"waiting".to_vec()),
            Heard::Close(1000, "bye".to_owned()),
        ]);
        assert_eq!(peer.connection.state(), State::Closing);
        assert_eq!(peer.connection.shutdown(), Shutdown::NotYet);
        peer.blocked = false;
        peer.expect(Frame::pong("waiting"));
        peer.expect(Frame::close(1000, "bye"));
        peer.expect_nothing();
        assert_eq!(peer.connection.state(), State::Closed);
    }
}

#[test]
fn our_own_close_goes_behind_the_pong_that_waits() {
    let mut peer = Peer::of_server();
    peer.blocked = true;
    peer.send(Frame::ping("waiting"));
    close(&mut peer, 1001, "");
    peer.blocked = false;
    peer.expect(Frame::pong("waiting"));
    peer.expect(Frame::close(1001, ""));
    peer.expect_nothing();
}

#[test]
fn nothing_is_sent_after_a_close_frame() {
    for mut peer in Peer::of_both() {
        close(&mut peer, 1000, "");
        let mut out = Vec::new();
        let connection = &mut peer.connection;
        assert_eq!(
            connection.send(Message::Text("a"), &mut out),
            Err(SendError::Closed)
        );
        let fragment = connection.send_fragment(Message::Text("a"), true, Default::default(), &mut out);
        assert_eq!(fragment, Err(SendError::Closed));
        assert_eq!(connection.ping(b"", &mut out), Err(SendError::Closed));
        assert_eq!(connection.pong(b"", &mut out), Err(SendError::Closed));
        assert!(out.is_empty());
        peer.expect(Frame::close(1000, ""));
        peer.send(Frame::ping("too late for an answer"));
        peer.expect_nothing();
        close(&mut peer, 1001, "again");
        peer.expect_nothing();
        peer.send(Frame::close(1000, ""));
        peer.expect_nothing();
    }
}

#[test]
fn a_close_frame_may_cut_a_fragmented_message_short() {
    let mut peer = Peer::of_server();
    let mut out = Vec::new();
    let first = Message::Text("half");
    peer.connection
        .send_fragment(first, false, Default::default(), &mut out)
        .unwrap();
    peer.out = out;
    close(&mut peer, 1011, "");
    peer.expect(Frame::text("half").more());
    peer.expect(Frame::close(1011, ""));
}

#[test]
fn messages_are_heard_until_the_peers_close() {
    for mut peer in Peer::of_both() {
        close(&mut peer, 1000, "");
        assert_eq!(peer.connection.state(), State::Closing);
        peer.send_all(&[
            Frame::text("sent before it saw our close").more(),
            Frame::continuation(""),
        ]);
        peer.send(Frame::close(1000, ""));
        peer.expect_heard(&[
            Heard::Text("sent before it saw our close".to_owned()),
            Heard::Close(1000, String::new()),
        ]);
        assert_eq!(peer.connection.state(), State::Closed);
    }
}

#[test]
fn data_after_the_peers_close_is_dropped() {
    for mut peer in Peer::of_both() {
        peer.send_all(&[
            Frame::close(1000, ""),
            Frame::text("after"),
            Frame::ping("after"),
            Frame::new(0xF, "not even a frame"),
        ]);
        peer.send(Frame::close(1002, "twice"));
        peer.expect_heard(&[Heard::Close(1000, String::new())]);
        peer.expect(Frame::close(1000, ""));
        peer.expect_nothing();
        assert_eq!(peer.error, None);
    }
}

#[test]
fn closes_that_cross_complete_the_handshake() {
    let mut pair = Pair::new(Config::client(), Config::server(), None);
    let now = pair.now;
    pair.client
        .connection
        .close(frame(1000, "client"), now, &mut pair.client.out);
    pair.server
        .connection
        .close(frame(1001, "server"), now, &mut pair.server.out);
    pair.run();
    for (end, heard) in [
        (&mut pair.client, Heard::Close(1001, "server".to_owned())),
        (&mut pair.server, Heard::Close(1000, "client".to_owned())),
    ] {
        assert_eq!(end.take_heard(), [heard]);
        assert_eq!(end.connection.state(), State::Closed);
        assert!(end.connection.is_close_complete());
        assert_eq!(end.error, None);
    }
}

#[test]
fn a_close_of_ours_after_the_peers_does_not_change_the_answer() {
    let mut peer = Peer::of_server();
    peer.blocked = true;
    peer.send(Frame::close(1000, "theirs"));
    close(&mut peer, 1001, "ours");
    peer.blocked = false;
    peer.expect(Frame::close(1000, "theirs"));
    peer.expect_nothing();
}

#[test]
fn a_server_drops_tcp_once_both_close_frames_were_exchanged() {
    let mut peer = Peer::of_server();
    assert_eq!(peer.connection.shutdown(), Shutdown::NotYet);
    close(&mut peer, 1000, "");
    assert_eq!(peer.connection.shutdown(), Shutdown::NotYet);
    peer.send(Frame::close(1000, ""));
    assert_eq!(peer.connection.shutdown(), Shutdown::AfterFlush);
    assert_eq!(peer.connection.handle_eof(), Ok(()));
    assert_eq!(peer.connection.shutdown(), Shutdown::Now);
    assert_eq!(peer.connection.poll_timeout(), None);

    let mut peer = Peer::of_server();
    peer.send(Frame::close(1000, ""));
    assert_eq!(peer.connection.shutdown(), Shutdown::AfterFlush);
}

#[test]
fn a_client_waits_for_the_server_to_end_tcp() {
    for server_starts in [true, false] {
        let mut peer = Peer::of_client();
        if !server_starts {
            close(&mut peer, 1000, "");
            assert_eq!(peer.connection.shutdown(), Shutdown::NotYet);
        }
        peer.send(Frame::close(1000, ""));
        assert_eq!(peer.connection.shutdown(), Shutdown::AwaitPeer);
        assert_eq!(peer.connection.handle_eof(), Ok(()));
        assert_eq!(peer.connection.shutdown(), Shutdown::Now);
    }
}

#[test]
fn a_client_that_failed_ends_its_direction_first() {
    let mut peer = Peer::of_client();
    peer.send(Frame::new(0x3, ""));
    peer.expect_failure(ProtocolError::ReservedOpcode);
    assert_eq!(peer.connection.shutdown(), Shutdown::Linger);
}

#[test]
fn one_deadline_covers_the_whole_of_closing() {
    let timeout = Config::server().close_timeout;
    for mut peer in Peer::of_both() {
        peer.wait(Duration::from_secs(3));
        close(&mut peer, 1000, "");
        peer.expect(Frame::close(1000, ""));
        let deadline = peer.now + timeout;
        // Neither traffic nor the peer's Close moves it.
        for _ in 0..4 {
            peer.wait(timeout / 5);
            peer.send(Frame::text("still talking"));
            assert_eq!(peer.connection.poll_timeout(), Some(deadline));
        }
        peer.send(Frame::close(1000, ""));
        assert_eq!(peer.connection.state(), State::Closed);
        assert_eq!(peer.connection.poll_timeout(), Some(deadline));
        peer.wait(timeout / 5 - Duration::from_nanos(1));
        assert_ne!(peer.connection.shutdown(), Shutdown::Now);
        // All frames were exchanged, so that the transport did not end in time is no failure.
        peer.wait(Duration::from_nanos(1));
        assert_eq!(peer.connection.shutdown(), Shutdown::Now);
        assert_eq!(peer.error, None);
        assert!(peer.connection.is_close_complete());
    }
}

#[test]
fn a_peer_that_does_not_answer_a_close_is_dropped_at_the_deadline() {
    let timeout = Config::server().close_timeout;
    for mut peer in Peer::of_both() {
        close(&mut peer, 1000, "");
        peer.expect(Frame::close(1000, ""));
        peer.wait(timeout - Duration::from_nanos(1));
        assert_eq!(peer.connection.shutdown(), Shutdown::NotYet);
        peer.wait(Duration::from_nanos(1));
        assert_eq!(peer.connection.shutdown(), Shutdown::Now);
        peer.expect_failure(Timeout::Close(timeout));
        assert_eq!(peer.connection.poll_timeout(), None);
    }
}

#[test]
fn a_transport_that_takes_no_output_does_not_hold_a_close_up_for_ever() {
    let timeout = Config::server().close_timeout;
    let mut peer = Peer::of_server();
    peer.blocked = true;
    peer.send(Frame::close(1000, ""));
    peer.wait(timeout);
    assert_eq!(peer.error, Some(Timeout::Close(timeout).into()));
    assert_eq!(peer.connection.shutdown(), Shutdown::Now);
    assert!(!peer.connection.has_output());
}

#[test]
fn a_failed_connection_is_dropped_at_the_deadline_too() {
    let timeout = Config::server().close_timeout;
    let mut peer = Peer::of_server();
    peer.send(Frame::new(0x3, ""));
    peer.expect_failure(ProtocolError::ReservedOpcode);
    assert_eq!(peer.connection.shutdown(), Shutdown::Linger);
    peer.wait(timeout);
    assert_eq!(peer.connection.shutdown(), Shutdown::Now);
    assert_eq!(
        peer.error,
        Some(ProtocolError::ReservedOpcode.into()),
        "the first error stands"
    );
}

#[test]
fn the_end_of_the_transport_without_a_close_is_a_lost_connection() {
    for mut peer in Peer::of_both() {
        peer.send(Frame::text("half").more());
        assert_eq!(peer.connection.handle_eof(), Err(Error::ConnectionLost));
        assert_eq!(peer.connection.shutdown(), Shutdown::Now);
        assert_eq!(peer.connection.state(), State::Closed);
        peer.expect_nothing();
    }
    let mut peer = Peer::of_server();
    close(&mut peer, 1000, "");
    assert_eq!(peer.connection.handle_eof(), Err(Error::ConnectionLost));
    assert!(!peer.connection.is_close_complete());
}

#[test]
fn the_end_of_the_transport_after_the_peers_close_is_no_loss() {
    // The code is known (RFC 6455 §7.1.5); that our answer did not leave only makes the close unclean.
    let mut peer = Peer::of_server();
    peer.blocked = true;
    peer.send(Frame::close(1000, "bye"));
    peer.expect_heard(&[Heard::Close(1000, "bye".to_owned())]);
    assert_eq!(peer.connection.handle_eof(), Ok(()));
    assert_eq!(peer.connection.shutdown(), Shutdown::Now);
    assert!(!peer.connection.is_close_complete());
}

#[test]
fn failing_on_purpose_closes_with_the_given_code_and_reads_no_more() {
    for mut peer in Peer::of_both() {
        let now = peer.now;
        peer.connection.fail(frame(1008, "not allowed").unwrap(), now);
        peer.send(Frame::text("unread"));
        peer.expect_heard(&[]);
        peer.expect(Frame::close(1008, "not allowed"));
        peer.expect_nothing();
        assert_eq!(peer.connection.state(), State::Closed);
        assert_eq!(peer.connection.shutdown(), Shutdown::Linger);
        let mut out = Vec::new();
        assert_eq!(
            peer.connection.send(Message::Text("a"), &mut out),
            Err(SendError::Closed)
        );
    }
}

#[test]
fn failing_after_close_sends_no_second_close() {
    let mut peer = Peer::of_server();
    close(&mut peer, 1000, "");
    let now = peer.now;
    peer.connection.fail(frame(1008, "").unwrap(), now);
    peer.expect(Frame::close(1000, ""));
    peer.expect_nothing();
    assert_eq!(peer.connection.shutdown(), Shutdown::Linger);

    peer.connection.close(frame(1001, ""), now, &mut Vec::new());
    peer.connection.fail(frame(1001, "").unwrap(), now);
    peer.expect_nothing();
}

#[test]
fn what_came_before_the_peers_close_can_be_answered_until_ours_is_written() {
    for mut peer in Peer::of_both() {
        peer.blocked = true;
        peer.send_all(&[Frame::text("question"), Frame::close(1000, "")]);
        let mut out = Vec::new();
        peer.connection.send(Message::Text("answer"), &mut out).unwrap();
        peer.out = out;
        peer.blocked = false;
        peer.expect(Frame::text("answer"));
        peer.expect(Frame::close(1000, ""));
        assert_eq!(
            peer.connection.send(Message::Text("too late"), &mut Vec::new()),
            Err(SendError::Closed)
        );
    }
}

#[test]
fn what_came_before_a_fault_can_be_answered_until_the_close_is_written() {
    for mut peer in Peer::of_both() {
        peer.blocked = true;
        peer.send_all(&[Frame::text("question"), Frame::new(0x3, "")]);
        let mut out = Vec::new();
        peer.connection.send(Message::Text("answer"), &mut out).unwrap();
        peer.out = out;
        peer.blocked = false;
        peer.expect(Frame::text("answer"));
        peer.expect_failure(ProtocolError::ReservedOpcode);
        assert_eq!(
            peer.connection.send(Message::Text("too late"), &mut Vec::new()),
            Err(SendError::Closed)
        );
    }
}

#[test]
fn failing_replaces_the_answer_to_the_peers_close() {
    let mut peer = Peer::of_server();
    peer.blocked = true;
    peer.send(Frame::close(1000, ""));
    let now = peer.now;
    peer.connection.fail(frame(1011, "broken").unwrap(), now);
    peer.blocked = false;
    peer.expect(Frame::close(1011, "broken"));
    peer.expect_nothing();
}

#[test]
fn a_malformed_frame_while_closing_ends_the_wait() {
    let mut peer = Peer::of_server();
    close(&mut peer, 1000, "");
    peer.expect(Frame::close(1000, ""));
    peer.send(Frame::new(0x3, ""));
    assert_eq!(peer.error, Some(ProtocolError::ReservedOpcode.into()));
    peer.expect_nothing();
    assert_eq!(peer.connection.shutdown(), Shutdown::Linger);
}

#[test]
fn a_pair_closes_in_either_order() {
    for starter in [Role::Client, Role::Server] {
        let mut pair = Pair::new(Config::client(), Config::server(), None);
        let now = pair.now;
        let (end, _) = pair.ends(starter);
        end.connection
            .send(Message::Text("last words"), &mut end.out)
            .unwrap();
        end.connection.close(frame(4321, "done"), now, &mut end.out);
        pair.run();
        let (end, other) = pair.ends(starter);
        assert_eq!(end.heard, [Heard::Close(4321, "done".to_owned())]);
        assert_eq!(
            other.heard,
            [
                Heard::Text("last words".to_owned()),
                Heard::Close(4321, "done".to_owned())
            ]
        );
        assert_eq!(pair.server.connection.shutdown(), Shutdown::AfterFlush);
        assert_eq!(pair.client.connection.shutdown(), Shutdown::AwaitPeer);
    }
}
