//! `new WebSocket(url, protocols)`: §3.1 of the checklist.

use sockeye::web::{Environment, WebSocket};

use crate::page::{Page, listen};
use crate::peer::Server;

/// The name of the exception that the constructor throws.
fn exception(url: &str, protocols: impl sockeye::web::IntoProtocols) -> String {
    let error = WebSocket::new(url, protocols).expect_err(url);
    assert!(!error.message().is_empty());
    error.name().to_owned()
}

#[tokio::test]
async fn protocols_are_none_one_or_a_list() {
    let server = Server::listen().await;
    let page = Page::new();
    let url = server.url();
    let list = vec![String::from("a"), String::from("b")];
    for (ws, want) in [
        (page.socket(&url, ()), None),
        (page.socket(&url, Vec::<String>::new()), None),
        (page.socket(&url, "a"), Some("a")),
        (page.socket(&url, String::from("a")), Some("a")),
        (page.socket(&url, ["a", "b"]), Some("a, b")),
        (page.socket(&url, list.as_slice()), Some("a, b")),
        (page.socket(&url, list), Some("a, b")),
    ] {
        let peer = server.accept().await;
        assert_eq!(peer.field("Sec-WebSocket-Protocol"), want);
        drop(ws);
    }
}

#[tokio::test]
async fn a_url_that_cannot_be_parsed_is_a_syntax_error() {
    for url in [
        "",
        "ws://",
        "ws://a b/",
        "ws://a:99999/",
        "ws://[::1/",
        "//a/",
        "/chat",
        "chat",
    ] {
        assert_eq!(exception(url, ()), "SyntaxError", "{url}");
    }
}

#[tokio::test]
async fn a_relative_url_is_parsed_against_the_base_url() {
    for (base, url, want) in [
        ("https://a.test/x/y", "z?q", "wss://a.test/x/z?q"),
        ("http://a.test:8080/x", "/z", "ws://a.test:8080/z"),
        ("https://a.test/", "//b.test/z", "wss://b.test/z"),
        ("https://a.test/", "", "wss://a.test/"),
        ("https://a.test/", "ws://b.test/", "ws://b.test/"),
    ] {
        let page = Environment::builder().base_url(base).build().unwrap();
        assert_eq!(WebSocket::new_in(&page, url, ()).unwrap().url(), want);
    }
    let blank = Environment::builder().base_url("about:blank").build().unwrap();
    let error = WebSocket::new_in(&blank, "chat", ()).unwrap_err();
    assert_eq!(error.name(), "SyntaxError");
}

#[tokio::test]
async fn http_becomes_ws_and_https_becomes_wss() {
    for (url, want) in [
        ("http://a.test/", "ws://a.test/"),
        ("https://a.test/", "wss://a.test/"),
        ("HTTP://a.test:80/", "ws://a.test/"),
    ] {
        assert_eq!(WebSocket::new(url, ()).unwrap().url(), want);
    }
}

#[tokio::test]
async fn another_scheme_is_a_syntax_error() {
    for url in [
        "ftp://a/",
        "mailto:a@b.test",
        "file:///a",
        "about:blank",
        "wsx://a/",
    ] {
        assert_eq!(exception(url, ()), "SyntaxError", "{url}");
    }
}

#[tokio::test]
async fn a_fragment_even_an_empty_one_is_a_syntax_error() {
    for url in ["ws://a/#", "ws://a/#b", "https://a/?b#c"] {
        assert_eq!(exception(url, ()), "SyntaxError", "{url}");
    }
}

#[tokio::test]
async fn a_protocol_that_is_no_token_is_a_syntax_error() {
    let separators = "()<>@,;:\\\"/[]?={} \t";
    let outside = "\0\u{1f}\u{7f}\u{80}é";
    for character in separators.chars().chain(outside.chars()) {
        let name = format!("a{character}b");
        assert_eq!(exception("ws://a/", name.as_str()), "SyntaxError", "{name:?}");
    }
    assert_eq!(exception("ws://a/", ""), "SyntaxError");
    assert_eq!(exception("ws://a/", ["a", ""]), "SyntaxError");
    let all: String = (b'!'..=b'~')
        .map(char::from)
        .filter(|character| !separators.contains(*character))
        .collect();
    assert!(WebSocket::new("ws://a.test/", all).is_ok());
}

#[tokio::test]
async fn repeated_protocols_are_a_syntax_error_whatever_their_case() {
    assert_eq!(exception("ws://a/", ["echo", "echo"]), "SyntaxError");
    assert_eq!(exception("ws://a/", ["echo", "chat", "eCho"]), "SyntaxError");
}

#[tokio::test]
async fn the_url_is_checked_before_the_protocols() {
    let error = WebSocket::new("ws://a/#b", "").unwrap_err();
    assert!(error.message().contains("fragment"), "{error}");
}

#[tokio::test]
async fn url_is_the_serialised_record() {
    for (url, want) in [
        ("ws://Example.TEST:80", "ws://example.test/"),
        ("wss://example.test:443/", "wss://example.test/"),
        ("ws://exämple.test/", "ws://xn--exmple-cua.test/"),
        ("ws://a.test/a b?c d", "ws://a.test/a%20b?c%20d"),
        ("  ws://a.test/\n", "ws://a.test/"),
        ("ws://a.test/x/../y", "ws://a.test/y"),
        ("ws://0x7f.1/", "ws://127.0.0.1/"),
        ("ws://user:pass@a.test/", "ws://user:pass@a.test/"),
        ("ws:a.test", "ws://a.test/"),
    ] {
        assert_eq!(WebSocket::new(url, ()).unwrap().url(), want);
    }
}

#[tokio::test]
async fn the_constructor_returns_connecting_at_once() {
    let server = Server::listen().await;
    let page = Page::new();
    let ws = page.socket(&server.url(), ());
    assert_eq!(ws.ready_state(), WebSocket::CONNECTING);
    assert_eq!(ws.ready_state() as u16, 0);
    // The connection starts in parallel.
    server.accept().await;
    assert_eq!(ws.ready_state(), WebSocket::CONNECTING);
}

#[tokio::test]
async fn a_blocked_port_is_a_network_error_and_not_an_exception() {
    for url in [
        "ws://127.0.0.1:25/",
        "wss://127.0.0.1:6667/",
        "http://127.0.0.1:10080/",
    ] {
        let page = Page::new();
        let ws = page.socket(url, ());
        let log = listen(&ws);
        page.reach(&ws, WebSocket::CLOSED).await;
        assert_eq!(log.lines(), ["error", "close 1006 unclean"], "{url}");
        assert!(ws.failure().unwrap().is_config());
    }
}

#[test]
fn without_a_runtime_there_is_nothing_to_connect_on() {
    let url = "ws://127.0.0.1:9/";
    let error = WebSocket::new(url, ()).unwrap_err();
    assert_eq!(error.name(), "NotSupportedError");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let page = Environment::builder().runtime(runtime.handle().clone());
    assert!(WebSocket::new_in(&page.build().unwrap(), url, ()).is_ok());
}

#[tokio::test]
async fn an_environment_that_cannot_be_used_is_a_syntax_error() {
    for builder in [
        Environment::builder().base_url("example.org"),
        Environment::builder().origin("a\nb"),
    ] {
        assert_eq!(builder.build().unwrap_err().name(), "SyntaxError");
    }
}
