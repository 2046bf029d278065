//! The decompressor on any bytes, and the compressors' output through the decompressor.

use std::sync::Arc;

use arbitrary::{Arbitrary, Unstructured};
use sockeye_proto::Role;
use sockeye_proto::deflate::{
    Compressor, Decompressor, Deflate, DeflateError, Level, MemLevel, Parameters, Pool, WindowBits,
};
use zlib_rs::{Inflate, InflateFlush};

/// Inflated messages beyond this are cut off: a bomb is for the caller to stop.
pub(crate) const MAX_INFLATED: usize = 1 << 18;

#[derive(Arbitrary, Debug)]
struct Setup {
    takeover: bool,
    window_bits: u8,
    level: u8,
    mem_level: u8,
    piece: u8,
    room: u16,
    /// Compress the messages first, rather than take them for compressed.
    compress: bool,
    fragment: u16,
}

/// Input: a setup, then messages, each with its length in front.
pub fn deflate(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(setup) = Setup::arbitrary(&mut input) else {
        return;
    };
    let bits = WindowBits::new(8 + setup.window_bits % 8).expect("from 8 to 15");
    let parameters = Parameters {
        server_no_context_takeover: !setup.takeover,
        client_no_context_takeover: !setup.takeover,
        server_max_window_bits: bits,
        client_max_window_bits: bits,
    };
    let options = Deflate {
        level: Level::new(setup.level % 10).expect("from 0 to 9"),
        mem_level: MemLevel::new(1 + setup.mem_level % 9).expect("from 1 to 9"),
        ..Deflate::default()
    };
    let pool = Arc::new(Pool::new(2));
    let decompressor = || Decompressor::new(Role::Server, parameters, Arc::clone(&pool));
    let mut compressor = Compressor::new(Role::Client, parameters, &options, Arc::clone(&pool));
    let (mut whole, mut pieces) = (decompressor(), decompressor());
    while !input.is_empty() {
        let length = usize::from(input.arbitrary::<u16>().unwrap_or_default()).min(input.len());
        let message = input.bytes(length).unwrap_or_default();
        let mut payload = message.to_vec();
        if setup.compress {
            payload = in_fragments(&mut compressor, message, usize::from(setup.fragment) + 1);
        }
        let inflated = inflate(&mut whole, &payload, payload.len().max(1), 64 * 1024);
        let again = inflate(
            &mut pieces,
            &payload,
            usize::from(setup.piece) + 1,
            usize::from(setup.room) + 1,
        );
        assert_eq!(inflated, again, "pieces make a difference");
        match inflated {
            Ok(Some(inflated)) if setup.compress => assert_eq!(inflated, message),
            Ok(Some(_)) => {}
            other => {
                assert!(!setup.compress, "{other:?}");
                return;
            }
        }
    }
}

fn in_fragments(compressor: &mut Compressor, message: &[u8], fragment: usize) -> Vec<u8> {
    let mut payload = Vec::new();
    let mut fragments = message.chunks(fragment).peekable();
    while let Some(fragment) = fragments.next() {
        let fin = fragments.peek().is_none();
        compressor
            .compress(fragment, fin, &mut payload)
            .expect("compression does not fail");
    }
    if message.is_empty() {
        compressor
            .compress(message, true, &mut payload)
            .expect("compression does not fail");
    }
    payload
}

/// A message, `None` if it is too long.
pub(crate) fn inflate(
    decompressor: &mut Decompressor,
    payload: &[u8],
    piece: usize,
    room: usize,
) -> Result<Option<Vec<u8>>, DeflateError> {
    inflate_up_to(MAX_INFLATED, decompressor, payload, piece, room)
}

fn inflate_up_to(
    limit: usize,
    decompressor: &mut Decompressor,
    payload: &[u8],
    piece: usize,
    room: usize,
) -> Result<Option<Vec<u8>>, DeflateError> {
    let mut message = Vec::new();
    let mut output = vec![0; room];
    for mut piece in payload.chunks(piece) {
        while !piece.is_empty() {
            let step = decompressor.inflate(piece, &mut output)?;
            assert!(
                step.consumed == piece.len() || step.produced == room,
                "stopped early: {step:?}"
            );
            piece = &piece[step.consumed..];
            message.extend_from_slice(&output[..step.produced]);
            if message.len() > limit {
                return Ok(None);
            }
        }
    }
    loop {
        let step = decompressor.finish(&mut output)?;
        assert!(step.done || step.produced == room, "stopped early: {step:?}");
        message.extend_from_slice(&output[..step.produced]);
        if message.len() > limit {
            return Ok(None);
        }
        if step.done {
            return Ok(Some(message));
        }
    }
}

