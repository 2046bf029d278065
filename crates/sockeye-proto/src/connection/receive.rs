//! From bytes to messages: frames are unmasked, checked, inflated and put together.
//!
//! A data frame that lies whole in the input is lent from there. Anything else is consumed as it arrives and
//! gathered in buffers of the [`Workspace`], which grow with the bytes that came and never with a declared length.

use std::ops::Range;
use std::time::Instant;

use super::rate::ControlRate;
use crate::config::{Config, Delivery};
use crate::deflate::Decompressor;
use crate::error::{Error, Limit, ProtocolError};
use crate::frame::{FrameHeader, MAX_HEADER_LEN, Opcode};
use crate::mask::Mask;
use crate::message::MessageKind;
use crate::utf8::Utf8Validator;

/// How much is inflated at a time, in bytes: the unit in which size limits are checked.
const INFLATE_STEP: usize = 16 * 1024;

/// A buffer that grew beyond this, in bytes, is given back to the allocator rather than kept for the next message.
const KEEP_CAPACITY: usize = 64 * 1024;

/// Buffers for messages that cannot be lent from the input: those that span reads or fragments, or are compressed.
///
/// One workspace serves any number of connections that take turns, so that an idle connection owns no buffer.
/// What an event lends from it is valid until the next call that takes it.
#[derive(Debug, Default)]
pub struct Workspace {
    pub(super) text: String,
    pub(super) binary: Vec<u8>,
    pub(super) control: Vec<u8>,
    /// [`INFLATE_STEP`] bytes, made on first use.
    pub(super) inflated: Vec<u8>,
}

impl Workspace {
    /// An empty workspace: allocates nothing until it is needed.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            text: String::new(),
            binary: Vec::new(),
            control: Vec::new(),
            inflated: Vec::new(),
        }
    }

    fn inflated(&mut self) -> &mut [u8] {
        if self.inflated.is_empty() {
            self.inflated.resize(INFLATE_STEP, 0);
        }
        &mut self.inflated
    }
}

/// Where the payload of an event lies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Place {
    Input(Range<usize>),
    /// The workspace's buffer for this kind of event.
    Workspace,
}

/// An event whose payload has not been borrowed yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Lent {
    Message {
        kind: MessageKind,
        place: Place,
    },
    Chunk {
        kind: MessageKind,
        place: ChunkPlace,
        starts_message: bool,
        ends_frame: bool,
        ends_message: bool,
    },
    Control {
        opcode: Opcode,
        place: Place,
    },
}

/// Where the payload of a chunk lies: the input, or the first bytes of the inflated ones.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum ChunkPlace {
    Input(Range<usize>),
    Inflated(usize),
}

/// The receiving half of a connection.
#[derive(Debug)]
pub(super) struct Receiver {
    decompressor: Option<Decompressor>,
    header: PartialHeader,
    phase: Phase,
    message: Option<Incoming>,
    /// The payload, so far, of a control frame that spans reads.
    control: Vec<u8>,
    control_rate: ControlRate,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Header,
    Payload(Frame),
    /// Streaming a compressed message whose last frame is consumed but not yet inflated to the end.
    Inflating(MessageKind),
}

/// The frame whose payload is being read.
#[derive(Clone, Copy, Debug)]
struct Frame {
    opcode: Opcode,
    fin: bool,
    mask: Option<Mask>,
    remaining: u64,
}

/// The data message in progress.
#[derive(Debug)]
struct Incoming {
    kind: MessageKind,
    compressed: bool,
    fragments: u32,
    /// Bytes of payload on the wire, by the headers so far.
    wire_size: u64,
    /// Bytes after inflation.
    size: u64,
    /// Whether no chunk was handed out yet.
    fresh: bool,
    utf8: Utf8Validator,
    body: Body,
}

/// What a message in progress has been assembled to.
#[derive(Debug)]
enum Body {
    Text(String),
    Binary(Vec<u8>),
}

