//! What is asked of a WebSocket through its handle, from anywhere.

use std::future::Future;
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use super::super::mailbox::SocketHandle;
use super::super::{CloseEvent, Gone, Handler, Socket, Unsent};
use super::fake::{End, Stage};
use super::obedient::Diary;
use super::*;
use crate::driver::Key;
use crate::hub::{PublishError, SubscribeError, Topic, TopicError};
use crate::{CloseCode, MessageRef};

/// Gives its WebSockets out of hand, and notes what becomes of their topics.
#[derive(Clone, Default)]
struct Keeper {
    diary: Diary,
    handles: Arc<Mutex<Vec<SocketHandle>>>,
}

impl Handler for Keeper {
    type Data = ();

    fn open(&self, socket: &mut Socket<'_, ()>) {
        self.handles.lock().unwrap().push(socket.handle());
    }

    fn message(&self, _: &mut Socket<'_, ()>, _: MessageRef<'_>) {}

    fn subscription(&self, _: &mut Socket<'_, ()>, topic: &str, new: usize, old: usize) {
        self.diary.note(format!("{topic}: {old} -> {new}"));
    }

    fn close(&self, _: &mut Socket<'_, ()>, end: CloseEvent<'_>) {
        self.diary.note(format!("close {}", end.code));
    }
}

/// A stage with two WebSockets and their handles.
fn two() -> (Stage, [Key; 2], [SocketHandle; 2], Diary) {
    two_with(Settings::default())
}

fn two_with(settings: Settings) -> (Stage, [Key; 2], [SocketHandle; 2], Diary) {
    let handler = Keeper::default();
    let (diary, handles) = (handler.diary.clone(), Arc::clone(&handler.handles));
    let mut stage = Stage::new(handler, settings);
    let keys = [stage.open(), stage.open()];
    let handles = handles.lock().unwrap().clone();
    (stage, keys, handles.try_into().unwrap(), diary)
}

/// What a future gives without waiting.
fn now<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

fn texts(stage: &mut Stage, key: Key) -> Vec<String> {
    let sent = stage.sent(key);
    let texts = frames(&sent).into_iter();
    texts
        .map(|(_, payload)| String::from_utf8(payload).unwrap())
        .collect()
}

#[test]
fn what_handles_ask_for_is_done_in_their_order() {
    let (mut stage, [a, b], [to_a, to_b], diary) = two();
    let subscribed = to_a.subscribe("t");
    to_b.publish("t", "one").unwrap();
    to_b.send("between").unwrap();
    to_b.publish("t", "two").unwrap();
    // Published before, so delivered; and not what comes behind.
    to_a.unsubscribe("t").unwrap();
    to_b.publish("t", "three").unwrap();
    to_a.send("last").unwrap();
    stage.turn();
    assert_eq!(now(subscribed), Some(Ok(true)));
    assert_eq!(texts(&mut stage, a), ["one", "two", "last"]);
    assert_eq!(texts(&mut stage, b), ["between"]);
    assert_eq!(diary.read(), ["t: 0 -> 1", "t: 1 -> 0"]);
}

#[test]
fn a_subscription_is_made_though_nobody_waits_for_the_answer() {
    let (mut stage, [a, b], [to_a, to_b], _) = two();
    drop(to_a.subscribe("t"));
    drop(to_b.subscribe("t"));
    // Not to itself.
    to_a.publish("t", "from a").unwrap();
    stage.turn();
    assert_eq!(texts(&mut stage, a), [""; 0]);
    assert_eq!(texts(&mut stage, b), ["from a"]);
    let again = to_a.subscribe("t");
    stage.turn();
    assert_eq!(now(again), Some(Ok(false)));
}

#[test]
fn a_handle_lists_topics() {
    let (mut stage, _, [to_a, _], _) = two();
    drop(to_a.subscribe("x"));
    drop(to_a.subscribe("y"));
    let mut listed = pin!(to_a.topics());
    let mut context = Context::from_waker(Waker::noop());
    assert!(listed.as_mut().poll(&mut context).is_pending());
    stage.turn();
    let Poll::Ready(Ok(mut topics)) = listed.poll(&mut context) else {
        panic!("not listed");
    };
    topics.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    assert_eq!(topics, [Topic::new("x").unwrap(), Topic::new("y").unwrap()]);
}

#[test]
fn a_handle_is_told_why_a_topic_is_refused() {
    let (mut stage, _, [to_a, _], _) = two();
    // A name is looked at on the spot.
    let refused = now(to_a.subscribe("a/+"));
    assert_eq!(refused, Some(Err(SubscribeError::Topic(TopicError::Wildcard))));
    let long = "x".repeat(256);
    assert_eq!(
        to_a.publish(&long, "x"),
        Err(PublishError::Topic(TopicError::TooLong))
    );
    assert_eq!(to_a.unsubscribe(&long), Ok(()));
    for number in 0..128 {
        drop(to_a.subscribe(&number.to_string()));
    }
    let refused = to_a.subscribe("one more");
    stage.turn();
    assert_eq!(now(refused), Some(Err(SubscribeError::Limit(128))));
}