/// When this much was sent, there is no more.
const MAX_SENT: usize = 1 << 17;

#[derive(Arbitrary, Debug)]
struct Sender {
    window_bits: u8,
    level: u8,
    mem_level: u8,
    takeover: bool,
    fragment: u16,
}

/// Input: a sender that compresses by itself, then the parts of what is sent, of which few bytes make many: blocks would
/// not end otherwise.
///
/// With takeover each part is a message, which may be what others were. Without, each part makes one message longer, and it is
/// compressed as if it were the first one. zlib inflates them, with exactly the window.
pub fn compress(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(sender) = Sender::arbitrary(&mut input) else {
        return;
    };
    let window = WindowBits::new(8 + sender.window_bits % 8).expect("from 8 to 15");
    let parameters = Parameters {
        server_no_context_takeover: !sender.takeover,
        client_no_context_takeover: !sender.takeover,
        server_max_window_bits: window,
        client_max_window_bits: window,
    };
    let options = Deflate {
        level: Level::new(2 + sender.level % 4).expect("from 2 to 5"),
        mem_level: MemLevel::new(1 + sender.mem_level % 9).expect("from 1 to 9"),
        ..Deflate::default()
    };
    let fragment = usize::from(sender.fragment) + 1;
    let pool = Arc::new(Pool::new(1));
    let new = |pool| Compressor::new(Role::Client, parameters, &options, pool);
    let mut compressor = new(Arc::clone(&pool));
    let mut twin = new(Arc::default());
    let mut zlib = Inflate::new(false, window.get());
    let mut sent = Vec::new();
    loop {
        let start = if sender.takeover { sent.len() } else { 0 };
        if add_part(&mut input, &mut sent).is_err() {
            return;
        }
        let message = &sent[start..];
        let mut payload = in_fragments(&mut compressor, message, fragment);
        // Another one borrows from the pool what this one did.
        in_fragments(
            &mut new(Arc::clone(&pool)),
            b"between messages of another",
            usize::MAX,
        );
        if !sender.takeover {
            twin = new(Arc::default());
            zlib.reset(false);
        }
        assert!(
            payload == in_fragments(&mut twin, message, fragment),
            "it depends on others"
        );
        let fragments = message.len() / fragment + 1;
        assert!(payload.len() <= message.len() + 5 * (message.len() / 16384) + 11 * fragments);
        payload.extend([0x00, 0x00, 0xFF, 0xFF]);
        assert!(by_zlib(&mut zlib, &payload) == message, "another message");
        if input.is_empty() || sent.len() >= MAX_SENT {
            return;
        }
    }
}

/// Inflates a few bytes at a time, so that what is referred to has to be in zlib's window.
fn by_zlib(zlib: &mut Inflate, mut payload: &[u8]) -> Vec<u8> {
    let (mut message, mut room) = (Vec::new(), [0; 128]);
    loop {
        let (consumed, produced) = (zlib.total_in(), zlib.total_out());
        zlib.decompress(payload, &mut room, InflateFlush::SyncFlush)
            .expect("what zlib takes");
        payload = &payload[(zlib.total_in() - consumed) as usize..];
        let produced = (zlib.total_out() - produced) as usize;
        message.extend_from_slice(&room[..produced]);
        if produced < room.len() && payload.is_empty() {
            return message;
        }
    }
}

/// Appends bytes of the input, noise, or what the message had before.
fn add_part(input: &mut Unstructured<'_>, message: &mut Vec<u8>) -> arbitrary::Result<()> {
    match input.arbitrary::<u8>()? % 3 {
        0 => {
            let length = usize::from(input.arbitrary::<u8>()?).min(input.len());
            message.extend_from_slice(input.bytes(length)?);
        }
        1 => {
            let (mut seed, length) = input.arbitrary::<(u32, u16)>()?;
            message.extend((0..length).map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 24) as u8
            }));
        }
        _ => {
            let (distance, length) = input.arbitrary::<(u16, u16)>()?;
            let from = message.len().saturating_sub(distance.into());
            for at in from..from + usize::from(length) {
                message.push(message.get(at).copied().unwrap_or_default());
            }
        }
    }
    Ok(())
}