impl Receiver {
    pub(super) fn new(decompressor: Option<Decompressor>, now: Instant) -> Self {
        Self {
            decompressor,
            header: PartialHeader::default(),
            phase: Phase::Header,
            message: None,
            control: Vec::new(),
            control_rate: ControlRate::new(now),
        }
    }

    /// Whether a header, a frame or a message has begun and not ended.
    pub(super) fn is_midway(&self) -> bool {
        self.message.is_some() || self.header.len > 0 || !matches!(self.phase, Phase::Header)
    }

    /// Gives back the memory of whatever was in progress.
    pub(super) fn discard(&mut self) {
        self.decompressor = None;
        self.message = None;
        self.control = Vec::new();
        self.header.len = 0;
        self.phase = Phase::Header;
    }

    /// Consumes `input` up to the end of the first event in it; gives how many bytes that took.
    pub(super) fn advance(
        &mut self,
        input: &mut [u8],
        workspace: &mut Workspace,
        rules: Rules<'_>,
    ) -> Result<(usize, Option<Lent>), Error> {
        let mut at = 0;
        loop {
            match self.phase {
                Phase::Header => {
                    let (used, header) = self.header.read(&input[at..])?;
                    at += used;
                    let Some(header) = header else {
                        return Ok((at, None));
                    };
                    let frame = self.begin(&header, rules)?;
                    self.phase = Phase::Payload(frame);
                }
                Phase::Payload(mut frame) => {
                    let available = frame.remaining.min((input.len() - at) as u64) as usize;
                    if available == 0 && frame.remaining > 0 {
                        return Ok((at, None));
                    }
                    let payload = at..at + available;
                    let (used, lent) = if frame.opcode.is_control() {
                        self.control_payload(&mut frame, input, payload, workspace)
                    } else {
                        match rules.config.delivery {
                            Delivery::Messages => {
                                self.assemble(&mut frame, input, payload, workspace, rules)?
                            }
                            Delivery::Chunks => self.stream(&mut frame, input, payload, workspace, rules)?,
                        }
                    };
                    at += used;
                    // `stream` may have moved on to inflating what is left.
                    if let Phase::Payload(_) = self.phase {
                        self.phase = if frame.remaining == 0 {
                            Phase::Header
                        } else {
                            Phase::Payload(frame)
                        };
                    }
                    if lent.is_some() {
                        return Ok((at, lent));
                    }
                }
                Phase::Inflating(kind) => return Ok((at, Some(self.stream_rest(kind, workspace, rules)?))),
            }
        }
    }

    /// Checks a frame against the rules that depend on the state of the connection.
    fn begin(&mut self, header: &FrameHeader, rules: Rules<'_>) -> Result<Frame, Error> {
        // RFC 6455 §5.1: a server MUST close on an unmasked frame, a client on a masked one.
        match (header.mask, rules.expects_mask) {
            (None, true) => return Err(ProtocolError::MaskMissing.into()),
            (Some(_), false) => return Err(ProtocolError::MaskUnexpected.into()),
            _ => {}
        }
        if header.opcode.is_control() {
            // RFC 7692 §6: the bit of permessage-deflate has no meaning on control frames.
            if header.rsv1 {
                return Err(ProtocolError::ReservedBits.into());
            }
            self.control_rate
                .count(rules.config.max_control_rate, rules.now)?;
        } else {
            self.begin_data(header, rules.config)?;
        }
        Ok(Frame {
            opcode: header.opcode,
            fin: header.fin,
            mask: header.mask.map(Mask::new),
            remaining: header.payload_len,
        })
    }

