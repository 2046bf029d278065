//! Writes the hand-made part of the corpora: small inputs that reach far into each target, for the fuzzer to vary.

use std::path::Path;
use std::{fs, io};

use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Strategy};

fn main() -> io::Result<()> {
    requests()?;
    responses()?;
    frames()?;
    compressed()?;
    inflated()?;
    compress()?;
    operations()
}

fn write(target: &str, name: &str, input: &[u8]) -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), input)
}

fn requests() -> io::Result<()> {
    let required = "Host: example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
    let full = "Origin: https://example.org\r\nSec-WebSocket-Protocol: chat, superchat\r\n\
        Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits; server_max_window_bits=10\r\n";
    for (name, request) in [
        ("plain", format!("GET /chat HTTP/1.1\r\n{required}\r\n")),
        (
            "full",
            format!("GET /a?b=c HTTP/1.1\r\n{required}{full}\r\n\u{1}\u{2}"),
        ),
        (
            "absolute",
            format!("\r\nGET ws://[::1]:81/ HTTP/1.1\r\n{required}\r\n"),
        ),
        ("page", "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n".to_owned()),
        (
            "post",
            format!("POST / HTTP/1.0\r\n{required}Content-Length: 3\r\n\r\nabc"),
        ),
        (
            "extensions",
            "permessage-deflate; server_max_window_bits=\"9\", x-other;a=1;b, permessage-deflate".to_owned(),
        ),
    ] {
        write("server_handshake", name, request.as_bytes())?;
    }
    Ok(())
}

fn responses() -> io::Result<()> {
    let required = "Upgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    let full = "Sec-WebSocket-Protocol: chat\r\n\
        Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
        client_max_window_bits=10\r\n";
    for (name, response) in [
        (
            "plain",
            format!("HTTP/1.1 101 Switching Protocols\r\n{required}\r\n"),
        ),
        ("full", format!("HTTP/1.1 101\r\n{required}{full}\r\n\u{1}")),
        (
            "interim",
            format!("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 101 OK\r\n{required}\r\n"),
        ),
        (
            "found",
            "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n".to_owned(),
        ),
        ("url", "wss://user:pass@[2001:db8::1]:8443/a%20b?c=d".to_owned()),
    ] {
        write("client_handshake", name, response.as_bytes())?;
    }
    Ok(())
}

/// Setups in front of a stream: compression, delivery, limits, and the size of the pieces.
const SETUPS: [(&str, &[u8]); 4] = [
    ("messages", &[0, 0, 0, 0]),
    ("deflate", &[1, 1, 0, 0, 2]),
    ("chunks", &[1, 0, 1, 1, 0]),
    ("frames", &[1, 1, 2, 0, 4]),
];

/// The first byte of a frame, and its payload.
type Frame<'a> = (u8, &'a [u8]);

