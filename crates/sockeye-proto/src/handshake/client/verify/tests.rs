use http::header::HeaderValue;
use proptest::prelude::*;

use super::*;
use crate::deflate::Deflate;

const ACCEPT: &[u8] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

fn request() -> Request {
    let request = Request::new("ws://example.org/", *b"the sample nonce").unwrap();
    let request = request.subprotocol("a").unwrap().subprotocol("b").unwrap();
    request.deflate(Deflate::default())
}

fn response() -> Response<()> {
    let response = Response::builder()
        .status(101)
        .header("Upgrade", "websocket")
        .header("Connection", "Upgrade");
    response.header("Sec-WebSocket-Accept", ACCEPT).body(()).unwrap()
}

/// The outcome for the plain response with `field` replaced by `lines`.
fn with(field: Field, lines: &[&[u8]]) -> Result<Negotiated, ResponseError> {
    let mut response = response();
    response.headers_mut().remove(field.name());
    for line in lines {
        response
            .headers_mut()
            .append(field.name(), HeaderValue::from_bytes(line).unwrap());
    }
    request().verify(&response)
}

fn errors(field: Field, cases: &[(&[&[u8]], ResponseError)]) {
    for (lines, want) in cases {
        assert_eq!(with(field, lines), Err(*want), "{field}: {lines:?}");
    }
}

#[test]
fn the_errors_are_small() {
    assert!(size_of::<ResponseError>() <= 32);
}

#[test]
fn a_plain_response_is_accepted() {
    assert_eq!(request().verify(&response()), Ok(Negotiated::default()));
}

#[test]
fn other_statuses_are_handed_back() {
    for status in [200, 204, 301, 400, 401, 404, 426, 503] {
        let mut response = response();
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        assert_eq!(
            request().verify(&response),
            Err(ResponseError::Status(response.status()))
        );
    }
}

#[test]
fn a_101_of_http_1_0_is_refused() {
    let mut response = response();
    *response.version_mut() = Version::HTTP_10;
    assert_eq!(request().verify(&response), Err(ResponseError::HttpVersion));
}

#[test]
fn upgrade_is_websocket_and_nothing_else() {
    for value in [b"websocket".as_slice(), b"WebSocket", b" WEBSOCKET\t"] {
        assert!(with(Field::Upgrade, &[value]).is_ok());
    }
    errors(
        Field::Upgrade,
        &[
            (&[], ResponseError::Missing(Field::Upgrade)),
            (
                &[b"websocket", b"websocket"],
                ResponseError::Repeated(Field::Upgrade),
            ),
            (&[b"websocket, h2c"], ResponseError::Invalid(Field::Upgrade)),
            (&[b""], ResponseError::Invalid(Field::Upgrade)),
            (&[b"websocket\xff"], ResponseError::Invalid(Field::Upgrade)),
        ],
    );
}

#[test]
fn connection_is_a_token_list() {
    for lines in [
        &[b"Upgrade".as_slice()] as &[&[u8]],
        &[b"keep-alive, upgrade"],
        &[b"keep-alive", b",UPGRADE"],
    ] {
        assert!(with(Field::Connection, lines).is_ok(), "{lines:?}");
    }
    errors(
        Field::Connection,
        &[
            (&[], ResponseError::Missing(Field::Connection)),
            (&[b"close"], ResponseError::Missing(Field::Connection)),
            (&[b"upgrade \xff"], ResponseError::Invalid(Field::Connection)),
        ],
    );
}

