use http::HeaderValue;
use http::header::{HOST, HeaderName};
use proptest::prelude::*;

use super::*;
use crate::handshake::HeadLimits;
use crate::handshake::server::RequestReader;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

fn request() -> Request<()> {
    let request = Request::get("/chat")
        .header("Host", "example.org")
        .header("Upgrade", "websocket");
    let request = request
        .header("Connection", "Upgrade")
        .header("Sec-WebSocket-Key", KEY);
    request.header("Sec-WebSocket-Version", "13").body(()).unwrap()
}

/// The outcome for the plain request with `field` replaced by `lines`.
fn with(field: impl TryInto<HeaderName>, lines: &[&[u8]]) -> Result<Upgrade, Refusal> {
    let field = field.try_into().ok().unwrap();
    let mut request = request();
    request.headers_mut().remove(&field);
    for line in lines {
        request
            .headers_mut()
            .append(field.clone(), HeaderValue::from_bytes(line).unwrap());
    }
    Upgrade::from_request(&request)
}

fn refusals(field: Field, cases: &[(&[&[u8]], Refusal)]) {
    for (lines, want) in cases {
        assert_eq!(
            with(field.name(), lines).unwrap_err(),
            *want,
            "{field}: {lines:?}"
        );
    }
}

#[test]
fn a_plain_request_is_accepted() {
    let upgrade = Upgrade::from_request(&request()).unwrap();
    assert_eq!(upgrade.host(), "example.org");
    assert_eq!(upgrade.origin(), None);
    assert_eq!(upgrade.key().as_str(), KEY);
    assert!(upgrade.subprotocols().is_empty());
    assert!(upgrade.extensions().is_empty());
}

#[test]
fn only_get_over_http_1_1_is_accepted() {
    for method in [
        Method::POST,
        Method::HEAD,
        Method::OPTIONS,
        Method::CONNECT,
        Method::from_bytes(b"get").unwrap(),
    ] {
        let mut request = request();
        *request.method_mut() = method;
        assert_eq!(Upgrade::from_request(&request), Err(Refusal::Method));
    }
    for version in [
        Version::HTTP_09,
        Version::HTTP_10,
        Version::HTTP_2,
        Version::HTTP_3,
    ] {
        let mut request = request();
        *request.version_mut() = version;
        assert_eq!(Upgrade::from_request(&request), Err(Refusal::HttpVersion));
    }
}

#[test]
fn exactly_one_valid_host_is_demanded() {
    refusals(
        Field::Host,
        &[
            (&[], Refusal::Missing(Field::Host)),
            (&[b"a", b"a"], Refusal::Repeated(Field::Host)),
            (&[b""], Refusal::Invalid(Field::Host)),
            (&[b" "], Refusal::Invalid(Field::Host)),
            (&[b":80"], Refusal::Invalid(Field::Host)),
            (&[b"a, b"], Refusal::Invalid(Field::Host)),
            (&[b"user@a"], Refusal::Invalid(Field::Host)),
            (&[b"a/b"], Refusal::Invalid(Field::Host)),
            (&[b"a:99999"], Refusal::Invalid(Field::Host)),
            (&[b"\xc3\xa4"], Refusal::Invalid(Field::Host)),
            (&[b"a\tb"], Refusal::Invalid(Field::Host)),
        ],
    );
    for host in ["a", "a:80", "[::1]:9001", "127.0.0.1", "my_host"] {
        assert_eq!(with(HOST, &[host.as_bytes()]).unwrap().host(), host);
    }
}

#[test]
fn the_authority_of_an_absolute_target_wins() {
    for (target, host) in [
        ("ws://other.org/chat", "other.org"),
        ("wss://other.org:8443/chat", "other.org:8443"),
        ("HTTP://other.org", "other.org"),
        ("https://[::1]/", "[::1]"),
    ] {
        let mut request = request();
        *request.uri_mut() = target.parse().unwrap();
        assert_eq!(Upgrade::from_request(&request).unwrap().host(), host);
        request.headers_mut().remove(HOST);
        assert_eq!(
            Upgrade::from_request(&request),
            Err(Refusal::Missing(Field::Host))
        );
    }
}