fn frames() -> io::Result<()> {
    let streams: [(&str, &[Frame<'_>]); 7] = [
        ("text", &[(0x81, b"Hello"), (0x82, &[0xFF; 130])]),
        (
            "fragments",
            &[
                (0x01, b"\xE9"),
                (0x89, b"ping"),
                (0x00, b"\xAE\xAD"),
                (0x80, b""),
                (0x8A, b""),
            ],
        ),
        ("close", &[(0x82, b""), (0x88, b"\x03\xE8bye"), (0x81, b"after")]),
        ("invalid", &[(0x81, b"ok \xFF")]),
        // Neither UTF-8 nor whole.
        ("truncated", &[(0xC1, b"\xf2\xdb\x1c\x7a\xa4\xb5\x7b")]),
        (
            "compressed",
            &[
                (0xC1, b"\xf2\x48\xcd\xc9\xc9\x07\x00"),
                (0x41, b"\xf2\x00\x11"),
                (0x80, b"\x00\x00"),
            ],
        ),
        (
            "final_block",
            &[(0xC1, b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), (0xC2, b"")],
        ),
    ];
    for (setup, head) in SETUPS {
        for (name, frames) in streams {
            for (target, key) in [
                ("frames_server", Some([0x37, 0xFA, 0x21, 0x3D])),
                ("frames_client", None),
            ] {
                let mut input = head.to_vec();
                for (first, payload) in frames {
                    input.extend(frame(*first, payload, key));
                }
                write(target, &format!("{name}_{setup}"), &input)?;
            }
        }
    }
    Ok(())
}

fn frame(first: u8, payload: &[u8], key: Option<[u8; 4]>) -> Vec<u8> {
    let mask = if key.is_some() { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..=125 => bytes.push(mask | length as u8),
        length => bytes.extend([mask | 126, (length >> 8) as u8, length as u8]),
    }
    bytes.extend(key.iter().flatten());
    let key = key.unwrap_or_default();
    bytes.extend(
        payload
            .iter()
            .zip(key.iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
    bytes
}

fn compressed() -> io::Result<()> {
    // Takeover, window, level, memory, pieces, room, whether to compress, fragments; then messages.
    let text = b"to and fro and to and fro and to and fro";
    for (name, setup) in [
        ("compress", [1, 7, 6, 8, 3, 10, 0, 1, 255, 0]),
        ("compress_small", [1, 0, 9, 0, 0, 0, 0, 1, 4, 0]),
        ("inflate", [1, 7, 6, 8, 3, 10, 0, 0, 0, 0]),
        ("inflate_reset", [0, 7, 6, 8, 200, 0, 64, 0, 0, 0]),
    ] {
        let messages: [&[u8]; 4] = if setup[7] == 1 {
            [text, b"", text, b"x"]
        } else {
            [
                b"\xf2\x48\xcd\xc9\xc9\x07\x00",
                b"\xf2\x00\x11\x00\x00",
                b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
                b"\x00",
            ]
        };
        let mut input = setup.to_vec();
        for message in messages {
            input.extend((message.len() as u16).to_le_bytes());
            input.extend_from_slice(message);
        }
        write("deflate", name, &input)?;
    }
    Ok(())
}

/// Payloads of every kind of block.
fn inflated() -> io::Result<()> {
    let text =
        b"to and fro, from here to there, and to and fro again, as far as it takes to get there".repeat(5);
    for (name, level, strategy) in [
        ("dynamic", 6, Strategy::Default),
        ("literals", 6, Strategy::HuffmanOnly),
        ("fixed", 6, Strategy::Fixed),
        ("stored", 0, Strategy::Default),
    ] {
        let config = DeflateConfig {
            level,
            window_bits: -15,
            strategy,
            ..DeflateConfig::default()
        };
        let mut deflate = Deflate::new_with_config(config);
        let mut output = [0; 1000];
        deflate
            .compress(&text, &mut output, DeflateFlush::SyncFlush)
            .map_err(|_| io::ErrorKind::InvalidData)?;
        let payload = &output[..deflate.total_out() as usize - 4];
        for setup in [[1, 255, 255], [0, 3, 1]] {
            let input = [&setup[..], payload].concat();
            write("inflate", &format!("{name}_{}", setup[0]), &input)?;
        }
    }
    let final_block = b"\x01\xff\xff\xf3\x48\xcd\xc9\xc9\x07\x00\xf3\x48\xcd\xc9\xc9\x07\x00";
    write("inflate", "final", final_block)
}

/// Long messages, of a few parts each.
fn compress() -> io::Result<()> {
    // Parts: their kind, and what it takes.
    let text = b"\x00\x21to and fro and to and fro, and on";
    let noise = b"\x01\x07\x00\x00\x00\xff\x3f";
    let again = b"\x02\x00\x02\xff\x7f";
    for (name, parts) in [
        ("text", [&text[..], again, text]),
        ("noise", [noise, noise, again]),
        ("mixed", [text, noise, again]),
    ] {
        for window in [0, 7] {
            for takeover in [0, 1] {
                // Level, memory level, and the size of fragments.
                let mut input = vec![window, 0, 7, takeover, 0xff, 0x0f];
                input.extend(parts.concat());
                write("compress", &format!("{name}_{window}_{takeover}"), &input)?;
            }
        }
    }
    Ok(())
}

/// Operations are not made by hand: which bytes stand for which is up to the derived code. Bytes without any pattern
/// make some of each.
fn operations() -> io::Result<()> {
    for seed in 0..8_u32 {
        let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
        let bytes = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 24) as u8
        });
        let input: Vec<u8> = bytes.take(400).collect();
        write("pair", &format!("mixed_{seed}"), &input)?;
    }
    Ok(())
}