#[test]
fn accept_answers_the_key() {
    assert!(with(Field::Accept, &[b"  s3pPLMBiTxaQ9kYGzzhZRbK+xOo= "]).is_ok());
    errors(
        Field::Accept,
        &[
            (&[], ResponseError::Missing(Field::Accept)),
            (&[ACCEPT, ACCEPT], ResponseError::Repeated(Field::Accept)),
            (&[b""], ResponseError::Invalid(Field::Accept)),
            (
                &[b"S3pPLMBiTxaQ9kYGzzhZRbK+xOo="],
                ResponseError::Invalid(Field::Accept),
            ),
            (
                &[b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo"],
                ResponseError::Invalid(Field::Accept),
            ),
            (&[b"\xff"], ResponseError::Invalid(Field::Accept)),
        ],
    );
}

#[test]
fn the_subprotocol_is_one_of_those_offered() {
    assert_eq!(with(Field::Protocol, &[b"b"]).unwrap().subprotocol.unwrap(), "b");
    errors(
        Field::Protocol,
        &[
            (&[b"a", b"a"], ResponseError::Repeated(Field::Protocol)),
            (&[b"A"], ResponseError::SubprotocolNotOffered),
            (&[b"c"], ResponseError::SubprotocolNotOffered),
            (&[b"a, b"], ResponseError::Invalid(Field::Protocol)),
            (&[b""], ResponseError::Invalid(Field::Protocol)),
            (&[b"\xe2\x82\xac"], ResponseError::Invalid(Field::Protocol)),
        ],
    );
    let mut response = response();
    response
        .headers_mut()
        .insert("sec-websocket-protocol", HeaderValue::from_static("a"));
    let none_offered = Request::new("ws://a/", *b"the sample nonce").unwrap();
    assert_eq!(
        none_offered.verify(&response),
        Err(ResponseError::SubprotocolNotOffered)
    );
}

#[test]
fn a_missing_subprotocol_fails_only_if_required() {
    let missing = Err(ResponseError::Missing(Field::Protocol));
    assert_eq!(request().verify(&response()).unwrap().subprotocol, None);
    assert_eq!(request().require_subprotocol(true).verify(&response()), missing);
    let none_offered = Request::new("ws://a/", *b"the sample nonce")
        .unwrap()
        .require_subprotocol(true);
    assert!(none_offered.verify(&response()).is_ok());
}

#[test]
fn only_what_was_offered_of_extensions_is_accepted() {
    let answer = b"permessage-deflate; server_no_context_takeover";
    assert!(
        with(Field::Extensions, &[answer])
            .unwrap()
            .deflate
            .unwrap()
            .server_no_context_takeover
    );
    assert_eq!(with(Field::Extensions, &[b""]).unwrap().deflate, None);
    let unoffered = ResponseError::Extension(NegotiationError::UnofferedExtension);
    errors(
        Field::Extensions,
        &[
            (&[b"x-other"], unoffered),
            (&[answer, b"x-other"], unoffered),
            (
                &[answer, answer],
                ResponseError::Extension(NegotiationError::RepeatedExtension),
            ),
            (
                &[b"permessage-deflate; x"],
                ResponseError::Extension(NegotiationError::UnknownParameter),
            ),
            (
                &[b"permessage-deflate; x="],
                ResponseError::Invalid(Field::Extensions),
            ),
            (
                &[b"permessage-deflate\xff"],
                ResponseError::Invalid(Field::Extensions),
            ),
        ],
    );
    let mut response = response();
    response.headers_mut().insert(
        "sec-websocket-extensions",
        HeaderValue::from_static("permessage-deflate"),
    );
    let none_offered = Request::new("ws://a/", *b"the sample nonce").unwrap();
    assert_eq!(none_offered.verify(&response), Err(unoffered));
}

proptest! {
    #[test]
    fn arbitrary_fields_do_no_harm(
        fields in prop::collection::vec((0..5usize, prop::collection::vec(any::<u8>(), 0..30)), 0..8)
    ) {
        let names = [Field::Upgrade, Field::Connection, Field::Accept, Field::Protocol, Field::Extensions];
        let mut response = response();
        for (name, value) in fields {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                response.headers_mut().append(names[name].name(), value);
            }
        }
        let _ = request().verify(&response);
    }
}