#[test]
fn a_closed_websocket_has_no_topics() {
    let (mut stage, [a, _], [to_a, _], diary) = two();
    drop(to_a.subscribe("t"));
    to_a.close_after_flush(CloseCode::NORMAL, "").unwrap();
    let late = to_a.subscribe("u");
    stage.turn();
    assert_eq!(diary.read(), ["t: 0 -> 1", "t: 1 -> 0", "close 1000"]);
    assert_eq!(now(late), Some(Err(SubscribeError::Closed)));
    stage.end(a);
    assert!(to_a.is_gone());
    assert_eq!(now(to_a.subscribe("t")), Some(Err(SubscribeError::Closed)));
    assert_eq!(to_a.publish("t", "x"), Err(PublishError::Closed));
    assert_eq!(to_a.unsubscribe("t"), Err(Unsent::Gone));
    assert_eq!(now(to_a.topics()), Some(Err(Unsent::Gone)));
    assert_eq!(to_a.pause(), Err(Gone));
    assert_eq!(to_a.resume(), Err(Gone));
}

/// Room for 1,000 bytes.
fn narrow(overflow: crate::Overflow) -> Settings {
    with_queues(QueueLimits {
        send: 1000,
        overflow,
        ..QueueLimits::default()
    })
}

#[test]
fn what_waits_for_a_worker_is_limited_for_each_websocket() {
    let (mut stage, [a, b], [to_a, to_b], diary) = two_with(narrow(crate::Overflow::DropNewest));
    let payload = "x".repeat(600);
    let prepared = sockeye_proto::Prepared::new(sockeye_proto::Message::Text(&payload));
    for _ in 0..3 {
        assert_eq!(to_a.send(payload.as_str()), Ok(()));
        assert_eq!(to_a.clone().send_prepared(&prepared), Err(Unsent::Full));
        assert_eq!(to_a.send(payload.as_str()), Err(Unsent::Full));
        assert_eq!(to_a.ping("short"), Ok(()));
        // Another one's mail is its own.
        assert_eq!(to_b.send_prepared(&prepared), Ok(()));
        stage.turn();
        let sent = frames(&stage.sent(a));
        assert_eq!(
            sent.iter().map(|(_, payload)| payload.len()).collect::<Vec<_>>(),
            [600, 5]
        );
        assert_eq!(texts(&mut stage, b), [payload.as_str()]);
    }
    assert!(diary.read().is_empty());
}

#[test]
fn small_messages_for_a_worker_count_for_what_they_take() {
    let (mut stage, [a, _], [to_a, _], _) = two_with(narrow(crate::Overflow::DropNewest));
    let taken = std::iter::repeat_with(|| to_a.send(""))
        .take_while(Result::is_ok)
        .count();
    assert!((2..=1000 / 24).contains(&taken), "{taken}");
    stage.turn();
    assert_eq!(texts(&mut stage, a).len(), taken);
}

/// Whoever asks in a loop, without a look at what comes of it, is not to fill the memory.
#[test]
fn whatever_a_handle_asks_for_is_limited() {
    type Ask = fn(&SocketHandle) -> bool;
    let asks: [Ask; 4] = [
        |handle| now(handle.subscribe("t")) != Some(Err(SubscribeError::Full)),
        |handle| handle.unsubscribe("t") != Err(Unsent::Full),
        |handle| now(handle.topics()) != Some(Err(Unsent::Full)),
        |handle| handle.ping("") != Err(Unsent::Full),
    ];
    for ask in asks {
        let (mut stage, _, [to_a, to_b], _) = two_with(narrow(crate::Overflow::Close));
        for _ in 0..3 {
            let taken = std::iter::repeat_with(|| ask(&to_a))
                .take_while(|was| *was)
                .count();
            assert!((2..=1000 / 24).contains(&taken), "{taken}");
            // Another one's mail is its own.
            assert!(ask(&to_b));
            assert_eq!(stage.letters(), taken + 1);
            stage.turn();
        }
    }
}

