//! Reads a request head from bytes that arrive in any pieces.

use http::Request;

use crate::handshake::head::{self, HeadError, HeadLimits, Scanner};

/// Finds and parses the head of one request.
///
/// The caller keeps the bytes: it appends what it receives to a buffer and shows the whole buffer to
/// [`read`](Self::read) each time. Looking again costs nothing, the reader goes on where it stopped.
///
/// ```
/// use sockeye_proto::handshake::{HeadLimits, server::RequestReader};
///
/// let mut reader = RequestReader::new(HeadLimits::default());
/// let mut buffer = b"GET /chat HTTP/1.1\r\nHost: exam".to_vec();
/// assert!(reader.read(&buffer)?.is_none());
///
/// buffer.extend_from_slice(b"ple.org\r\n\r\n\x81\x80");
/// let head = reader.read(&buffer)?.unwrap();
/// assert_eq!(head.request.uri(), "/chat");
/// assert_eq!(&buffer[head.len..], b"\x81\x80"); // belongs to what comes after the head
/// # Ok::<(), sockeye_proto::handshake::HeadError>(())
/// ```
#[derive(Debug, Clone)]
pub struct RequestReader {
    scanner: Scanner,
}

impl RequestReader {
    /// A reader for a head that begins with the first byte of the buffer.
    pub fn new(limits: HeadLimits) -> Self {
        Self {
            scanner: Scanner::new(limits),
        }
    }

    /// Looks at what was received so far. `None` asks for more bytes.
    ///
    /// `received` must begin with the same bytes on every call. After a result the reader has done its work.
    ///
    /// Empty lines before the request are skipped (RFC 9112 §2.2) and counted in [`RequestHead::len`]. Lines
    /// must end in CR LF; bare line feeds and folded lines are refused as soon as they show.
    ///
    /// # Errors
    ///
    /// [`HeadError`] as soon as the bytes cannot become an acceptable head or exceed a limit. Convert it with
    /// [`Refusal::from`](super::Refusal) to answer it.
    pub fn read(&mut self, received: &[u8]) -> Result<Option<RequestHead>, HeadError> {
        let Some(span) = self.scanner.scan(received)? else {
            return Ok(None);
        };
        let request = head::parse_request(received, span)?;
        Ok(Some(RequestHead {
            request,
            len: span.end,
        }))
    }
}

/// A request head and where it ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct RequestHead {
    /// Method, target, version and header fields.
    pub request: Request<()>,
    /// How many of the received bytes the head took. Those after it belong to the frames.
    pub len: usize,
}

#[cfg(test)]
mod tests {
    use http::{Method, Version};
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> Result<Option<RequestHead>, HeadError> {
        RequestReader::new(HeadLimits::default()).read(bytes)
    }

    #[test]
    fn all_parts_of_the_head_are_given() {
        let bytes = b"\r\nPOST /a?b=c HTTP/1.0\r\nHost: x\r\nX-A: 1 \r\nx-a:\t\xe9\r\nEmpty:\r\n\r\nrest";
        let head = read(bytes).unwrap().unwrap();
        assert_eq!(&bytes[head.len..], b"rest");
        assert_eq!(head.request.method(), Method::POST);
        assert_eq!(head.request.uri(), "/a?b=c");
        assert_eq!(head.request.version(), Version::HTTP_10);
        let values: Vec<_> = head
            .request
            .headers()
            .get_all("x-a")
            .iter()
            .map(|v| v.as_bytes())
            .collect();
        assert_eq!(values, [b"1".as_slice(), b"\xe9"]);
        assert_eq!(head.request.headers()["empty"], "");
    }

    #[test]
    fn absolute_form_keeps_its_authority() {
        for scheme in ["ws", "wss", "http", "https"] {
            let head = read(format!("GET {scheme}://example.org:81/a HTTP/1.1\r\n\r\n").as_bytes())
                .unwrap()
                .unwrap();
            assert_eq!(head.request.uri().authority().unwrap(), "example.org:81");
            assert_eq!(head.request.uri().path(), "/a");
        }
    }

    /// Bytes that look enough like a request for the parser to get somewhere.
    fn request_like() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop::sample::select(vec![
            &b"GET / HTTP/1.1\r\n"[..],
            b"GET ws://a/b HTTP/1.1\r\n",
            b"Host: a\r\n",
            b"Upgrade: websocket\r\n",
            b"X: \xff\r\n",
            b"\r\n",
            b"\r\n\r\n",
            b"\n",
            b"\r",
            b" ",
            b"\0",
            b"a:",
        ]);
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_result(
            bytes in request_like(),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
            max_bytes in prop_oneof![Just(16 * 1024), 0..80usize],
            max_headers in 0..6usize,
        ) {
            let limits = HeadLimits { max_bytes, max_headers };
            let describe = |outcome: Result<Option<RequestHead>, HeadError>| {
                outcome.map(|head| head.map(|h| (h.len, format!("{:?}", h.request))))
            };
            let whole = describe(RequestReader::new(limits).read(&bytes));

            let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            ends.sort_unstable();
            ends.push(bytes.len());
            let every: Vec<_> = (0..=bytes.len()).collect();
            for ends in [ends, every] {
                let mut reader = RequestReader::new(limits);
                let mut outcomes = ends.iter().map(|&end| describe(reader.read(&bytes[..end])));
                prop_assert_eq!(&outcomes.find(|o| *o != Ok(None)).unwrap_or(Ok(None)), &whole);
            }
        }

        #[test]
        fn arbitrary_bytes_do_no_harm(bytes: Vec<u8>) {
            let _ = read(&bytes);
        }
    }
}
