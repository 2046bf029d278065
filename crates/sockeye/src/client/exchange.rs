//! One HTTP request and the head of its response, over a connected stream.

use std::io;

use http::Response;
use http::header::SET_COOKIE;
use sockeye_proto::handshake::HeadLimits;
use sockeye_proto::handshake::client::ResponseReader;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::error::{ConnectPhase, Error};

/// How much is read at once, in bytes. A response seldom needs more.
const READ_SIZE: usize = 4096;

/// Sends the request and reads up to the end of the response's head. What came behind it is left in `received`.
pub(super) async fn exchange<IO: AsyncRead + AsyncWrite + Unpin>(
    io: &mut IO,
    request: &[u8],
    limits: HeadLimits,
    received: &mut Vec<u8>,
) -> Result<Response<()>, Failure> {
    io.write_all(request).await?;
    io.flush().await?;

    let mut reader = ResponseReader::new(limits);
    loop {
        received.reserve(READ_SIZE);
        if (&mut *io).take(READ_SIZE as u64).read_buf(received).await? == 0 {
            return Err(Failure::Answer(match received.len() {
                0 => "the connection was closed without an answer".to_owned(),
                _ => "the connection was closed in the middle of the answer".to_owned(),
            }));
        }
        match reader.read(received) {
            Ok(Some(mut head)) => {
                received.drain(..head.len);
                // They end up in errors and logs.
                for (name, value) in head.response.headers_mut() {
                    if name == SET_COOKIE {
                        value.set_sensitive(true);
                    }
                }
                return Ok(head.response);
            }
            Ok(None) => {}
            // RFC 8446 §5.1: the record of an alert. It is what somebody who waits for TLS says to plain text.
            Err(_) if received.starts_with(&[21, 3]) => return Err(Failure::Tls),
            Err(error) => return Err(Failure::Answer(error.to_string())),
        }
    }
}

/// Why there is no proper answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// What is wrong with it.
    Answer(String),
    /// TLS is spoken at the other end.
    Tls,
    Lost(io::Error),
}

impl Failure {
    /// The error of a phase that has to do with `host`; `message` says what failed, given how.
    #[cfg_attr(not(feature = "tls"), expect(unused_variables))]
    pub(super) fn error(self, phase: ConnectPhase, host: &str, message: impl Fn(&str) -> String) -> Error {
        match self {
            Self::Answer(how) => Error::connecting(phase, message(&how)),
            Self::Tls if phase == ConnectPhase::Proxy => {
                Error::connecting(phase, message("it speaks TLS; try https://"))
            }
            Self::Tls => Error::connecting(phase, message("the server speaks TLS; try wss://")),
            #[cfg(feature = "tls")]
            Self::Lost(error) if super::tls::is_tls(&error) => super::tls::failed(host, error),
            Self::Lost(error) => Error::connecting_by(phase, message("the connection was lost"), error),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Lost(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn cookies_of_an_answer_are_not_printed() {
        let (mut near, mut far) = tokio::io::duplex(1024);
        let answer = b"HTTP/1.1 403 No\r\nSet-Cookie: a=secret\r\nX: shown\r\nSet-Cookie: b=secret\r\n\r\n";
        far.write_all(answer).await.unwrap();
        let limits = HeadLimits::default();
        let response = exchange(&mut near, b"", limits, &mut Vec::new()).await.unwrap();
        let printed = format!("{response:?}");
        assert!(
            printed.contains("shown") && !printed.contains("secret"),
            "{printed}"
        );
        assert_eq!(response.headers().get_all(SET_COOKIE).iter().count(), 2);
    }
}