#[test]
fn a_close_gets_through_however_much_waits_and_is_asked_for_once() {
    type End = fn(&SocketHandle);
    let ends: [(End, &str); 3] = [
        (|to| to.close(CloseCode::NORMAL, "").unwrap(), "close 1000"),
        (
            |to| to.close_after_flush(CloseCode::GOING_AWAY, "").unwrap(),
            "close 1001",
        ),
        (SocketHandle::abort, "close 1006"),
    ];
    for (end, told) in ends {
        let (mut stage, [a, _], [to_a, _], diary) = two_with(narrow(crate::Overflow::DropNewest));
        to_a.send("x".repeat(5000)).unwrap();
        assert_eq!(to_a.send("x"), Err(Unsent::Full));
        for _ in 0..1000 {
            end(&to_a.clone());
        }
        assert_eq!(stage.letters(), 2);
        stage.turn();
        if told == "close 1000" {
            stage.receive(a, &close(1000, ""));
        }
        assert_eq!(diary.read(), [told]);
    }
}

#[test]
fn one_end_does_not_keep_another_from_being_asked_for() {
    let (mut stage, [a, _], [to_a, _], diary) = two();
    to_a.close(CloseCode::NORMAL, "").unwrap();
    stage.turn();
    // The peer does not answer.
    assert_eq!((stage.line(a).end, diary.read()), (None, vec![]));
    to_a.abort();
    stage.turn();
    assert_eq!(stage.line(a).end, Some(End::Reset));
    assert_eq!(diary.read(), ["close 1006"]);
}

#[test]
fn of_many_pauses_and_resumes_the_last_counts() {
    let (mut stage, [a, _], [to_a, _], _) = two_with(narrow(crate::Overflow::DropNewest));
    to_a.send("x".repeat(5000)).unwrap();
    for _ in 0..1000 {
        to_a.resume().unwrap();
        to_a.pause().unwrap();
    }
    assert_eq!(stage.letters(), 2);
    stage.turn();
    assert!(!stage.line(a).receives);
    to_a.pause().unwrap();
    to_a.resume().unwrap();
    stage.turn();
    assert!(stage.line(a).receives);
}

#[test]
fn a_message_longer_than_the_limit_may_wait_alone() {
    let (mut stage, [a, _], [to_a, _], _) = two_with(narrow(crate::Overflow::DropOldest));
    let long = "x".repeat(5000);
    assert_eq!(to_a.send(long.as_str()), Ok(()));
    assert_eq!(to_a.send("more"), Err(Unsent::Full));
    stage.turn();
    assert_eq!(texts(&mut stage, a), [long]);
}

#[test]
fn too_much_for_a_worker_closes_no_websocket() {
    let (mut stage, [a, _], [to_a, _], diary) = two_with(narrow(crate::Overflow::Close));
    let payload = "x".repeat(900);
    assert_eq!(to_a.send(payload.as_str()), Ok(()));
    assert_eq!(to_a.send(payload.as_str()), Err(Unsent::Full));
    stage.turn();
    assert_eq!(to_a.send(payload.as_str()), Ok(()));
    stage.turn();
    assert_eq!(texts(&mut stage, a), [payload.as_str(), payload.as_str()]);
    assert!(diary.read().is_empty());
}

#[test]
fn what_waited_for_a_websocket_that_has_gone_waits_no_more() {
    let (mut stage, [a, _], [to_a, _], _) = two_with(narrow(crate::Overflow::DropNewest));
    to_a.abort();
    to_a.send("x".repeat(900)).unwrap();
    assert_eq!(to_a.send("x".repeat(900)), Err(Unsent::Full));
    stage.turn();
    assert!(stage.line(a).end.is_some());
    assert_eq!(to_a.send("x"), Err(Unsent::Gone));
}

#[test]
fn a_handle_publishes_prepared_messages_and_chooses_compression() {
    use sockeye_proto::deflate::Deflate;
    use sockeye_proto::{Compress, Message, Prepared};

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";

    let handler = Keeper::default();
    let handles = Arc::clone(&handler.handles);
    let mut stage = Stage::new(
        handler,
        Settings {
            compression: Some(Deflate::default()),
            ..Settings::default()
        },
    );
    let keys = [stage.accept(), stage.accept()];
    for key in keys {
        stage.receive(key, REQUEST);
        assert!(stage.sent(key).starts_with(b"HTTP/1.1 101 "));
    }
    let handles = handles.lock().unwrap().clone();
    drop(handles[1].subscribe("t"));
    let long = "again and again ".repeat(100);
    let long = Message::Text(&long);
    handles[0].publish_with("t", long, Compress::Never).unwrap();
    handles[0].publish_with("t", "short", Compress::Always).unwrap();
    handles[0].publish_prepared("t", &Prepared::new(long)).unwrap();
    stage.turn();
    let firsts: Vec<_> = frames(&stage.sent(keys[1]))
        .iter()
        .map(|(first, _)| *first)
        .collect();
    // The bit after FIN says that a message is compressed.
    assert_eq!(firsts, [0x81, 0xC1, 0xC1]);
}
