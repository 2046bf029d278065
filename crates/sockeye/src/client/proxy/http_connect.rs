//! Asking an HTTP proxy for a way: the method CONNECT (RFC 9110 §9.3.6).

use http::header::PROXY_AUTHORIZATION;
use sockeye_proto::handshake::HeadLimits;
use tokio::time::Instant;

use super::Proxy;
use crate::client::auth;
use crate::client::dial::{Duplex, Endpoint};
use crate::client::exchange::exchange;
use crate::client::phase::Clock;
use crate::client::refusal;
use crate::error::{ConnectPhase, Error, Kind, ProxyRefusal, Result};

/// Asks the proxy at the other end of `io` for a way to `to`. After that, `io` leads there.
pub(super) async fn ask(
    io: &mut impl Duplex,
    proxy: &Proxy,
    to: &Endpoint,
    limits: HeadLimits,
    clock: &Clock,
) -> Result<()> {
    let started = Instant::now();
    let limit = clock.limit(ConnectPhase::Proxy);
    let name = proxy.endpoint.name();
    let failed = |how: &str| format!("{name} gave no way to {to}: {how}");

    let mut received = Vec::new();
    let request = request(proxy, to);
    let response = match limit.hold(exchange(io, &request, limits, &mut received)).await {
        Some(Ok(response)) => response,
        Some(Err(failure)) => {
            let host = proxy.endpoint.host();
            return Err(failure.error(ConnectPhase::Proxy, host, failed));
        }
        None => return Err(limit.passed(&proxy.endpoint.to_string(), "")),
    };
    if !response.status().is_success() {
        let left = limit.time().saturating_sub(started.elapsed());
        return Err(Error::new(Kind::ProxyRefused(ProxyRefusal {
            refusal: refusal::read(io, response, &received, left).await,
            proxy: name,
            to: to.to_string(),
        })));
    }
    // RFC 9110 §9.3.6: whatever the fields of a 2xx say, it has no body, and the tunnel begins. At its other end nobody
    // speaks before we do: these bytes are the proxy's, or of somebody before it.
    if !received.is_empty() {
        let message = failed("bytes came before the server was asked for any");
        return Err(Error::connecting(ConnectPhase::Proxy, message));
    }
    Ok(())
}