    fn begin_data(&mut self, header: &FrameHeader, config: &Config) -> Result<(), Error> {
        let message = match (header.opcode, &mut self.message) {
            (Opcode::Continuation, None) => return Err(ProtocolError::OrphanContinuation.into()),
            (Opcode::Continuation, Some(message)) => {
                // RFC 7692 §6.1: the bit marks the message, so only its first frame may carry it.
                if header.rsv1 {
                    return Err(ProtocolError::ReservedBits.into());
                }
                message
            }
            (_, Some(_)) => return Err(ProtocolError::InterleavedMessage.into()),
            (opcode, vacant) => {
                if header.rsv1 && self.decompressor.is_none() {
                    return Err(ProtocolError::ReservedBits.into());
                }
                let kind = if opcode == Opcode::Text {
                    MessageKind::Text
                } else {
                    MessageKind::Binary
                };
                vacant.insert(Incoming::new(kind, header.rsv1))
            }
        };
        if header.payload_len > config.max_frame_size {
            return Err(Limit::FrameSize(config.max_frame_size).into());
        }
        message.wire_size = message.wire_size.saturating_add(header.payload_len);
        if message.wire_size > message.max_wire_size(config.max_message_size) {
            return Err(Limit::MessageSize(config.max_message_size).into());
        }
        message.fragments += 1;
        if message.fragments > config.max_fragments {
            return Err(Limit::Fragments(config.max_fragments).into());
        }
        Ok(())
    }

    fn control_payload(
        &mut self,
        frame: &mut Frame,
        input: &mut [u8],
        payload: Range<usize>,
        workspace: &mut Workspace,
    ) -> (usize, Option<Lent>) {
        let used = payload.len();
        frame.take(&mut input[payload.clone()]);
        let opcode = frame.opcode;
        if frame.remaining == 0 && self.control.is_empty() {
            return (
                used,
                Some(Lent::Control {
                    opcode,
                    place: Place::Input(payload),
                }),
            );
        }
        self.control.extend_from_slice(&input[payload]);
        if frame.remaining > 0 {
            return (used, None);
        }
        workspace.control = std::mem::take(&mut self.control);
        (
            used,
            Some(Lent::Control {
                opcode,
                place: Place::Workspace,
            }),
        )
    }

    /// Adds payload to the message in progress; lends the message when it is whole.
    fn assemble(
        &mut self,
        frame: &mut Frame,
        input: &mut [u8],
        payload: Range<usize>,
        workspace: &mut Workspace,
        rules: Rules<'_>,
    ) -> Result<(usize, Option<Lent>), Error> {
        let used = payload.len();
        frame.take(&mut input[payload.clone()]);
        let ends = frame.fin && frame.remaining == 0;
        let Some(message) = &mut self.message else {
            return Ok((used, None));
        };
        let kind = message.kind;
        if ends && !message.compressed && message.size == 0 && message.fragments == 1 {
            self.message = None;
            return Ok((
                used,
                Some(Lent::Message {
                    kind,
                    place: Place::Input(payload),
                }),
            ));
        }
        message.reuse(workspace);
        match &mut self.decompressor {
            Some(decompressor) if message.compressed => {
                let mut rest = &input[payload];
                let step = workspace.inflated();
                while !rest.is_empty() {
                    let (consumed, produced) = inflate(decompressor, rest, step)?;
                    rest = &rest[consumed..];
                    message.push(&step[..produced], rules.config)?;
                }
                let mut done = !ends;
                while !done {
                    let produced;
                    (produced, done) = finish(decompressor, step)?;
                    message.push(&step[..produced], rules.config)?;
                }
            }
            _ => message.push(&input[payload], rules.config)?,
        }
        if !ends {
            return Ok((used, None));
        }
        message.utf8.finish().map_err(|_| ProtocolError::Utf8Invalid)?;
        match self.message.take().map(|message| message.body) {
            Some(Body::Text(text)) => workspace.text = text,
            Some(Body::Binary(binary)) => workspace.binary = binary,
            None => {}
        }
        Ok((
            used,
            Some(Lent::Message {
                kind,
                place: Place::Workspace,
            }),
        ))
    }

