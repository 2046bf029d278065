//! Finds the end of an HTTP/1.1 head in bytes that arrive in any pieces, and parses it once.
//!
//! The scanner looks at each byte a single time, wherever the reads cut the head, so a peer that sends one
//! byte at a time costs linear work. It refuses at the first wrong byte what HTTP permits but request
//! smuggling feeds on: a line feed without carriage return, a lone carriage return, a folded line, a control
//! character.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};

/// How large a head may be.
///
/// ```
/// use sockeye_proto::handshake::HeadLimits;
///
/// let limits = HeadLimits { max_bytes: 4096, ..HeadLimits::default() };
/// assert_eq!(limits.max_headers, 100);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HeadLimits {
    /// Bytes of the whole head: start line, fields and the empty line that ends it. For a response, interim
    /// responses before the final one count too.
    ///
    /// Default 16 KiB: twice what common servers allow, so large cookies pass.
    pub max_bytes: usize,
    /// Number of header lines. Default 100.
    pub max_headers: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self {
            max_bytes: 16 * 1024,
            max_headers: 100,
        }
    }
}

/// Why bytes are not an acceptable HTTP/1.1 head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// The start line alone reached [`HeadLimits::max_bytes`].
    #[error("the first line is longer than the limit for the whole head")]
    StartLineTooLong,
    /// The head did not end within [`HeadLimits::max_bytes`].
    #[error("the header fields are larger than the limit")]
    TooLong,
    /// There are more header lines than [`HeadLimits::max_headers`].
    #[error("there are more header fields than the limit")]
    TooManyHeaders,
    /// A line ends in a line feed without a carriage return, or has a carriage return inside.
    ///
    /// RFC 9112 §2.2 lets a recipient accept the bare line feed; recipients that disagree about it can be
    /// played off against each other.
    #[error("a line does not end in CR LF")]
    LineEnding,
    /// A control character, NUL for instance, other than tab.
    #[error("the head has a control character")]
    ControlCharacter,
    /// A header line begins with white space (RFC 9112 §5.2, obsolete line folding).
    #[error("a header field is folded over several lines")]
    FoldedLine,
    /// The start line or a header line does not follow the grammar of HTTP/1.1.
    #[error("the head is not valid HTTP/1.1")]
    Syntax,
    /// The start line names no version of HTTP/1.
    #[error("the HTTP version is not 1.1")]
    Version,
}

/// Where a complete head lies in the bytes received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// First byte of the start line.
    start: usize,
    /// First byte after the head.
    pub(super) end: usize,
    /// Number of header lines.
    headers: usize,
}

/// Looks for the end of a head and resumes where it stopped.
#[derive(Debug, Clone)]
pub(super) struct Scanner {
    limits: HeadLimits,
    /// The next byte to look at.
    position: usize,
    /// First byte of the start line.
    start: usize,
    /// First byte of the line being read.
    line: usize,
    /// Lines complete so far, the start line included.
    lines: usize,
}

impl Scanner {
    pub(super) fn new(limits: HeadLimits) -> Self {
        Self {
            limits,
            position: 0,
            start: 0,
            line: 0,
            lines: 0,
        }
    }

    /// Prepares for another head that follows the one found, in the same buffer and under the same byte
    /// limit.
    pub(super) fn next_head(&mut self) {
        self.start = self.position;
        self.line = self.position;
        self.lines = 0;
    }

    /// Goes on with `received`, which holds what it held at the last call and perhaps more.
    pub(super) fn scan(&mut self, received: &[u8]) -> Result<Option<Span>, HeadError> {
        let visible = received.len().min(self.limits.max_bytes);
        while self.position < visible {
            let at = self.position;
            let after_cr = at > self.line && received[at - 1] == b'\r';
            match received[at] {
                b'\n' if after_cr => {
                    if let Some(span) = self.end_line(at)? {
                        return Ok(Some(span));
                    }
                    continue;
                }
                b'\n' => return Err(HeadError::LineEnding),
                _ if after_cr => return Err(HeadError::LineEnding),
                b' ' | b'\t' if at == self.line && self.lines > 0 => return Err(HeadError::FoldedLine),
                b'\r' | b'\t' => {}
                0..=0x1f | 0x7f => return Err(HeadError::ControlCharacter),
                _ => {}
            }
            self.position += 1;
        }
        if self.position < self.limits.max_bytes {
            Ok(None)
        } else if self.lines == 0 {
            Err(HeadError::StartLineTooLong)
        } else {
            Err(HeadError::TooLong)
        }
    }

    /// Takes note of the line that ends with the line feed at `feed`, and of the whole head if that line is
    /// empty.
    fn end_line(&mut self, feed: usize) -> Result<Option<Span>, HeadError> {
        let empty = feed == self.line + 1;
        if !empty && self.lines > self.limits.max_headers {
            return Err(HeadError::TooManyHeaders);
        }
        self.position = feed + 1;
        self.line = self.position;
        if !empty {
            self.lines += 1;
            Ok(None)
        } else if self.lines == 0 {
            // RFC 9112 §2.2: a server "SHOULD ignore at least one empty line (CRLF) received prior to the
            // request-line".
            self.start = self.position;
            Ok(None)
        } else {
            Ok(Some(Span {
                start: self.start,
                end: self.position,
                headers: self.lines - 1,
            }))
        }
    }
}