fn request(proxy: &Proxy, to: &Endpoint) -> Vec<u8> {
    let mut out = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n").into_bytes();
    let mut line = |name: &[u8], value: &[u8]| {
        out.extend([name, b": ", value, b"\r\n"].concat());
    };
    if !proxy.headers.contains_key(PROXY_AUTHORIZATION)
        && let Some(given) = &proxy.credentials
        // They were checked when they were set.
        && let Ok(value) = auth::basic(&given.user, &given.password)
    {
        line(b"Proxy-Authorization", value.as_bytes());
    }
    for (name, value) in &proxy.headers {
        line(name.as_str().as_bytes(), value.as_bytes());
    }
    out.extend(b"\r\n");
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;
    use crate::client::ConnectTimeouts;

    fn proxy() -> Proxy {
        Proxy::new("http://proxy.test:3128").unwrap()
    }

    fn to() -> Endpoint {
        Endpoint::new("server.test", 443)
    }

    /// Asks a proxy that says this, and nothing more.
    async fn ask_one_that_says(answer: &[u8]) -> Result<()> {
        let (mut near, mut far) = duplex(64 * 1024);
        far.write_all(answer).await.unwrap();
        far.shutdown().await.unwrap();
        let clock = Clock::start(&ConnectTimeouts::default());
        ask(&mut near, &proxy(), &to(), HeadLimits::default(), &clock).await
    }

    #[test]
    fn the_request_has_host_credentials_and_own_fields() {
        let text = |proxy: &Proxy| String::from_utf8(request(proxy, &to())).unwrap();
        assert_eq!(
            text(&proxy()),
            "CONNECT server.test:443 HTTP/1.1\r\nHost: server.test:443\r\n\r\n"
        );
        let proxy = proxy().credentials("Aladdin", "open sesame").unwrap();
        let proxy = proxy.header("X-Team", "fish").unwrap();
        assert_eq!(
            text(&proxy),
            "CONNECT server.test:443 HTTP/1.1\r\nHost: server.test:443\r\n\
             Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\nx-team: fish\r\n\r\n"
        );
        let proxy = proxy.header("Proxy-Authorization", "Bearer t").unwrap();
        let text = text(&proxy);
        assert!(
            text.contains("proxy-authorization: Bearer t\r\n") && !text.contains("Basic"),
            "{text}"
        );
    }

    #[test]
    fn an_ipv6_server_has_brackets() {
        let request = request(&proxy(), &Endpoint::new("2001:db8::1", 80));
        assert!(request.starts_with(b"CONNECT [2001:db8::1]:80 HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n"));
    }

    #[tokio::test]
    async fn any_2xx_opens_the_way_whatever_its_fields_say() {
        for answer in [
            "HTTP/1.1 200 Connection established\r\n\r\n",
            "HTTP/1.0 200 OK\r\n\r\n",
            "HTTP/1.1 299\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        ] {
            let opened = ask_one_that_says(answer.as_bytes()).await;
            assert!(opened.is_ok(), "{answer:?}: {opened:?}");
        }
    }

    #[tokio::test]
    async fn a_refusal_has_status_headers_and_body() {
        let error = ask_one_that_says(
            b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 3\r\n\r\nwho?",
        )
        .await
        .unwrap_err();
        assert!(error.is_proxy() && !error.is_handshake());
        assert_eq!(error.phase(), Some(ConnectPhase::Proxy));
        let refusal = error.refusal().unwrap();
        assert_eq!(refusal.status, 407);
        assert_eq!(refusal.headers["proxy-authenticate"], "Basic");
        assert_eq!(refusal.body, "who");
        assert_eq!(
            error.to_string(),
            "the proxy proxy.test:3128 refused the way to server.test:443 with HTTP 407 Proxy Authentication Required"
        );
    }

    #[tokio::test]
    async fn an_answer_that_is_none_fails_in_the_phase_of_the_proxy() {
        let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "a".repeat(16 * 1024));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: a\r\n".repeat(101));
        for (answer, want) in [
            ("", "without an answer"),
            ("HTTP/1.1 200", "middle of the answer"),
            ("SSH-2.0-OpenSSH\r\n\r\n", "HTTP"),
            (&*long, "larger than the limit"),
            (&many, "more header fields"),
            ("\x15\x03\x03\0\x02\x02\x46", "try https://"),
            (
                "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 101",
                "before the server was asked",
            ),
        ] {
            let error = ask_one_that_says(answer.as_bytes()).await.unwrap_err();
            assert_eq!(error.phase(), Some(ConnectPhase::Proxy));
            assert!(error.is_proxy());
            let text = error.to_string();
            assert!(text.contains(want), "{text}");
            assert!(
                text.starts_with("the proxy proxy.test:3128 gave no way to server.test:443"),
                "{text}"
            );
        }
    }

    #[tokio::test]
    async fn nothing_behind_the_head_is_needed() {
        // The proxy waits for the client: what comes next is the client's.
        let (mut near, mut far) = duplex(1024);
        far.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let clock = Clock::start(&ConnectTimeouts::default());
        ask(&mut near, &proxy(), &to(), HeadLimits::default(), &clock)
            .await
            .unwrap();
        near.write_all(b"hello").await.unwrap();
        drop(near);
        let mut received = String::new();
        far.read_to_string(&mut received).await.unwrap();
        assert!(received.ends_with("\r\n\r\nhello"), "{received}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_proxy_is_given_up_after_its_own_timeout() {
        let (mut near, _far) = duplex(1024);
        let clock = Clock::start(&ConnectTimeouts {
            proxy: Duration::from_secs(4),
            ..ConnectTimeouts::default()
        });
        let started = Instant::now();
        let error = ask(&mut near, &proxy(), &to(), HeadLimits::default(), &clock)
            .await
            .unwrap_err();
        assert_eq!(started.elapsed().as_secs(), 4);
        assert!(error.is_timeout());
        assert_eq!(error.phase(), Some(ConnectPhase::Proxy));
        assert_eq!(
            error.to_string(),
            "asking the proxy proxy.test:3128 took longer than 4s"
        );
    }
}
