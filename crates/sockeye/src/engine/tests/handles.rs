//! What is asked of a WebSocket through its handle, from anywhere.

use std::future::Future;
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use super::super::mailbox::SocketHandle;
use super::super::{CloseEvent, Gone, Handler, Socket};
use super::fake::Stage;
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
    let handler = Keeper::default();
    let (diary, handles) = (handler.diary.clone(), Arc::clone(&handler.handles));
    let mut stage = Stage::new(handler, Settings::default());
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
    assert_eq!(to_a.unsubscribe("t"), Err(Gone));
    assert_eq!(now(to_a.topics()), Some(Err(Gone)));
}
