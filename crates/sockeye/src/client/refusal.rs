//! The body of a response that refuses the handshake, or the way through a proxy, as far as it is worth reading.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Response, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::error::Refusal;

/// The most that is kept of a body, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// The longest line that gives the size of a chunk, extensions included, in bytes.
const MAX_CHUNK_LINE: usize = 1024;

/// Reads the body of a response for at most `limit`; `received` is what came of it already.
///
/// However the reading ends, the refusal is told with what came.
pub(super) async fn read<IO: AsyncRead + Unpin>(
    io: &mut IO,
    response: Response<()>,
    received: &[u8],
    limit: Duration,
) -> Box<Refusal> {
    let mut body = Body::of(&response);
    let read_on = async {
        let mut done = body.take(received);
        let mut input = [0; 4096];
        while !done {
            done = match io.read(&mut input).await {
                Ok(0) | Err(_) => true,
                Ok(length) => body.take(&input[..length]),
            };
        }
    };
    // Too late is as good as the end.
    let _ = tokio::time::timeout(limit, read_on).await;
    let (parts, ()) = response.into_parts();
    Box::new(Refusal {
        status: parts.status,
        headers: parts.headers,
        body: Bytes::from(body.collected),
    })
}

/// A body that arrives in pieces.
#[derive(Debug)]
struct Body {
    framing: Framing,
    collected: Vec<u8>,
}

/// Where a body ends (RFC 9112 §6.3).
#[derive(Debug)]
enum Framing {
    /// After this many bytes more.
    Length(u64),
    Chunked(Chunks),
    /// With the connection.
    UntilEnd,
}

impl Body {
    fn of(response: &Response<()>) -> Self {
        Self {
            framing: Framing::of(response),
            collected: Vec::new(),
        }
    }

    /// Takes the next bytes; gives whether the body is complete, or as long as is kept of one.
    fn take(&mut self, input: &[u8]) -> bool {
        let done = match &mut self.framing {
            Framing::UntilEnd => {
                self.collected.extend_from_slice(input);
                false
            }
            Framing::Length(left) => {
                let length = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                self.collected.extend_from_slice(&input[..length]);
                *left -= length as u64;
                *left == 0
            }
            Framing::Chunked(chunks) => chunks.take(input, &mut self.collected),
        };
        self.collected.truncate(MAX_BODY);
        done || self.collected.len() == MAX_BODY
    }
}

impl Framing {
    fn of(response: &Response<()>) -> Self {
        // RFC 9110 §15.3.5, §15.4.5: these have no content, whatever their fields say.
        if matches!(
            response.status(),
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        ) {
            return Self::Length(0);
        }
        let last = |name| response.headers().get_all(name).iter().next_back();
        if let Some(coding) = last(TRANSFER_ENCODING) {
            return if coding.as_bytes().to_ascii_lowercase().ends_with(b"chunked") {
                Self::Chunked(Chunks::default())
            } else {
                Self::UntilEnd
            };
        }
        last(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.trim().parse().ok())
            .map_or(Self::UntilEnd, Self::Length)
    }
}

/// The chunked coding (RFC 9112 §7.1). Trailers are not read: nothing is wanted of the connection behind them.
#[derive(Debug, Default)]
struct Chunks {
    pending: Vec<u8>,
    /// Bytes of the current chunk that are still to come.
    left: u64,
    /// A chunk's data is complete, the line end behind it is not.
    line_end_due: bool,
}

impl Chunks {
    /// Appends the data in `input` to `out`; gives whether the body has ended, or is not what it claims to be.
    fn take(&mut self, input: &[u8], out: &mut Vec<u8>) -> bool {
        self.pending.extend_from_slice(input);
        loop {
            if self.left > 0 {
                let pending = self.pending.len();
                let length = usize::try_from(self.left).map_or(pending, |left| left.min(pending));
                out.extend(self.pending.drain(..length));
                self.left -= length as u64;
                if self.left > 0 {
                    return false;
                }
                self.line_end_due = true;
            }
            if self.line_end_due {
                match self.pending.as_slice() {
                    [b'\r', b'\n', ..] => drop(self.pending.drain(..2)),
                    [] | [b'\r'] => return false,
                    _ => return true,
                }
                self.line_end_due = false;
            }
            match httparse::parse_chunk_size(&self.pending) {
                Ok(httparse::Status::Complete((_, 0))) | Err(_) => return true,
                Ok(httparse::Status::Complete((line, size))) => {
                    self.pending.drain(..line);
                    self.left = size;
                }
                Ok(httparse::Status::Partial) => return self.pending.len() > MAX_CHUNK_LINE,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(fields: &[(&str, &str)]) -> Response<()> {
        let mut response = Response::builder().status(403);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        response.body(()).unwrap()
    }

    /// Feeds `input` in pieces of each size; the result must not depend on it.
    fn decode(fields: &[(&str, &str)], input: &str) -> (String, bool) {
        let outcome = |size| {
            let mut body = Body::of(&response(fields));
            let done = input.as_bytes().chunks(size).any(|piece| body.take(piece)) || body.take(b"");
            (String::from_utf8(body.collected).unwrap(), done)
        };
        let whole = outcome(input.len().max(1));
        for size in 1..input.len() {
            assert_eq!(outcome(size), whole, "{input:?} in pieces of {size}");
        }
        whole
    }

    #[test]
    fn a_body_ends_where_its_framing_says() {
        const CHUNKED: (&str, &str) = ("Transfer-Encoding", "gzip, Chunked");
        const LENGTH: (&str, &str) = ("Content-Length", "3");
        for (fields, input, want, complete) in [
            (&[LENGTH][..], "noway", "now", true),
            (&[LENGTH], "no", "no", false),
            (&[("Content-Length", "0")], "x", "", true),
            (&[("Content-Length", "x")], "no", "no", false),
            (&[], "no", "no", false),
            (&[("Transfer-Encoding", "gzip")], "no", "no", false),
            (&[CHUNKED], "2\r\nno\r\n3;a=b\r\nway\r\n0\r\n\r\n", "noway", true),
            (&[CHUNKED, LENGTH], "A\r\n0123456789\r\n0\r\n", "0123456789", true),
            (&[CHUNKED], "2\r\nno\r\n3\r\nw", "now", false),
            (&[CHUNKED], "2\r\nno", "no", false),
            // Not what it claims to be: the end of the reading, not of the refusal.
            (&[CHUNKED], "2\r\nnoway", "no", true),
            (&[CHUNKED], "no", "", true),
        ] {
            assert_eq!(
                decode(fields, input),
                (want.to_owned(), complete),
                "{fields:?} {input:?}"
            );
        }
    }

    #[test]
    fn a_status_without_content_has_no_body() {
        let response = Response::builder().status(304).header("Content-Length", "9");
        assert!(Body::of(&response.body(()).unwrap()).take(b""));
    }

    #[test]
    fn no_more_than_64_kib_are_kept() {
        for fields in [
            &[][..],
            &[("Content-Length", "99999999999999999999")],
            &[("Content-Length", "1000000")],
        ] {
            let mut body = Body::of(&response(fields));
            assert!(!body.take(&[b'x'; MAX_BODY - 1]));
            assert!(body.take(&[b'x'; 4096]));
            assert_eq!(body.collected.len(), MAX_BODY);
        }
    }

    #[test]
    fn an_endless_chunk_size_ends_the_reading() {
        let mut body = Body::of(&response(&[("Transfer-Encoding", "chunked")]));
        assert!(!body.take(b"1;"));
        assert!((0..MAX_CHUNK_LINE).any(|_| body.take(b"a")));
        assert!(body.collected.is_empty());
    }
}
