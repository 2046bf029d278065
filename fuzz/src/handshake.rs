//! Any bytes as a request or a response: they are refused or understood, however they arrive, and what is written in
//! answer is well-formed.

use sockeye_proto::deflate::Deflate;
use sockeye_proto::extension::parse_list;
use sockeye_proto::handshake::client::{Request, ResponseReader};
use sockeye_proto::handshake::server::{Refusal, Rejection, RequestReader, Upgrade};
use sockeye_proto::handshake::{HeadError, HeadLimits};

/// Input: a request. The same bytes serve as a value of Sec-WebSocket-Extensions.
pub fn server_handshake(data: &[u8]) {
    let read = |reader: &mut RequestReader, bytes: &[u8]| {
        reader
            .read(bytes)
            .map(|head| head.map(|head| (head.request, head.len)))
    };
    let whole = read(&mut RequestReader::new(HeadLimits::default()), data);
    let mut reader = RequestReader::new(HeadLimits::default());
    let bytewise = first_answer(data, |bytes| read(&mut reader, bytes));
    assert_eq!(describe(&whole), describe(&bytewise));

    let upgrade = match whole {
        Ok(None) => return extensions(data),
        Ok(Some((request, len))) => {
            assert!(len <= data.len());
            Upgrade::from_request(&request)
        }
        Err(error) => Err(Refusal::from(error)),
    };
    let mut answer = Vec::new();
    match upgrade {
        Ok(upgrade) => {
            let acceptance = upgrade
                .accept()
                .prefer(upgrade.subprotocols())
                .deflate(&Deflate::default());
            acceptance.write(&mut answer);
            assert_eq!(status(&answer), 101);
        }
        Err(refusal) => {
            Rejection::from(refusal).write(&mut answer);
            assert!((400..=599).contains(&status(&answer)), "{refusal:?}");
        }
    }
}

/// Input: a response to a request that asks for everything. The same bytes serve as a URL.
pub fn client_handshake(data: &[u8]) {
    let read = |reader: &mut ResponseReader, bytes: &[u8]| {
        reader
            .read(bytes)
            .map(|head| head.map(|head| (head.response, head.len)))
    };
    let whole = read(&mut ResponseReader::new(HeadLimits::default()), data);
    let mut reader = ResponseReader::new(HeadLimits::default());
    let bytewise = first_answer(data, |bytes| read(&mut reader, bytes));
    assert_eq!(describe(&whole), describe(&bytewise));

    if let Ok(Some((response, len))) = whole {
        assert!(len <= data.len());
        let request = Request::new("ws://example.org/chat", *b"the sample nonce")
            .and_then(|request| request.subprotocol("chat"))
            .and_then(|request| request.subprotocol("superchat"))
            .expect("a valid request")
            .deflate(Deflate::default());
        if let Ok(negotiated) = request.verify(&response) {
            assert_eq!(response.status(), 101);
            let chosen = negotiated.subprotocol;
            assert!(chosen.is_none_or(|chosen| request.subprotocols().contains(&chosen)));
        }
    }
    if let Ok(url) = std::str::from_utf8(data)
        && let Ok(request) = Request::new(url, [7; 16])
    {
        // What a client makes of a URL, a server understands.
        let mut bytes = Vec::new();
        request.write(&mut bytes);
        let limits = HeadLimits {
            max_bytes: usize::MAX,
            ..HeadLimits::default()
        };
        let head = RequestReader::new(limits)
            .read(&bytes)
            .expect("a head")
            .expect("a whole head");
        assert_eq!(head.len, bytes.len());
        Upgrade::from_request(&head.request).expect("a request that a server accepts");
    }
}

/// Whatever is offered, what a server accepts of it suits the client that offered it.
fn extensions(value: &[u8]) {
    let Ok(offers) = parse_list([value]) else {
        return;
    };
    for extension in &offers {
        let written = extension.to_string();
        assert_eq!(
            parse_list([written.as_bytes()]).as_deref(),
            Ok(std::slice::from_ref(extension))
        );
    }
    if let Some((_, response)) = Deflate::default().accept(&offers) {
        assert_eq!(parse_list([response.to_string().as_bytes()]), Ok(vec![response]));
    }
}

/// The first answer of a reader that sees one byte more each time.
fn first_answer<T>(
    data: &[u8],
    mut read: impl FnMut(&[u8]) -> Result<Option<T>, HeadError>,
) -> Result<Option<T>, HeadError> {
    for end in 0..data.len() {
        match read(&data[..end]) {
            Ok(None) => {}
            answer => return answer,
        }
    }
    read(data)
}

/// Requests and responses cannot be compared, but shown.
fn describe<T: std::fmt::Debug>(outcome: &Result<Option<(T, usize)>, HeadError>) -> String {
    format!("{outcome:?}")
}

fn status(answer: &[u8]) -> u16 {
    let head = ResponseReader::new(HeadLimits::default())
        .read(answer)
        .expect("a well-formed answer")
        .expect("a whole answer");
    head.response.status().as_u16()
}
