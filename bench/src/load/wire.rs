//! The client's side of the protocol (RFC 6455), as little of it as a load needs, and nothing of Sockeye's.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use contract::Compression;

/// RFC 6455 §5.2: the longest header of a frame from a server, which does not mask.
const LONGEST_HEADER: usize = 10;

/// The bit that says of a frame that its message is compressed (RFC 7692 §6).
const RSV1: u8 = 0x40;

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;

/// Appends a masked frame that is a whole message.
pub(super) fn frame(opcode: u8, compressed: bool, key: [u8; 4], payload: &[u8], out: &mut Vec<u8>) {
    out.push(FIN | if compressed { RSV1 } else { 0 } | opcode);
    match payload.len() {
        len @ 0..=125 => out.push(MASKED | len as u8),
        len @ 126..=0xFFFF => {
            out.push(MASKED | 126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            out.push(MASKED | 127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&key);
    out.extend(
        payload
            .iter()
            .zip(key.iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
}

/// The header of a frame from a server.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Header {
    pub(super) opcode: u8,
    pub(super) compressed: bool,
    pub(super) fin: bool,
    pub(super) len: usize,
}

impl Header {
    pub(super) const fn is_control(&self) -> bool {
        self.opcode & 8 != 0
    }
}

/// Gathers the header of a frame, however it is cut.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Head {
    bytes: [u8; LONGEST_HEADER],
    len: usize,
}

impl Head {
    /// Takes what belongs to the header from the front of `bytes`; the header once it is whole.
    pub(super) fn take(&mut self, bytes: &mut &[u8]) -> Result<Option<Header>> {
        while !bytes.is_empty() {
            let missing = self.needed() - self.len;
            let (now, later) = bytes.split_at(missing.min(bytes.len()));
            self.bytes[self.len..self.len + now.len()].copy_from_slice(now);
            self.len += now.len();
            *bytes = later;
            if self.len == self.needed() {
                let header = self.parse()?;
                self.len = 0;
                return Ok(Some(header));
            }
        }
        Ok(None)
    }

    fn needed(&self) -> usize {
        match (self.len, self.bytes[1] & 127) {
            (0..2, _) => 2,
            (_, 126) => 4,
            (_, 127) => 10,
            _ => 2,
        }
    }

    fn parse(&self) -> Result<Header> {
        let [first, second, rest @ ..] = self.bytes;
        ensure!(second & MASKED == 0, "a server must not mask");
        Ok(Header {
            opcode: first & 15,
            compressed: first & RSV1 != 0,
            fin: first & FIN != 0,
            len: match second {
                126 => usize::from(u16::from_be_bytes([rest[0], rest[1]])),
                127 => usize::try_from(u64::from_be_bytes(rest)).context("a frame longer than memory")?,
                len => usize::from(len),
            },
        })
    }
}

/// The request of an opening handshake.
pub(super) fn request(address: SocketAddr, path: &str, compression: Compression) -> String {
    let extension = match compression {
        Compression::Off => "",
        Compression::Shared => {
            "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
        }
        Compression::Dedicated => "Sec-WebSocket-Extensions: permessage-deflate\r\n",
    };
    // Key and answer are those of RFC 6455 §1.3.
    format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{extension}\r\n"
    )
}

/// The longest answer to a handshake that is waited for.
const LONGEST_ANSWER: usize = 4096;

/// Looks at the answer to an opening handshake, as much of it as has come; its length once it is whole.
pub(super) fn answered(answer: &[u8], compression: Compression) -> Result<Option<usize>> {
    let Some(end) = answer.windows(4).position(|end| end == b"\r\n\r\n") else {
        ensure!(
            answer.len() < LONGEST_ANSWER,
            "the answer to the handshake is too long"
        );
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let header = |name: &str| {
        text.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| *key == name)
            .map_or("", |(_, value)| value.trim())
    };
    if !text.starts_with("http/1.1 101 ") || header("sec-websocket-accept") != "s3pplmbitxaq9kygzzhzrbk+xoo="
    {
        bail!("the handshake was refused: {text}");
    }
    let agreed = header("sec-websocket-extensions");
    ensure!(
        agreed.starts_with("permessage-deflate") == (compression != Compression::Off),
        "asked for compression {compression:?}, the server agreed to {agreed:?}"
    );
    if compression == Compression::Shared {
        ensure!(
            agreed.contains("server_no_context_takeover"),
            "the server takes contexts over though asked not to: {agreed:?}"
        );
    }
    Ok(Some(end + 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server would send for what a client sent.
    fn unmasked(frame: &[u8]) -> Vec<u8> {
        let header = match frame[1] & 127 {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        let mut bytes = frame[..header].to_vec();
        bytes[1] &= 127;
        let key = &frame[header..header + 4];
        bytes.extend(
            frame[header + 4..]
                .iter()
                .zip(key.iter().cycle())
                .map(|(byte, key)| byte ^ key),
        );
        bytes
    }

    #[test]
    fn headers_are_read_however_they_are_cut() {
        for len in [0, 20, 125, 126, 65_535, 65_536] {
            let mut sent = Vec::new();
            frame(2, true, [1, 2, 3, 4], &vec![9; len], &mut sent);
            let bytes = unmasked(&sent);
            for cut in [1, 2, 3, 100] {
                let mut head = Head::default();
                let mut header = None;
                let mut taken = 0;
                for piece in bytes.chunks(cut) {
                    let mut rest = piece;
                    header = head.take(&mut rest).unwrap();
                    taken += piece.len() - rest.len();
                    if header.is_some() {
                        break;
                    }
                }
                let header = header.unwrap();
                assert_eq!(
                    (header.len, header.opcode, header.fin, header.compressed),
                    (len, 2, true, true)
                );
                assert_eq!(&bytes[taken..], vec![9; len]);
            }
        }
    }

    #[test]
    fn an_answer_without_the_compression_asked_for_is_refused() {
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nxy";
        assert_eq!(
            answered(answer, Compression::Off).unwrap(),
            Some(answer.len() - 2)
        );
        assert_eq!(answered(&answer[..40], Compression::Off).unwrap(), None);
        assert!(answered(answer, Compression::Shared).is_err());
    }
}