/// Parses the request head that lies at `span`.
pub(super) fn parse_request(received: &[u8], span: Span) -> Result<Request<()>, HeadError> {
    let mut fields = vec![httparse::EMPTY_HEADER; span.headers];
    let mut parsed = httparse::Request::new(&mut fields);
    expect_whole(parsed.parse(&received[span.start..span.end]), span)?;

    let mut request = Request::new(());
    let (Some(method), Some(target)) = (parsed.method, parsed.path) else {
        return Err(HeadError::Syntax);
    };
    // RFC 9112 §3.2: no form of request target has a fragment. `Uri` would drop it without a word.
    if target.contains('#') {
        return Err(HeadError::Syntax);
    }
    *request.method_mut() = Method::from_bytes(method.as_bytes()).map_err(|_| HeadError::Syntax)?;
    *request.uri_mut() = Uri::try_from(target).map_err(|_| HeadError::Syntax)?;
    *request.version_mut() = version(parsed.version)?;
    *request.headers_mut() = header_map(parsed.headers)?;
    Ok(request)
}

/// Parses the response head that lies at `span`.
pub(super) fn parse_response(received: &[u8], span: Span) -> Result<Response<()>, HeadError> {
    let mut fields = vec![httparse::EMPTY_HEADER; span.headers];
    let mut parsed = httparse::Response::new(&mut fields);
    expect_whole(parsed.parse(&received[span.start..span.end]), span)?;

    let mut response = Response::new(());
    let code = parsed.code.ok_or(HeadError::Syntax)?;
    *response.status_mut() = StatusCode::from_u16(code).map_err(|_| HeadError::Syntax)?;
    *response.version_mut() = version(parsed.version)?;
    *response.headers_mut() = header_map(parsed.headers)?;
    Ok(response)
}

/// Both parsers must agree on where the head ends.
fn expect_whole(outcome: httparse::Result<usize>, span: Span) -> Result<(), HeadError> {
    match outcome {
        Ok(httparse::Status::Complete(len)) if len == span.end - span.start => Ok(()),
        Err(httparse::Error::Version) => Err(HeadError::Version),
        Ok(_) | Err(_) => Err(HeadError::Syntax),
    }
}

fn version(minor: Option<u8>) -> Result<Version, HeadError> {
    match minor {
        Some(1) => Ok(Version::HTTP_11),
        Some(0) => Ok(Version::HTTP_10),
        _ => Err(HeadError::Version),
    }
}

