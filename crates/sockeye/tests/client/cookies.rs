//! Cookies, from one connection to the next. Which cookies go where is tested beside the rules themselves.

use sockeye::Client;
use sockeye::cookies::CookieStore;

use super::peer::{accepted, field};
use super::site::{Site, path};

/// Sets a cookie named after the path, in an answer that the path asks for.
async fn setter() -> Site {
    Site::start(|request| {
        let name = path(request)[1..].to_owned();
        let set = format!("Set-Cookie: {name}=1; Path=/\r\n");
        match &*name {
            "refused" => format!("HTTP/1.1 401 Unauthorized\r\n{set}Content-Length: 0\r\n\r\n"),
            "moved" => format!("HTTP/1.1 307 Temporary Redirect\r\nLocation: /last\r\n{set}\r\n"),
            "login" if field(request, "Cookie").is_none() => {
                format!("HTTP/1.1 302 Found\r\nLocation: /login\r\n{set}\r\n")
            }
            "broken" => accepted(request, &set).replace("Accept: ", "Accept: x"),
            _ => accepted(request, &set),
        }
    })
    .await
}

#[tokio::test]
async fn cookies_of_every_kind_of_answer_come_back() {
    let mut site = setter().await;
    let store = CookieStore::new();
    let client = Client::builder()
        .cookies(store.clone())
        .redirects(1)
        .build()
        .unwrap();

    client.connect(site.url("/accepted")).await.unwrap();
    assert_eq!(field(&site.asked(), "Cookie"), None);
    client.connect(site.url("/refused")).await.unwrap_err();
    assert_eq!(field(&site.asked(), "Cookie"), Some("accepted=1"));
    client.connect(site.url("/moved")).await.unwrap();
    assert_eq!(field(&site.asked(), "Cookie"), Some("accepted=1; refused=1"));
    // What the redirection has set goes along at once.
    assert_eq!(
        field(&site.asked(), "Cookie"),
        Some("accepted=1; refused=1; moved=1")
    );
    assert_eq!(store.len(), 4);
}

#[tokio::test]
async fn a_login_may_redirect_to_itself() {
    let mut site = setter().await;
    let client = Client::builder()
        .cookies(CookieStore::new())
        .redirects(3)
        .build()
        .unwrap();
    client.connect(site.url("/login")).await.unwrap();
    site.asked();
    assert_eq!(field(&site.asked(), "Cookie"), Some("login=1"));
}

#[tokio::test]
async fn another_host_does_not_get_them() {
    let mut site = setter().await;
    let store = CookieStore::new();
    let client = Client::builder().cookies(store).build().unwrap();
    client.connect(site.url("/a")).await.unwrap();
    site.asked();
    let other_name = format!("ws://localhost:{}/b", site.address.port());
    client.connect(other_name).await.unwrap();
    assert_eq!(field(&site.asked(), "Cookie"), None);
}

#[tokio::test]
async fn own_cookies_travel_in_the_same_field_and_not_to_strangers() {
    let mut stranger = setter().await;
    let away = format!("ws://localhost:{}/", stranger.address.port());
    let mut site = Site::start(move |_| format!("HTTP/1.1 302 Found\r\nLocation: {away}\r\n\r\n")).await;
    let store = CookieStore::new();
    store.set(site.url("/"), "a=store").unwrap();
    store.set(site.url("/"), "b=store").unwrap();
    store.set("ws://localhost/", "c=theirs").unwrap();
    let client = Client::builder()
        .cookies(store)
        .redirects(1)
        .header("Cookie", "a=own");
    client.connect(site.url("/")).await.unwrap();
    let at_home = site.asked();
    assert_eq!(field(&at_home, "Cookie"), Some("a=own; b=store"));
    assert_eq!(at_home.matches("ookie:").count(), 1, "{at_home}");
    assert_eq!(field(&stranger.asked(), "Cookie"), Some("c=theirs"));
}

#[tokio::test]
async fn an_answer_that_breaks_the_rules_sets_nothing() {
    let site = setter().await;
    let store = CookieStore::new();
    let client = Client::builder().cookies(store.clone());
    client.connect(site.url("/broken")).await.unwrap_err();
    assert!(store.is_empty());
}
