//! Reads a response head from bytes that arrive in any pieces.

use http::{Response, StatusCode};

use crate::handshake::head::{self, HeadError, HeadLimits, Scanner};

/// Finds and parses the head of the final response, past interim ones.
///
/// The caller keeps the bytes: it appends what it receives to a buffer and shows the whole buffer to
/// [`read`](Self::read) each time. Looking again costs nothing, the reader goes on where it stopped.
///
/// ```
/// use sockeye_proto::handshake::{HeadLimits, client::ResponseReader};
///
/// let received = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno";
/// let head = ResponseReader::new(HeadLimits::default()).read(received)?.unwrap();
/// assert_eq!(head.response.status(), 401);
/// assert_eq!(&received[head.len..], b"no"); // the body begins here
/// # Ok::<(), sockeye_proto::handshake::HeadError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ResponseReader {
    scanner: Scanner,
}

impl ResponseReader {
    /// A reader for a response that begins with the first byte of the buffer.
    pub fn new(limits: HeadLimits) -> Self {
        Self {
            scanner: Scanner::new(limits),
        }
    }

    /// Looks at what was received so far. `None` asks for more bytes.
    ///
    /// `received` must begin with the same bytes on every call. After a result the reader has done its work.
    /// Interim responses (1xx other than 101) are skipped; they count towards the limit for bytes.
    ///
    /// # Errors
    ///
    /// [`HeadError`] as soon as the bytes cannot become an acceptable head or exceed a limit.
    pub fn read(&mut self, received: &[u8]) -> Result<Option<ResponseHead>, HeadError> {
        while let Some(span) = self.scanner.scan(received)? {
            let response = head::parse_response(received, span)?;
            let status = response.status();
            if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
                return Ok(Some(ResponseHead {
                    response,
                    len: span.end,
                }));
            }
            self.scanner.next_head();
        }
        Ok(None)
    }
}

/// A response head and where it ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct ResponseHead {
    /// Status, version and header fields.
    pub response: Response<()>,
    /// How many of the received bytes it took, interim responses included. After a 101 frames follow, after
    /// other statuses the body.
    pub len: usize,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> Result<Option<ResponseHead>, HeadError> {
        ResponseReader::new(HeadLimits::default()).read(bytes)
    }

    #[test]
    fn interim_responses_are_skipped() {
        let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n\
            HTTP/1.1 101 OK\r\nA: b\r\n\r\n\x81\x00";
        let head = read(bytes).unwrap().unwrap();
        assert_eq!(head.response.status(), 101);
        assert_eq!(head.response.headers().len(), 1);
        assert_eq!(&bytes[head.len..], b"\x81\x00");
        assert!(read(&bytes[..30]).unwrap().is_none());
    }

    #[test]
    fn endless_interim_responses_reach_the_limit() {
        let bytes = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(1000);
        assert!(matches!(
            read(&bytes),
            Err(HeadError::TooLong | HeadError::StartLineTooLong)
        ));
    }

    #[test]
    fn a_reason_phrase_may_be_missing_or_odd() {
        for line in [
            "HTTP/1.1 101\r\n\r\n",
            "HTTP/1.1 101 \r\n\r\n",
            "HTTP/1.1 101 W\u{e9}b S\r\n\r\n",
        ] {
            assert_eq!(
                read(line.as_bytes()).unwrap().unwrap().response.status(),
                101,
                "{line:?}"
            );
        }
    }

    #[test]
    fn bare_line_feeds_and_folds_are_refused() {
        assert_eq!(
            read(b"HTTP/1.1 101 OK\nA: b\n\n").unwrap_err(),
            HeadError::LineEnding
        );
        assert_eq!(
            read(b"HTTP/1.1 101 OK\r\nA: b\r\n c\r\n\r\n").unwrap_err(),
            HeadError::FoldedLine
        );
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_result(
            pieces in prop::collection::vec(prop::sample::select(vec![
                "HTTP/1.1 101 Switching Protocols\r\n", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.0 404\r\n",
                "Upgrade: websocket\r\n", "A: \u{e9}\r\n", "\r\n", "\r\n\r\n", "\n", "\r", " ", "\0", "a:",
            ]), 0..10),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
            max_bytes in prop_oneof![Just(16 * 1024), 0..120usize],
            max_headers in 0..5usize,
        ) {
            let bytes = pieces.concat().into_bytes();
            let limits = HeadLimits { max_bytes, max_headers };
            let describe = |outcome: Result<Option<ResponseHead>, HeadError>| {
                outcome.map(|head| head.map(|h| (h.len, format!("{:?}", h.response))))
            };
            let whole = describe(ResponseReader::new(limits).read(&bytes));

            let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            ends.sort_unstable();
            ends.push(bytes.len());
            let every: Vec<_> = (0..=bytes.len()).collect();
            for ends in [ends, every] {
                let mut reader = ResponseReader::new(limits);
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
