//! `addEventListener`, `removeEventListener` and the attributes: the EventTarget box of §3.6 of the checklist.

use std::sync::Arc;

use sockeye::web::{
    AbortController, AbortSignal, AddEventListenerOptions, Event, EventInit, HandleEvent, Listener,
    MessageEvent, WebSocket,
};

use crate::page::{Log, Page};
use crate::peer::TEXT;

/// A WebSocket that nothing happens to, since nobody runs its loop.
fn idle() -> (Page, WebSocket, Log) {
    let page = Page::new();
    let ws = page.socket("ws://127.0.0.1:9/", ());
    (page, ws, Log::default())
}

fn logs(log: &Log, line: &str) -> Listener {
    let (log, line) = (log.clone(), line.to_owned());
    Listener::new(move |_: &Event| log.add(line.as_str()))
}

fn dispatch(ws: &WebSocket, type_: &'static str) -> bool {
    let init = EventInit {
        cancelable: true,
        ..EventInit::default()
    };
    ws.dispatch_event(&Event::new(type_, init)).unwrap()
}

fn capture() -> AddEventListenerOptions {
    AddEventListenerOptions {
        capture: true,
        ..Default::default()
    }
}

#[tokio::test]
async fn listeners_are_called_in_the_order_they_were_added() {
    let (_page, ws, log) = idle();
    for line in ["a", "b", "c"] {
        ws.add_event_listener("open", logs(&log, line));
    }
    ws.add_event_listener("close", logs(&log, "another type"));
    dispatch(&ws, "open");
    assert_eq!(log.lines(), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_listener_is_added_once_for_a_type_and_phase() {
    let (_page, ws, log) = idle();
    let listener = logs(&log, "a");
    for _ in 0..3 {
        ws.add_event_listener("open", &listener);
        ws.add_event_listener_with("open", listener.clone(), capture());
    }
    dispatch(&ws, "open");
    assert_eq!(log.take(), ["a", "a"]);
    ws.add_event_listener("close", &listener);
    dispatch(&ws, "close");
    assert_eq!(log.lines(), ["a"]);
}

#[tokio::test]
async fn the_first_options_of_a_listener_count() {
    let (_page, ws, log) = idle();
    let listener = logs(&log, "a");
    ws.add_event_listener("open", &listener);
    let once = AddEventListenerOptions {
        once: true,
        ..Default::default()
    };
    ws.add_event_listener_with("open", &listener, once);
    dispatch(&ws, "open");
    dispatch(&ws, "open");
    assert_eq!(log.lines(), ["a", "a"]);
}

#[tokio::test]
async fn capturing_listeners_come_first_and_are_removed_by_themselves() {
    let (_page, ws, log) = idle();
    let listener = logs(&log, "a");
    ws.add_event_listener("open", logs(&log, "at target"));
    ws.add_event_listener_with("open", &listener, capture());
    dispatch(&ws, "open");
    assert_eq!(log.take(), ["a", "at target"]);
    ws.remove_event_listener("open", &listener, false);
    dispatch(&ws, "open");
    assert_eq!(log.take(), ["a", "at target"]);
    ws.remove_event_listener("open", &listener, true);
    ws.remove_event_listener("open", &listener, true);
    dispatch(&ws, "open");
    assert_eq!(log.lines(), ["at target"]);
}

#[tokio::test]
async fn a_listener_with_once_is_removed_before_its_call() {
    let (_page, ws, log) = idle();
    let seen = log.clone();
    let once = AddEventListenerOptions {
        once: true,
        ..Default::default()
    };
    let again = |event: &Event| event.type_() == "open";
    ws.add_event_listener_with(
        "open",
        move |event: &Event| {
            seen.add("once");
            // It is not there any more, so this does not call it again.
            if again(event) {
                dispatch(&event.target().unwrap(), "open");
            }
        },
        once,
    );
    dispatch(&ws, "open");
    dispatch(&ws, "open");
    assert_eq!(log.lines(), ["once"]);
}

#[tokio::test]
async fn a_passive_listener_cannot_cancel() {
    let (_page, ws, _log) = idle();
    let cancels = Listener::new(|event: &Event| event.prevent_default());
    let passive = AddEventListenerOptions {
        passive: true,
        ..Default::default()
    };
    ws.add_event_listener_with("open", &cancels, passive);
    assert!(dispatch(&ws, "open"));
    ws.add_event_listener_with("open", &cancels, capture());
    assert!(!dispatch(&ws, "open"));
}

#[tokio::test]
async fn an_abort_signal_removes_its_listeners() {
    let (_page, ws, log) = idle();
    let controller = AbortController::new();
    let with_signal = |signal: AbortSignal| AddEventListenerOptions {
        signal: Some(signal),
        ..Default::default()
    };
    for line in ["a", "b"] {
        ws.add_event_listener_with("open", logs(&log, line), with_signal(controller.signal()));
    }
    ws.add_event_listener("open", logs(&log, "stays"));
    dispatch(&ws, "open");
    assert_eq!(log.take(), ["a", "b", "stays"]);
    controller.abort(None);
    ws.add_event_listener_with("open", logs(&log, "never"), with_signal(controller.signal()));
    dispatch(&ws, "open");
    assert_eq!(log.lines(), ["stays"]);
}

#[tokio::test]
async fn a_listener_that_aborts_its_own_signal_keeps_the_next_from_being_called() {
    let (_page, ws, log) = idle();
    let controller = AbortController::new();
    let seen = log.clone();
    let aborts = controller.clone();
    ws.add_event_listener("open", move |_: &Event| {
        seen.add("aborts");
        aborts.abort(None);
    });
    let options = AddEventListenerOptions {
        signal: Some(controller.signal()),
        ..Default::default()
    };
    ws.add_event_listener_with("open", logs(&log, "never"), options);
    dispatch(&ws, "open");
    assert_eq!(log.lines(), ["aborts"]);
}

#[tokio::test]
async fn listeners_added_or_removed_during_a_dispatch() {
    let (_page, ws, log) = idle();
    let (added, removed) = (logs(&log, "added"), logs(&log, "removed"));
    let (seen, new, old) = (log.clone(), added.clone(), removed.clone());
    ws.add_event_listener("open", move |event: &Event| {
        seen.add("first");
        let ws = event.target().unwrap();
        ws.add_event_listener("open", &new);
        ws.remove_event_listener("open", &old, false);
    });
    ws.add_event_listener("open", &removed);
    dispatch(&ws, "open");
    assert_eq!(log.take(), ["first"]);
    dispatch(&ws, "open");
    assert_eq!(log.lines(), ["first", "added"]);
}

#[tokio::test]
async fn stopping_an_event_keeps_it_from_those_behind() {
    let (_page, ws, log) = idle();
    let stops = Listener::new(|event: &Event| event.stop_propagation());
    ws.add_event_listener_with("open", &stops, capture());
    ws.add_event_listener_with("open", logs(&log, "captures too"), capture());
    ws.add_event_listener("open", logs(&log, "at target"));
    dispatch(&ws, "open");
    assert_eq!(log.take(), ["captures too"]);
    ws.remove_event_listener("open", &stops, true);
    ws.add_event_listener_with(
        "open",
        |event: &Event| event.stop_immediate_propagation(),
        capture(),
    );
    ws.add_event_listener_with("open", logs(&log, "behind"), capture());
    dispatch(&ws, "open");
    assert_eq!(log.lines(), ["captures too"]);
}

#[tokio::test]
async fn an_event_that_was_stopped_can_be_dispatched_again() {
    let (_page, ws, log) = idle();
    let event = Event::new("open", EventInit::default());
    event.stop_propagation();
    ws.add_event_listener("open", logs(&log, "heard"));
    ws.dispatch_event(&event).unwrap();
    ws.dispatch_event(&event).unwrap();
    assert_eq!(log.lines(), ["heard"]);
}

#[tokio::test]
async fn an_object_can_listen() {
    struct Object(Log);
    impl HandleEvent for Object {
        fn handle_event(&self, event: &Event) {
            self.0.add(event.type_());
        }
    }
    let (_page, ws, log) = idle();
    let listener = Listener::object(Arc::new(Object(log.clone())));
    ws.add_event_listener("open", &listener);
    ws.add_event_listener("error", &listener);
    dispatch(&ws, "open");
    dispatch(&ws, "error");
    assert_eq!(log.lines(), ["open", "error"]);
}

#[tokio::test]
async fn an_attribute_keeps_its_slot_when_it_is_replaced() {
    let (_page, ws, log) = idle();
    let seen = log.clone();
    ws.set_on_open(move |_| seen.add("first value"));
    ws.add_event_listener("open", logs(&log, "listener"));
    dispatch(&ws, "open");
    assert_eq!(log.take(), ["first value", "listener"]);
    let seen = log.clone();
    ws.set_on_open(move |_| seen.add("second value"));
    dispatch(&ws, "open");
    assert_eq!(log.take(), ["second value", "listener"]);
}

#[tokio::test]
async fn an_attribute_that_is_removed_gives_its_slot_up() {
    let (_page, ws, log) = idle();
    let value = logs(&log, "attribute");
    ws.set_event_handler("open", value.clone());
    ws.add_event_listener("open", logs(&log, "listener"));
    assert!(ws.event_handler("open").unwrap().is(&value));
    ws.set_event_handler("open", None);
    assert!(ws.event_handler("open").is_none());
    dispatch(&ws, "open");
    assert_eq!(log.take(), ["listener"]);
    ws.set_event_handler("open", value);
    dispatch(&ws, "open");
    assert_eq!(log.lines(), ["listener", "attribute"]);
}

#[tokio::test]
async fn an_attribute_replaced_during_a_dispatch_is_called_with_its_new_value() {
    let (_page, ws, log) = idle();
    let new = logs(&log, "new");
    ws.add_event_listener("open", move |event: &Event| {
        event.target().unwrap().set_event_handler("open", new.clone());
    });
    let old = log.clone();
    ws.set_on_open(move |_| old.add("old"));
    dispatch(&ws, "open");
    assert_eq!(log.lines(), ["new"]);
}

#[tokio::test]
async fn there_are_four_attributes() {
    let (_page, ws, log) = idle();
    for type_ in ["open", "message", "error", "close"] {
        assert!(ws.event_handler(type_).is_none());
        ws.set_event_handler(type_, logs(&log, type_));
        dispatch(&ws, type_);
    }
    ws.set_event_handler("ping", logs(&log, "ping"));
    assert!(ws.event_handler("ping").is_none());
    dispatch(&ws, "ping");
    assert_eq!(log.lines(), ["open", "message", "error", "close"]);
}

#[tokio::test]
async fn the_same_listener_as_attribute_and_added_is_called_twice() {
    let (_page, ws, log) = idle();
    let listener = logs(&log, "a");
    ws.set_event_handler("open", listener.clone());
    ws.add_event_listener("open", &listener);
    // This removes the added one, not the attribute.
    dispatch(&ws, "open");
    ws.remove_event_listener("open", &listener, false);
    ws.remove_event_listener("open", &listener, false);
    dispatch(&ws, "open");
    assert_eq!(log.lines(), ["a", "a", "a"]);
}

#[tokio::test]
async fn a_listener_that_panics_is_reported_and_stops_nobody() {
    let log = Log::default();
    let reported = log.clone();
    let page = Page::with(|page| page.on_exception(move |exception| reported.add(exception.to_string())));
    let (ws, mut peer) = page.open().await;
    ws.add_event_listener("message", |_: &MessageEvent| panic!("on purpose"));
    ws.set_on_message(|event| panic!("again: {:?}", event.data().as_text()));
    ws.add_event_listener("message", logs(&log, "the last one"));
    for _ in 0..2 {
        peer.send(TEXT, "a").await;
        page.until(|| log.lines().len() == 3).await;
        assert_eq!(
            log.take(),
            [
                "a listener for `message` panicked: on purpose",
                "a listener for `message` panicked: again: Some(\"a\")",
                "the last one"
            ]
        );
    }
    ws.send("still open").unwrap();
    assert_eq!(peer.read_text().await, "still open");
}