    /// Lends the next piece of the message in progress.
    fn stream(
        &mut self,
        frame: &mut Frame,
        input: &mut [u8],
        payload: Range<usize>,
        workspace: &mut Workspace,
        rules: Rules<'_>,
    ) -> Result<(usize, Option<Lent>), Error> {
        let Some(message) = &mut self.message else {
            return Ok((payload.len(), None));
        };
        let kind = message.kind;
        let (used, produced, place) = match &mut self.decompressor {
            Some(decompressor) if message.compressed => {
                let before = *frame;
                frame.take(&mut input[payload.clone()]);
                let step = workspace.inflated();
                let (consumed, produced) = inflate(decompressor, &input[payload.clone()], step)?;
                // What did not fit stays in the caller's input as it came: masked.
                *frame = before.skip(consumed);
                let mut rest = *frame;
                rest.take(&mut input[payload.start + consumed..payload.end]);
                message.check(&step[..produced], rules.config)?;
                (consumed, produced, ChunkPlace::Inflated(produced))
            }
            _ => {
                frame.take(&mut input[payload.clone()]);
                message.check(&input[payload.clone()], rules.config)?;
                (payload.len(), payload.len(), ChunkPlace::Input(payload))
            }
        };
        let ends_frame = frame.remaining == 0;
        let mut ends_message = ends_frame && frame.fin;
        if ends_message && message.compressed {
            self.phase = Phase::Inflating(kind);
            ends_message = false;
            if produced == 0 {
                return Ok((used, None));
            }
        }
        if produced == 0 && !ends_frame {
            return Ok((used, None));
        }
        let starts_message = std::mem::take(&mut message.fresh);
        if ends_message {
            message.utf8.finish().map_err(|_| ProtocolError::Utf8Invalid)?;
            self.message = None;
        }
        // The frame of a compressed message ends with the chunk that empties it.
        let ends_frame = ends_frame && !matches!(self.phase, Phase::Inflating(_));
        Ok((
            used,
            Some(Lent::Chunk {
                kind,
                place,
                starts_message,
                ends_frame,
                ends_message,
            }),
        ))
    }

    /// Lends the next piece of what a compressed message still holds after its last byte.
    fn stream_rest(
        &mut self,
        kind: MessageKind,
        workspace: &mut Workspace,
        rules: Rules<'_>,
    ) -> Result<Lent, Error> {
        let step = workspace.inflated();
        let (mut produced, mut done) = (0, true);
        let mut starts_message = false;
        if let (Some(decompressor), Some(message)) = (&mut self.decompressor, &mut self.message) {
            (produced, done) = finish(decompressor, step)?;
            message.check(&step[..produced], rules.config)?;
            starts_message = std::mem::take(&mut message.fresh);
            if done {
                message.utf8.finish().map_err(|_| ProtocolError::Utf8Invalid)?;
            }
        }
        if done {
            self.message = None;
            self.phase = Phase::Header;
        }
        let place = ChunkPlace::Inflated(produced);
        Ok(Lent::Chunk {
            kind,
            place,
            starts_message,
            ends_frame: done,
            ends_message: done,
        })
    }
}

/// Inflates one step; gives the bytes consumed and produced, at least one of which is not zero.
fn inflate(decompressor: &mut Decompressor, input: &[u8], step: &mut [u8]) -> Result<(usize, usize), Error> {
    match decompressor.inflate(input, step) {
        Ok(done) if done.consumed + done.produced > 0 => Ok((done.consumed, done.produced)),
        _ => Err(ProtocolError::DeflateInvalid.into()),
    }
}

/// Inflates one step of what the decompressor still holds at the end of a message; gives the bytes produced and
/// whether that was all.
fn finish(decompressor: &mut Decompressor, step: &mut [u8]) -> Result<(usize, bool), Error> {
    match decompressor.finish(step) {
        Ok(end) if end.done || end.produced > 0 => Ok((end.produced, end.done)),
        _ => Err(ProtocolError::DeflateInvalid.into()),
    }
}

/// What the connection around the receiver decides.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules<'a> {
    pub(super) config: &'a Config,
    pub(super) expects_mask: bool,
    pub(super) now: Instant,
}

impl Frame {
    /// Unmasks the next bytes of the payload and counts them.
    fn take(&mut self, payload: &mut [u8]) {
        if let Some(mask) = &mut self.mask {
            mask.apply(payload);
        }
        self.remaining -= payload.len() as u64;
    }

