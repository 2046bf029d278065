//! Redirections, over real sockets. Which are followed with which secrets is tested beside the rules themselves.

use std::time::Duration;

use http::HeaderValue;
use sockeye::client::ConnectionInfo;
use sockeye::{Client, ClientBuilder, ConnectPhase, ConnectTimeouts};

use super::peer::{accepted, field};
use super::site::{Site, path};

fn redirect(location: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
}

/// Leads from `/` to `/1`, `/2` and so on up to `/N`, where it accepts.
async fn staircase(steps: u32) -> Site {
    Site::start(move |request| {
        let step: u32 = path(request)[1..].parse().unwrap_or(0);
        if step == steps {
            accepted(request, "")
        } else {
            redirect(&format!("/{}", step + 1))
        }
    })
    .await
}

/// Accepts everything.
async fn open() -> Site {
    Site::start(|request| accepted(request, "")).await
}

fn following(max: u32) -> ClientBuilder {
    Client::builder().redirects(max)
}

#[tokio::test]
async fn redirections_are_followed_to_the_last_url() {
    let mut site = staircase(3).await;
    let ws = following(3).connect(site.url("/")).await.unwrap();
    assert_eq!(ws.data().get::<ConnectionInfo>().unwrap().url, site.url("/3"));
    let requests: Vec<_> = (0..4).map(|_| site.asked()).collect();
    assert_eq!(
        requests.iter().map(|request| path(request)).collect::<Vec<_>>(),
        ["/", "/1", "/2", "/3"]
    );
    // RFC 6455 §4.1: the nonce is chosen anew for each connection.
    let mut keys: Vec<_> = requests
        .iter()
        .map(|request| field(request, "Sec-WebSocket-Key"))
        .collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 4);
}

#[tokio::test]
async fn more_redirections_than_allowed_are_an_error_that_tells_the_way() {
    let site = staircase(3).await;
    let error = following(2)
        .connect(site.url("/?token=secret"))
        .await
        .unwrap_err();
    assert!(error.is_handshake(), "{error:?}");
    assert_eq!(error.phase(), Some(ConnectPhase::Handshake));
    let way = ["/", "/1", "/2"].map(|path| site.url(path)).join(" → ");
    assert_eq!(
        error.to_string(),
        format!("there are more than 2 redirections (after {way})")
    );
}

#[tokio::test]
async fn a_circle_is_found_before_the_limit() {
    let mut site = Site::start(|request| redirect(if path(request) == "/a" { "/b" } else { "/a" })).await;
    let error = following(100).connect(site.url("/a")).await.unwrap_err();
    assert!(error.to_string().contains("round in a circle"), "{error}");
    assert_eq!((path(&site.asked()), path(&site.asked())), ("/a", "/b"));
    assert!(site.is_quiet());
}

#[tokio::test]
async fn the_body_of_a_redirection_is_not_waited_for() {
    let site = Site::start(|request| match path(request) {
        "/" => "HTTP/1.1 301 Moved\r\nLocation: /here\r\nContent-Length: 1000\r\n\r\n".to_owned(),
        _ => accepted(request, ""),
    })
    .await;
    let client = following(1).timeouts(ConnectTimeouts {
        handshake: Duration::MAX,
        ..ConnectTimeouts::default()
    });
    let connecting = client.connect(site.url("/"));
    let ws = tokio::time::timeout(Duration::from_secs(30), connecting).await;
    assert!(ws.expect("it does not wait for what never comes").is_ok());
}

#[tokio::test]
async fn secrets_stay_with_the_host_and_port_they_are_meant_for() {
    let mut stranger = open().await;
    let away = stranger.url("/elsewhere");
    let mut site = Site::start(move |request| match path(request) {
        "/" => redirect("/next"),
        _ => redirect(&away),
    })
    .await;
    let mut token = HeaderValue::from_static("secret");
    token.set_sensitive(true);
    following(2)
        .bearer_auth("secret")
        .header("Cookie", "session=secret")
        .header("Proxy-Authorization", "secret")
        .header("X-Token", token)
        .header("X-Plain", "fish")
        .origin("https://example.org")
        .connect(site.url("/"))
        .await
        .unwrap();
    for at_home in [site.asked(), site.asked()] {
        assert_eq!(at_home.matches("secret").count(), 4, "{at_home}");
    }
    let abroad = stranger.asked();
    assert!(!abroad.contains("secret"), "{abroad}");
    assert_eq!(field(&abroad, "X-Plain"), Some("fish"));
    assert_eq!(field(&abroad, "Origin"), Some("https://example.org"));
    assert_eq!(field(&abroad, "Host"), Some(&*stranger.address.to_string()));
}

#[tokio::test]
async fn credentials_of_the_url_stay_at_home_too() {
    let mut stranger = open().await;
    let away = stranger.url("/");
    let mut site = Site::start(move |request| match path(request) {
        "/" => redirect("/next"),
        _ => redirect(&away),
    })
    .await;
    let url = site.url("/").replace("ws://", "ws://user:secret@");
    following(2).connect(url).await.unwrap();
    for at_home in [site.asked(), site.asked()] {
        assert_eq!(field(&at_home, "Authorization"), Some("Basic dXNlcjpzZWNyZXQ="));
    }
    assert_eq!(field(&stranger.asked(), "Authorization"), None);
}

#[tokio::test]
async fn a_refusal_behind_a_redirection_is_that_of_the_last_server() {
    let site = Site::start(|request| match path(request) {
        "/" => redirect("/closed"),
        _ => "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno".to_owned(),
    })
    .await;
    let error = following(5).connect(site.url("/")).await.unwrap_err();
    let refusal = error.refusal().unwrap();
    assert_eq!((refusal.status.as_u16(), &*refusal.body), (403, &b"no"[..]));
}

#[tokio::test]
async fn without_being_told_to_nothing_is_followed() {
    let mut site = staircase(1).await;
    let error = sockeye::connect(site.url("/")).await.unwrap_err();
    assert_eq!(error.refusal().unwrap().status, 302);
    site.asked();
    assert!(site.is_quiet());
}

#[tokio::test]
async fn a_redirection_to_what_is_no_websocket_is_an_error() {
    let site = Site::start(|_| redirect("mailto:fish@example.org")).await;
    let error = following(5).connect(site.url("/")).await.unwrap_err();
    assert!(error.is_handshake());
    assert!(error.to_string().contains("mailto:"), "{error}");
}

#[tokio::test]
async fn over_a_transport_of_the_callers_own_a_redirection_is_a_refusal() {
    let (near, mut far) = super::peer::pipe();
    let server = tokio::spawn(async move {
        super::peer::read_request(&mut far).await;
        tokio::io::AsyncWriteExt::write_all(&mut far, redirect("/x").as_bytes())
            .await
            .unwrap();
    });
    let client = following(5).build().unwrap();
    let error = client.handshake(near, super::peer::URL).await.unwrap_err();
    assert_eq!(error.refusal().unwrap().status, 302);
    server.await.unwrap();
}