fn header_map(fields: &[httparse::Header<'_>]) -> Result<HeaderMap, HeadError> {
    let mut map = HeaderMap::try_with_capacity(fields.len()).map_err(|_| HeadError::TooManyHeaders)?;
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| HeadError::Syntax)?;
        let value = HeaderValue::from_bytes(field.value).map_err(|_| HeadError::Syntax)?;
        map.try_append(name, value)
            .map_err(|_| HeadError::TooManyHeaders)?;
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(bytes: &[u8]) -> Result<Option<Span>, HeadError> {
        Scanner::new(HeadLimits::default()).scan(bytes)
    }

    #[test]
    fn a_head_ends_at_the_first_empty_line() {
        for (bytes, want) in [
            ("GET / HTTP/1.1\r\n\r\n", Some((0, 18, 0))),
            ("GET / HTTP/1.1\r\nA: b\r\n\r\nrest\n\0", Some((0, 24, 1))),
            ("\r\n\r\nGET / HTTP/1.1\r\nA:\r\nB:\r\n\r\n", Some((4, 30, 2))),
            ("", None),
            ("\r\n\r\n", None),
            ("GET / HTTP/1.1\r\nA: b\r\n\r", None),
            ("GET / HTTP/1.1\r\nA: b\r\n", None),
        ] {
            let want = want.map(|(start, end, headers)| Span { start, end, headers });
            assert_eq!(scan(bytes.as_bytes()), Ok(want), "{bytes:?}");
        }
    }

    #[test]
    fn a_wrong_byte_fails_before_the_head_is_complete() {
        for (bytes, want) in [
            ("GET / HTTP/1.1\n", HeadError::LineEnding),
            ("\n", HeadError::LineEnding),
            ("GET / HTTP/1.1\r\nA: b\n", HeadError::LineEnding),
            ("GET / HTTP/1.1\r\nA: b\rc", HeadError::LineEnding),
            ("GET / HTTP/1.1\r\r", HeadError::LineEnding),
            ("GET / HTTP/1.1\r\n b", HeadError::FoldedLine),
            ("GET / HTTP/1.1\r\nA: b\r\n\tc", HeadError::FoldedLine),
            ("GET / HTTP/1.1\r\nA: \0", HeadError::ControlCharacter),
            ("GET / HTTP/1.1\r\nA: \x7f", HeadError::ControlCharacter),
            ("\x16\x03\x01", HeadError::ControlCharacter), // TLS on a plain port
        ] {
            assert_eq!(scan(bytes.as_bytes()), Err(want), "{bytes:?}");
        }
    }

    #[test]
    fn an_error_stays_when_more_bytes_come() {
        let mut scanner = Scanner::new(HeadLimits::default());
        assert_eq!(scanner.scan(b"GET /\n"), Err(HeadError::LineEnding));
        assert_eq!(
            scanner.scan(b"GET /\n HTTP/1.1\r\n\r\n"),
            Err(HeadError::LineEnding)
        );
    }

    #[test]
    fn a_shorter_buffer_than_before_is_not_looked_at() {
        let mut scanner = Scanner::new(HeadLimits::default());
        assert_eq!(scanner.scan(b"GET / HTTP/1.1"), Ok(None));
        assert_eq!(scanner.scan(b"GET"), Ok(None));
    }

    #[test]
    fn limits_count_the_last_byte_and_line_in() {
        let head = b"GET / HTTP/1.1\r\nA: b\r\nC: d\r\n\r\n leftover";
        let len = head.len() - 9;
        let with = |max_bytes, max_headers| {
            Scanner::new(HeadLimits {
                max_bytes,
                max_headers,
            })
            .scan(head)
            .map(|s| s.is_some())
        };
        assert_eq!(with(len, 2), Ok(true));
        assert_eq!(with(len - 1, 2), Err(HeadError::TooLong));
        assert_eq!(with(len, 1), Err(HeadError::TooManyHeaders));
        assert_eq!(with(15, 2), Err(HeadError::StartLineTooLong));
        assert_eq!(with(0, 0), Err(HeadError::StartLineTooLong));
    }

    #[test]
    fn a_megabyte_of_header_is_refused_after_the_limit() {
        let mut bytes = b"GET / HTTP/1.1\r\nA: ".to_vec();
        bytes.resize(1 << 20, b'a');
        let mut scanner = Scanner::new(HeadLimits::default());
        assert_eq!(scanner.scan(&bytes), Err(HeadError::TooLong));
        assert_eq!(scanner.position, 16 * 1024);
    }

    #[test]
    fn a_thousand_headers_are_refused_at_the_limit() {
        let mut bytes = b"GET / HTTP/1.1\r\n".to_vec();
        bytes.extend(b"A:\r\n".repeat(1000));
        let mut scanner = Scanner::new(HeadLimits::default());
        assert_eq!(scanner.scan(&bytes), Err(HeadError::TooManyHeaders));
        assert_eq!(scanner.position, 16 + 101 * 4 - 1);
    }

    #[test]
    fn each_byte_is_looked_at_once_when_they_come_one_at_a_time() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let mut scanner = Scanner::new(HeadLimits::default());
        for len in 0..head.len() {
            assert_eq!(scanner.scan(&head[..len]), Ok(None));
            assert_eq!(scanner.position, len);
        }
        assert_eq!(
            scanner.scan(head),
            Ok(Some(Span {
                start: 0,
                end: head.len(),
                headers: 1
            }))
        );
    }

    #[test]
    fn nonsense_lines_are_syntax_errors() {
        for (bytes, want) in [
            ("GET / HTTP/1.1\r\nno colon\r\n\r\n", HeadError::Syntax),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", HeadError::Syntax),
            ("GET / HTTP/1.1\r\n: a\r\n\r\n", HeadError::Syntax),
            ("GET / HTTP/1.1\r\nHöst: a\r\n\r\n", HeadError::Syntax),
            ("GET /#a HTTP/1.1\r\n\r\n", HeadError::Syntax),
            ("GET  / HTTP/1.1\r\n\r\n", HeadError::Syntax),
            ("GET\r\n\r\n", HeadError::Syntax),
            ("G(T / HTTP/1.1\r\n\r\n", HeadError::Syntax),
            ("GET ht!tp://a/ HTTP/1.1\r\n\r\n", HeadError::Syntax),
            ("GET / HTTP/2.0\r\n\r\n", HeadError::Version),
            ("GET / HTTP/1.2\r\n\r\n", HeadError::Version),
            ("GET / HTTQ/1.1\r\n\r\n", HeadError::Version),
        ] {
            let span = scan(bytes.as_bytes()).unwrap().unwrap();
            assert_eq!(
                parse_request(bytes.as_bytes(), span).unwrap_err(),
                want,
                "{bytes:?}"
            );
        }
        for (bytes, want) in [
            ("HTTP/1.1 99 Low\r\n\r\n", HeadError::Syntax),
            ("HTTP/1.1 000 Zero\r\n\r\n", HeadError::Syntax),
            ("HTTP/2 101\r\n\r\n", HeadError::Version),
            ("ICY 200 OK\r\n\r\n", HeadError::Version),
        ] {
            let span = scan(bytes.as_bytes()).unwrap().unwrap();
            assert_eq!(
                parse_response(bytes.as_bytes(), span).unwrap_err(),
                want,
                "{bytes:?}"
            );
        }
    }
}
