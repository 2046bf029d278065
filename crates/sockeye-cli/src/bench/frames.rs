//! Messages that are framed, masked and, if agreed, compressed ahead, so that sending one is a copy.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use sockeye_proto::deflate::{Compressor, Deflate, Parameters, Pool};
use sockeye_proto::{FrameHeader, MAX_HEADER_LEN, Mask, MessageKind, Role};

use super::content::Content;
use crate::error::Failure;

/// A cycle of messages, each ready to be sent.
///
/// RFC 6455 §5.3 wants keys that nobody can predict, so that pages cannot choose what a browser puts on the wire. Here
/// each frame of the cycle has a random key, and is sent many times with it: its sender chose the payload, too.
#[derive(Debug)]
pub(super) struct Frames {
    content: Content,
    payloads: Vec<Bytes>,
    plain: Arc<[Bytes]>,
    /// For each window of the compressor that a server asked for.
    compressed: Mutex<BTreeMap<u8, Arc<[Bytes]>>>,
    options: Deflate,
}

impl Frames {
    /// Memory that the payloads of a cycle may take together, unless two are more.
    const BUDGET: usize = 4 << 20;
    const MOST: usize = 256;

    pub(super) fn new(content: Content, options: Deflate) -> Self {
        let count = (Self::BUDGET / content.size.max(1)).clamp(2, Self::MOST);
        let payloads: Vec<Bytes> = (0..count as u64)
            .map(|number| content.make(number).into())
            .collect();
        let plain = payloads
            .iter()
            .map(|payload| frame(content, payload, false))
            .collect();
        Self {
            content,
            payloads,
            plain,
            compressed: Mutex::default(),
            options,
        }
    }

    pub(super) fn content(&self) -> Content {
        self.content
    }

    /// The payloads, in the order of the frames.
    pub(super) fn payloads(&self) -> &[Bytes] {
        &self.payloads
    }

    /// The frames for a connection on which this was agreed.
    ///
    /// Compressed messages refer to nothing before them. A sender may do so even where it may keep its context
    /// (RFC 7692 §7.1.1.2), so they are the same for all connections with the same window.
    pub(super) fn of(&self, deflate: Option<Parameters>) -> Result<Arc<[Bytes]>, Failure> {
        let Some(parameters) = deflate.filter(|_| self.content.size >= self.options.threshold) else {
            return Ok(Arc::clone(&self.plain));
        };
        let mut cycles = self.compressed.lock().unwrap_or_else(PoisonError::into_inner);
        let window = parameters.window_bits(Role::Client).get();
        if let Some(frames) = cycles.get(&window) {
            return Ok(Arc::clone(frames));
        }
        let frames = self.compress(parameters)?;
        cycles.insert(window, Arc::clone(&frames));
        Ok(frames)
    }

    fn compress(&self, parameters: Parameters) -> Result<Arc<[Bytes]>, Failure> {
        let mut compressor = compressor(parameters, &self.options);
        let mut deflated = Vec::new();
        let mut frames = Vec::with_capacity(self.payloads.len());
        for payload in &self.payloads {
            deflated.clear();
            compressor
                .compress(payload, true, &mut deflated)
                .map_err(|error| Failure::new(format!("cannot compress a message: {error}")))?;
            frames.push(frame(self.content, &deflated, true));
        }
        Ok(frames.into())
    }
}

/// What compresses messages so that they refer to nothing before them.
pub(super) fn compressor(agreed: Parameters, options: &Deflate) -> Compressor {
    let alone = Parameters {
        client_no_context_takeover: true,
        ..agreed
    };
    Compressor::new(Role::Client, alone, options, Arc::new(Pool::default()))
}

/// A whole message in one masked frame.
fn frame(content: Content, payload: &[u8], compressed: bool) -> Bytes {
    let mut bytes = Vec::with_capacity(MAX_HEADER_LEN + payload.len());
    write_frame(content.kind, payload, compressed, &mut bytes);
    bytes.into()
}

/// Appends a whole message in one masked frame.
pub(super) fn write_frame(kind: MessageKind, payload: &[u8], compressed: bool, out: &mut Vec<u8>) {
    let key = masking_key();
    let header = FrameHeader {
        fin: true,
        rsv1: compressed,
        opcode: kind.opcode(),
        mask: Some(key),
        payload_len: payload.len() as u64,
    };
    out.extend_from_slice(&header.to_bytes());
    Mask::new(key).apply_copy(payload, out);
}

/// A key for one frame.
pub(super) fn masking_key() -> [u8; 4] {
    rand::random()
}