#[test]
fn other_request_targets_are_refused() {
    for target in [
        "*",
        "example.org:80",
        "ftp://example.org/",
        "ws://user@example.org/",
        "ws://example.org:x/",
    ] {
        let mut request = request();
        *request.uri_mut() = target.parse().unwrap();
        assert_eq!(Upgrade::from_request(&request), Err(Refusal::Target), "{target}");
    }
}

#[test]
fn upgrade_and_connection_are_token_lists() {
    for lines in [
        &[b"websocket" as &[u8]] as &[&[u8]],
        &[b"WebSocket"],
        &[b"h2c, websocket"],
        &[b"h2c", b" , websocket,"],
        &[b"websocket, foo/2"],
    ] {
        assert!(with("upgrade", lines).is_ok(), "{lines:?}");
    }
    for lines in [
        &[b"Upgrade" as &[u8]] as &[&[u8]],
        &[b"upgrade"],
        &[b"keep-alive, Upgrade"],
        &[b"keep-alive", b"UPGRADE"],
        &[b",,upgrade"],
    ] {
        assert!(with("connection", lines).is_ok(), "{lines:?}");
    }
    for field in [Field::Upgrade, Field::Connection] {
        refusals(
            field,
            &[
                (&[], Refusal::Missing(field)),
                (&[b""], Refusal::Missing(field)),
                (&[b", ,"], Refusal::Missing(field)),
                (&[b"close"], Refusal::Missing(field)),
                (&[b"websockets, upgraded"], Refusal::Missing(field)),
                (&[b"websocket upgrade"], Refusal::Invalid(field)),
                (&[b"websocket, upgrade, \xff"], Refusal::Invalid(field)),
            ],
        );
    }
}

#[test]
fn exactly_one_key_of_sixteen_bytes_is_demanded() {
    refusals(
        Field::Key,
        &[
            (&[], Refusal::Missing(Field::Key)),
            (&[KEY.as_bytes(), KEY.as_bytes()], Refusal::Repeated(Field::Key)),
            (&[b""], Refusal::Invalid(Field::Key)),
            (&[b"AAAA"], Refusal::Invalid(Field::Key)),
            (
                &[b"dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ=="],
                Refusal::Invalid(Field::Key),
            ),
            (&[&[0xff; 24]], Refusal::Invalid(Field::Key)),
        ],
    );
    assert!(with("sec-websocket-key", &[b"  dGhlIHNhbXBsZSBub25jZQ==\t"]).is_ok());
}

#[test]
fn exactly_one_version_13_is_demanded() {
    refusals(
        Field::Version,
        &[
            (&[], Refusal::Missing(Field::Version)),
            (&[b"13", b"13"], Refusal::Repeated(Field::Version)),
            (&[b"13", b"8"], Refusal::Repeated(Field::Version)),
            (&[b"8"], Refusal::WebSocketVersion),
            (&[b"0"], Refusal::WebSocketVersion),
            (&[b"14"], Refusal::WebSocketVersion),
            (&[b"013"], Refusal::WebSocketVersion),
            (&[b"13, 8"], Refusal::Invalid(Field::Version)),
            (&[b"1300"], Refusal::Invalid(Field::Version)),
            (&[b"x"], Refusal::Invalid(Field::Version)),
            (&[b""], Refusal::Invalid(Field::Version)),
            (&[b"\xff"], Refusal::Invalid(Field::Version)),
        ],
    );
}

#[test]
fn content_on_an_upgrade_is_refused() {
    for (name, value, ok) in [
        ("content-length", "0", true),
        ("content-length", "1", false),
        ("content-length", "00", false),
        ("content-length", "-0", false),
        ("content-length", "0, 0", false),
        ("content-length", "", false),
        ("transfer-encoding", "chunked", false),
        ("transfer-encoding", "identity", false),
        ("transfer-encoding", "", false),
    ] {
        let outcome = with(name, &[value.as_bytes()]);
        assert_eq!(
            outcome.err(),
            if ok { None } else { Some(Refusal::Content) },
            "{name}: {value}"
        );
    }
    assert_eq!(
        with("content-length", &[b"0", b"5"]).err(),
        Some(Refusal::Content)
    );
}

