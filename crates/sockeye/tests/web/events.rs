//! Event objects: the constructors and the flags of §3.6 of the checklist.

use std::time::Duration;

use sockeye::web::{
    CloseEvent, CloseEventInit, Event, EventInit, EventPhase, MessageData, MessageEvent, MessageEventInit,
    WebSocket,
};

use crate::page::{Log, Page};
use crate::peer::TEXT;

#[test]
fn a_close_event_has_the_defaults_of_its_constructor() {
    let event = CloseEvent::new("foo", EventInit::default(), CloseEventInit::default());
    assert_eq!(event.type_(), "foo");
    assert_eq!((event.was_clean(), event.code(), event.reason()), (false, 0, ""));
    assert!(!event.bubbles() && !event.cancelable() && !event.composed() && !event.is_trusted());

    let event = CloseEvent::new(
        "bar",
        EventInit {
            bubbles: true,
            cancelable: true,
            composed: true,
        },
        CloseEventInit {
            was_clean: true,
            code: 7,
            reason: "because".into(),
        },
    );
    assert_eq!(
        (event.was_clean(), event.code(), event.reason()),
        (true, 7, "because")
    );
    assert!(event.bubbles() && event.cancelable() && event.composed());
    assert_eq!(event.to_string(), "[object CloseEvent]");
}

#[test]
fn a_message_event_has_the_defaults_of_its_constructor() {
    let event = MessageEvent::new("foo", EventInit::default(), MessageEventInit::default());
    assert!(matches!(event.data(), MessageData::Null));
    assert_eq!((event.origin(), event.last_event_id()), ("", ""));
    assert_eq!(event.to_string(), "[object MessageEvent]");
    let init = MessageEventInit {
        data: MessageData::Text("a".into()),
        origin: "ws://a.test".into(),
        last_event_id: "7".into(),
    };
    let event = MessageEvent::new("foo", EventInit::default(), init);
    assert_eq!(event.data().as_text(), Some("a"));
    assert_eq!((event.origin(), event.last_event_id()), ("ws://a.test", "7"));
}

#[tokio::test]
async fn an_event_knows_its_target_and_its_phase_while_it_is_dispatched() {
    let page = Page::new();
    let ws = page.socket("ws://127.0.0.1:9/", ());
    let event = Event::new("foo", EventInit::default());
    assert!(event.target().is_none() && event.current_target().is_none());
    assert_eq!(event.event_phase(), EventPhase::None);
    let log = Log::default();
    let (seen, this) = (log.clone(), ws.clone());
    ws.add_event_listener("foo", move |event: &Event| {
        assert!(event.target().unwrap().is(&this));
        assert!(event.current_target().unwrap().is(&this));
        assert_eq!(event.composed_path().len(), 1);
        assert_eq!(event.event_phase() as u16, 2);
        seen.add("called");
    });
    assert!(ws.dispatch_event(&event).unwrap());
    assert_eq!(log.lines(), ["called"]);
    // The target stays, the rest is over.
    assert!(event.target().unwrap().is(&ws));
    assert!(event.current_target().is_none() && event.composed_path().is_empty());
    assert_eq!(event.event_phase(), EventPhase::None);
}

#[tokio::test]
async fn dispatch_event_calls_listeners_before_it_returns_and_is_not_trusted() {
    let page = Page::new();
    let ws = page.socket("ws://127.0.0.1:9/", ());
    let log = Log::default();
    let seen = log.clone();
    ws.set_on_open(move |event| seen.add(format!("open {}", event.is_trusted())));
    let seen = log.clone();
    ws.set_on_message(move |event| seen.add(format!("message {:?}", event.data().as_text())));
    let seen = log.clone();
    ws.set_on_close(move |event| seen.add(format!("close {}", event.code())));
    let plain = EventInit::default();
    ws.dispatch_event(&Event::new("open", plain)).unwrap();
    let message = MessageEventInit {
        data: MessageData::Text("by hand".into()),
        ..Default::default()
    };
    ws.dispatch_event(&MessageEvent::new("message", plain, message))
        .unwrap();
    let close = CloseEventInit {
        code: 3000,
        ..Default::default()
    };
    ws.dispatch_event(&CloseEvent::new("close", plain, close))
        .unwrap();
    // An event of another kind is heard with the defaults.
    ws.dispatch_event(&Event::new("message", plain)).unwrap();
    ws.dispatch_event(&Event::new("close", plain)).unwrap();
    assert_eq!(
        log.lines(),
        [
            "open false",
            "message Some(\"by hand\")",
            "close 3000",
            "message None",
            "close 0"
        ]
    );
    // None of that had to do with the connection.
    assert_eq!(ws.ready_state(), WebSocket::CONNECTING);
}

#[tokio::test]
async fn an_event_cannot_be_dispatched_twice_at_the_same_time() {
    let page = Page::new();
    let ws = page.socket("ws://127.0.0.1:9/", ());
    let log = Log::default();
    let seen = log.clone();
    ws.add_event_listener("foo", move |event: &Event| {
        let again = event.target().unwrap().dispatch_event(event);
        seen.add(again.unwrap_err().name());
    });
    let event = Event::new("foo", EventInit::default());
    ws.dispatch_event(&event).unwrap();
    ws.dispatch_event(&event).unwrap();
    assert_eq!(log.lines(), ["InvalidStateError", "InvalidStateError"]);
}

#[tokio::test]
async fn an_event_of_a_websocket_that_is_dispatched_again_is_not_trusted() {
    let page = Page::new();
    let (ws, mut peer) = page.open().await;
    let log = Log::default();
    let seen = log.clone();
    let kept = std::sync::Arc::new(std::sync::Mutex::new(None::<Event>));
    let keep = kept.clone();
    ws.set_on_message(move |event| {
        seen.add(format!("{} {:?}", event.is_trusted(), event.data().as_text()));
        *keep.lock().unwrap() = Some(event.clone().into());
    });
    peer.send(TEXT, "a").await;
    page.next(&log).await;
    let event = kept.lock().unwrap().take().unwrap();
    ws.dispatch_event(&event).unwrap();
    assert_eq!(log.lines(), ["true Some(\"a\")", "false Some(\"a\")"]);
}

#[tokio::test]
async fn only_a_cancelable_event_can_be_canceled() {
    let page = Page::new();
    let ws = page.socket("ws://127.0.0.1:9/", ());
    ws.add_event_listener("foo", |event: &Event| event.prevent_default());
    for cancelable in [false, true] {
        let init = EventInit {
            cancelable,
            ..EventInit::default()
        };
        let event = Event::new("foo", init);
        assert_eq!(ws.dispatch_event(&event).unwrap(), !cancelable);
        assert_eq!(event.default_prevented(), cancelable);
    }
}

#[test]
fn time_stamps_never_go_back() {
    let new = || Event::new("foo", EventInit::default()).time_stamp();
    let (one, two) = (new(), new());
    assert!(one <= two);
    assert!(two - one < Duration::from_secs(60));
}