    /// The frame after its next `bytes` bytes.
    fn skip(mut self, bytes: usize) -> Self {
        if let Some(mask) = &mut self.mask {
            mask.skip(bytes);
        }
        self.remaining -= bytes as u64;
        self
    }
}

impl Incoming {
    fn new(kind: MessageKind, compressed: bool) -> Self {
        let body = match kind {
            MessageKind::Text => Body::Text(String::new()),
            MessageKind::Binary => Body::Binary(Vec::new()),
        };
        let utf8 = Utf8Validator::default();
        Self {
            kind,
            compressed,
            fragments: 0,
            wire_size: 0,
            size: 0,
            fresh: true,
            utf8,
            body,
        }
    }

    /// How many bytes on the wire a message of at most `max` bytes may take.
    ///
    /// DEFLATE makes incompressible data larger, by some bytes in each block. Without a bound on the wire size a
    /// peer could send blocks that inflate to nothing for ever.
    fn max_wire_size(&self, max: u64) -> u64 {
        if self.compressed {
            max.saturating_add(max / 64).saturating_add(64)
        } else {
            max
        }
    }

    /// Takes over the workspace's buffer, at the start of a message, so that its memory is used again.
    fn reuse(&mut self, workspace: &mut Workspace) {
        match &mut self.body {
            Body::Text(text) if text.capacity() == 0 => {
                *text = std::mem::take(&mut workspace.text);
                if text.capacity() > KEEP_CAPACITY {
                    *text = String::new();
                }
                text.clear();
            }
            Body::Binary(binary) if binary.capacity() == 0 => {
                *binary = std::mem::take(&mut workspace.binary);
                if binary.capacity() > KEEP_CAPACITY {
                    *binary = Vec::new();
                }
                binary.clear();
            }
            _ => {}
        }
    }

    /// Adds the next bytes, inflated, to the body.
    fn push(&mut self, bytes: &[u8], config: &Config) -> Result<(), Error> {
        self.count(bytes, config)?;
        match &mut self.body {
            Body::Text(text) => self
                .utf8
                .feed(bytes, |valid| text.push_str(valid))
                .map_err(|_| ProtocolError::Utf8Invalid.into()),
            Body::Binary(binary) => {
                binary.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    /// Checks the next bytes, inflated, without keeping them.
    fn check(&mut self, bytes: &[u8], config: &Config) -> Result<(), Error> {
        self.count(bytes, config)?;
        if self.kind == MessageKind::Text {
            self.utf8
                .feed(bytes, |_| ())
                .map_err(|_| ProtocolError::Utf8Invalid)?;
        }
        Ok(())
    }

    fn count(&mut self, bytes: &[u8], config: &Config) -> Result<(), Error> {
        self.size += bytes.len() as u64;
        if self.size > config.max_message_size {
            return Err(Limit::MessageSize(config.max_message_size).into());
        }
        Ok(())
    }
}

/// The bytes, so far, of a header that spans reads.
#[derive(Debug, Default)]
struct PartialHeader {
    bytes: [u8; MAX_HEADER_LEN],
    len: usize,
}

impl PartialHeader {
    /// Continues the header with `input`; gives how much of it belongs to the header.
    fn read(&mut self, input: &[u8]) -> Result<(usize, Option<FrameHeader>), ProtocolError> {
        if self.len == 0
            && let Some((header, len)) = FrameHeader::parse(input)?
        {
            return Ok((len, Some(header)));
        }
        let take = input.len().min(MAX_HEADER_LEN - self.len);
        self.bytes[self.len..self.len + take].copy_from_slice(&input[..take]);
        match FrameHeader::parse(&self.bytes[..self.len + take])? {
            Some((header, len)) => {
                let used = len - self.len;
                self.len = 0;
                Ok((used, Some(header)))
            }
            None => {
                self.len += take;
                Ok((take, None))
            }
        }
    }
}