#[test]
fn at_most_one_origin_is_accepted() {
    assert_eq!(
        with("origin", &[b"https://a.org"]).unwrap().origin(),
        Some("https://a.org")
    );
    assert_eq!(with("origin", &[b"null"]).unwrap().origin(), Some("null"));
    refusals(
        Field::Origin,
        &[
            (
                &[b"https://a.org", b"https://b.org"],
                Refusal::Repeated(Field::Origin),
            ),
            (&[b"https://\xc3\xa4.org"], Refusal::Invalid(Field::Origin)),
        ],
    );
}

#[test]
fn offered_subprotocols_keep_order_and_case() {
    let upgrade = with("sec-websocket-protocol", &[b"b, A,,", b"", b" a "]).unwrap();
    assert_eq!(upgrade.subprotocols(), ["b", "A", "a"]);
    assert_eq!(upgrade.choose_subprotocol(&["x", "a", "b"]).unwrap(), "a");
    assert_eq!(upgrade.choose_subprotocol(&["B"]), None);
    assert_eq!(upgrade.choose_subprotocol::<&str>(&[]), None);
    assert!(
        with("sec-websocket-protocol", &[b" , "])
            .unwrap()
            .subprotocols()
            .is_empty()
    );
    refusals(
        Field::Protocol,
        &[
            (&[b"a, b, a"], Refusal::RepeatedSubprotocol),
            (&[b"a", b"a"], Refusal::RepeatedSubprotocol),
            (&[b"a b"], Refusal::Invalid(Field::Protocol)),
            (&[b"a;b"], Refusal::Invalid(Field::Protocol)),
            (&[b"\"a\""], Refusal::Invalid(Field::Protocol)),
            (&[b"a, \xe2\x82\xac"], Refusal::Invalid(Field::Protocol)),
        ],
    );
}

#[test]
fn offered_extensions_keep_order() {
    let upgrade = with("sec-websocket-extensions", &[b"a; b=1, c", b"d"]).unwrap();
    assert_eq!(
        upgrade
            .extensions()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["a; b=1", "c", "d"]
    );
    refusals(
        Field::Extensions,
        &[
            (&[b"a; b="], Refusal::Invalid(Field::Extensions)),
            (&[b"a\xff"], Refusal::Invalid(Field::Extensions)),
            (&[b"a b"], Refusal::Invalid(Field::Extensions)),
        ],
    );
}

#[test]
fn attempts_are_told_from_other_traffic() {
    for (name, value, want) in [
        ("upgrade", "websocket", true),
        ("upgrade", "foo, WEBSOCKET", true),
        ("upgrade", "h2c", false),
        ("upgrade", "websockets", false),
        ("sec-websocket-key", "", true),
        ("connection", "upgrade", false),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        assert_eq!(wants_websocket(&headers), want, "{name}: {value}");
    }
}

#[test]
fn no_byte_in_any_handshake_field_does_harm() {
    let fields = [
        Field::Host,
        Field::Origin,
        Field::Upgrade,
        Field::Connection,
        Field::Key,
        Field::Version,
        Field::Accept,
        Field::Protocol,
        Field::Extensions,
    ];
    for field in fields {
        for byte in 0..=255u8 {
            let mut bytes = b"GET / HTTP/1.1\r\n".to_vec();
            for (name, value) in request().headers() {
                if name != field.name() {
                    bytes.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
                }
            }
            bytes.extend([field.as_str().as_bytes(), b": a", &[byte], b"b\r\n\r\n"].concat());
            let outcome = RequestReader::new(HeadLimits::default())
                .read(&bytes)
                .map_err(Refusal::from)
                .and_then(|head| Upgrade::from_request(&head.unwrap().request));
            // Accept means nothing in a request, so HTTP's own rule for values holds there.
            let may_pass = match field {
                Field::Accept => byte == b'\t' || (byte >= b' ' && byte != 0x7f),
                _ => (b' '..=b'~').contains(&byte),
            };
            assert!(may_pass || outcome.is_err(), "{field} with byte {byte:#x}");
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_fields_do_no_harm(
        fields in prop::collection::vec((0..9usize, prop::collection::vec(any::<u8>(), 0..30)), 0..12)
    ) {
        let names = ["host", "origin", "upgrade", "connection", "sec-websocket-key", "sec-websocket-version",
            "sec-websocket-protocol", "sec-websocket-extensions", "content-length"];
        let mut request = request();
        for (name, value) in fields {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                request.headers_mut().append(names[name], value);
            }
        }
        let _ = Upgrade::from_request(&request);
    }
}
