//! From bytes to messages: frames are unmasked, checked, inflated and put together.
//!
//! A data frame that lies whole in the input is lent from there. Anything else is consumed as it arrives and
//! gathered in buffers of the [`Workspace`], which grow with the bytes that came and never with a declared length.

use std::ops::Range;
use std::time::Instant;

use super::incoming::{Body, Incoming, KEEP_CAPACITY, WORTH_TAKING};
use super::rate::ControlRate;
use crate::config::{Config, Delivery};
use crate::deflate::{Decompressor, Finished, Inflated};
use crate::error::{Error, ProtocolError};
use crate::frame::{FrameHeader, MAX_HEADER_LEN, Opcode};
use crate::mask::Mask;
use crate::message::MessageKind;

/// How much is inflated at a time, in bytes: the unit in which size limits are checked.
const INFLATE_STEP: usize = 16 * 1024;

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

    /// Takes the text message that the last event lent from here; see [`Received::takeable`](super::Received).
    pub fn take_text(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    /// Takes the binary message that the last event lent from here; see [`Received::takeable`](super::Received).
    pub fn take_binary(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.binary)
    }

    /// Whether the memory of the message that was lent from here will not be used for the next one, or is mostly filled
    /// by a message that is worth it.
    pub(super) fn is_takeable(&self, kind: MessageKind) -> bool {
        let (len, capacity) = match kind {
            MessageKind::Text => (self.text.len(), self.text.capacity()),
            MessageKind::Binary => (self.binary.len(), self.binary.capacity()),
        };
        capacity > KEEP_CAPACITY || (len >= WORTH_TAKING && len >= capacity / 2)
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
    Frame {
        opcode: Opcode,
        fin: bool,
        place: Place,
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
    Payload(Reading),
    /// Streaming a compressed frame of which all that came was inflated, and more is to be handed out. `held` is 1
    /// if the last byte of it still counts as unread.
    Draining {
        frame: Reading,
        held: usize,
    },
}

/// The frame whose payload is being read.
#[derive(Clone, Copy, Debug)]
struct Reading {
    opcode: Opcode,
    fin: bool,
    mask: Option<Mask>,
    remaining: u64,
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
        let lent = loop {
            match self.phase {
                Phase::Header => {
                    let (used, header) = self.header.read(&input[at..])?;
                    at += used;
                    let Some(header) = header else {
                        break None;
                    };
                    if let Some(kind) = self.is_whole_message(&header, input.len() - at, rules) {
                        let payload = at..at + header.payload_len as usize;
                        if let Some(key) = header.mask {
                            Mask::new(key).apply(&mut input[payload.clone()]);
                        }
                        at = payload.end;
                        let place = Place::Input(payload);
                        break Some(Lent::Message { kind, place });
                    }
                    let frame = self.begin(&header, rules)?;
                    self.phase = Phase::Payload(frame);
                }
                Phase::Payload(mut frame) => {
                    let available = frame.remaining.min((input.len() - at) as u64) as usize;
                    if available == 0 && frame.remaining > 0 {
                        break None;
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
                            Delivery::Frames => self.gather(&mut frame, input, payload, workspace, rules)?,
                        }
                    };
                    at += used;
                    // `stream` may have moved on to draining.
                    if let Phase::Payload(_) = self.phase {
                        self.phase = frame.rest();
                    }
                    if lent.is_some() {
                        break lent;
                    }
                }
                Phase::Draining { held, .. } if at + held > input.len() => break None,
                Phase::Draining { frame, held } => {
                    let lent = self.drain(&frame, workspace, rules)?;
                    if !matches!(self.phase, Phase::Draining { .. }) {
                        at += held;
                    }
                    if lent.is_some() {
                        break lent;
                    }
                }
            }
        };
        if let Some(Lent::Chunk {
            ends_message: true, ..
        }) = lent
        {
            self.message = None;
        }
        Ok((at, lent))
    }

    /// Whether a frame is what most frames are: a whole message, uncompressed, that lies in the input and breaks no
    /// rule. Then nothing has to be remembered of it. Any other takes the way through [`Receiver::begin`].
    fn is_whole_message(
        &self,
        header: &FrameHeader,
        available: usize,
        rules: Rules<'_>,
    ) -> Option<MessageKind> {
        let Rules {
            config, expects_mask, ..
        } = rules;
        let kind = match header.opcode {
            Opcode::Text => MessageKind::Text,
            Opcode::Binary => MessageKind::Binary,
            _ => return None,
        };
        let is_whole = header.fin
            && !header.rsv1
            && header.mask.is_some() == expects_mask
            && header.payload_len <= available as u64
            && header.payload_len <= config.max_frame_size.min(config.max_message_size)
            && config.max_fragments > 0
            && config.delivery == Delivery::Messages
            && self.message.is_none();
        is_whole.then_some(kind)
    }

    /// Checks a frame against the rules that depend on the state of the connection.
    fn begin(&mut self, header: &FrameHeader, rules: Rules<'_>) -> Result<Reading, Error> {
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
        Ok(Reading {
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
                vacant.insert(Incoming::new(kind, header.rsv1, config.delivery))
            }
        };
        Ok(message.add_frame(header.payload_len, config)?)
    }

    fn control_payload(
        &mut self,
        frame: &mut Reading,
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
        frame: &mut Reading,
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
        if ends && message.is_single_frame() {
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
                let step = workspace.inflated();
                inflate_into(message, decompressor, &input[payload], ends, step, rules)?;
            }
            _ => {
                message.reserve(used, frame.remaining);
                message.push(&input[payload], rules.config)?;
            }
        }
        if !ends {
            return Ok((used, None));
        }
        message.finish()?;
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

    /// Adds payload to the frame in progress; lends the frame when it is whole.
    fn gather(
        &mut self,
        frame: &mut Reading,
        input: &mut [u8],
        payload: Range<usize>,
        workspace: &mut Workspace,
        rules: Rules<'_>,
    ) -> Result<(usize, Option<Lent>), Error> {
        let used = payload.len();
        frame.take(&mut input[payload.clone()]);
        let (opcode, fin, ends_frame) = (frame.opcode, frame.fin, frame.remaining == 0);
        let Some(message) = &mut self.message else {
            return Ok((used, None));
        };
        let place = if !message.compressed && ends_frame && message.is_frame_ungathered() {
            message.check(&input[payload.clone()], rules.config)?;
            Place::Input(payload)
        } else {
            message.reuse(workspace);
            match &mut self.decompressor {
                Some(decompressor) if message.compressed => {
                    let step = workspace.inflated();
                    inflate_into(
                        message,
                        decompressor,
                        &input[payload],
                        ends_frame && fin,
                        step,
                        rules,
                    )?;
                }
                _ => {
                    message.reserve(used, frame.remaining);
                    message.push(&input[payload], rules.config)?;
                }
            }
            if !ends_frame {
                return Ok((used, None));
            }
            workspace.binary = message.take_frame();
            Place::Workspace
        };
        if fin {
            message.finish()?;
            self.message = None;
        }
        Ok((used, Some(Lent::Frame { opcode, fin, place })))
    }

    /// Lends the next piece of the message in progress.
    fn stream(
        &mut self,
        frame: &mut Reading,
        input: &mut [u8],
        payload: Range<usize>,
        workspace: &mut Workspace,
        rules: Rules<'_>,
    ) -> Result<(usize, Option<Lent>), Error> {
        let Some(message) = &mut self.message else {
            return Ok((payload.len(), None));
        };
        if message.compressed {
            return self.stream_inflated(frame, input, payload, workspace, rules);
        }
        frame.take(&mut input[payload.clone()]);
        message.check(&input[payload.clone()], rules.config)?;
        let used = payload.len();
        let chunk = message.chunk(ChunkPlace::Input(payload), frame.remaining == 0, frame.fin)?;
        Ok((used, Some(chunk)))
    }

    /// Lends the next piece of a compressed message: as much as fits into one step.
    fn stream_inflated(
        &mut self,
        frame: &mut Reading,
        input: &mut [u8],
        payload: Range<usize>,
        workspace: &mut Workspace,
        rules: Rules<'_>,
    ) -> Result<(usize, Option<Lent>), Error> {
        let (Some(message), Some(decompressor)) = (&mut self.message, &mut self.decompressor) else {
            return Ok((payload.len(), None));
        };
        let step = workspace.inflated();
        // Only as much is unmasked as one step may need, or large input would be masked again and again.
        let payload = payload.start..payload.end.min(payload.start + INFLATE_STEP);
        let before = *frame;
        frame.take(&mut input[payload.clone()]);
        let mut inflated = Inflated::default();
        if !payload.is_empty() {
            inflated = inflate(decompressor, &input[payload.clone()], step)?;
            // What did not fit stays in the caller's input as it came: masked.
            *frame = before.skip(inflated.consumed);
            let mut rest = *frame;
            rest.take(&mut input[payload.start + inflated.consumed..payload.end]);
        }
        let Inflated {
            consumed,
            mut produced,
        } = inflated;
        let mut drained = produced < step.len();
        message.check(&step[..produced], rules.config)?;
        if frame.remaining == 0 && frame.fin && drained {
            let end = finish(decompressor, &mut step[produced..])?;
            message.check(&step[produced..produced + end.produced], rules.config)?;
            produced += end.produced;
            drained = end.done;
        }
        let mut used = consumed;
        if consumed == payload.len() && !drained {
            // The last byte counts as read once all it amounts to is handed out: as long as something is left to
            // hand out, something is left of the input.
            let held = consumed.min(1);
            used -= held;
            self.phase = Phase::Draining { frame: *frame, held };
        }
        if produced == 0 && frame.remaining > 0 {
            return Ok((used, None));
        }
        let ends_frame = frame.remaining == 0 && drained;
        let chunk = message.chunk(ChunkPlace::Inflated(produced), ends_frame, frame.fin)?;
        Ok((used, Some(chunk)))
    }

    /// Lends the next piece of what a compressed message still holds after the bytes that came.
    fn drain(
        &mut self,
        frame: &Reading,
        workspace: &mut Workspace,
        rules: Rules<'_>,
    ) -> Result<Option<Lent>, Error> {
        let (Some(message), Some(decompressor)) = (&mut self.message, &mut self.decompressor) else {
            self.phase = Phase::Header;
            return Ok(None);
        };
        let step = workspace.inflated();
        let (produced, drained) = if frame.fin && frame.remaining == 0 {
            let end = finish(decompressor, step)?;
            (end.produced, end.done)
        } else {
            let produced = inflate(decompressor, &[], step)?.produced;
            (produced, produced < step.len())
        };
        message.check(&step[..produced], rules.config)?;
        if drained {
            self.phase = frame.rest();
        }
        if produced == 0 && frame.remaining > 0 {
            return Ok(None);
        }
        let ends_frame = frame.remaining == 0 && drained;
        let chunk = message.chunk(ChunkPlace::Inflated(produced), ends_frame, frame.fin)?;
        Ok(Some(chunk))
    }
}

/// Inflates all of `input`, and what is left at the end of the message, into its body.
fn inflate_into(
    message: &mut Incoming,
    decompressor: &mut Decompressor,
    input: &[u8],
    ends_message: bool,
    step: &mut [u8],
    rules: Rules<'_>,
) -> Result<(), Error> {
    let mut rest = input;
    let mut drained = rest.is_empty();
    while !drained {
        let inflated = inflate(decompressor, rest, step)?;
        rest = &rest[inflated.consumed..];
        drained = rest.is_empty() && inflated.produced < step.len();
        message.push(&step[..inflated.produced], rules.config)?;
    }
    let mut finished = !ends_message;
    while !finished {
        let end = finish(decompressor, step)?;
        finished = end.done;
        message.push(&step[..end.produced], rules.config)?;
    }
    Ok(())
}

/// Inflates one step.
fn inflate(
    decompressor: &mut Decompressor,
    input: &[u8],
    step: &mut [u8],
) -> Result<Inflated, ProtocolError> {
    match decompressor.inflate(input, step) {
        // Without this a fault of the library would make an endless loop.
        Ok(done) if input.is_empty() || done.consumed + done.produced > 0 => Ok(done),
        _ => Err(ProtocolError::DeflateInvalid),
    }
}

/// Inflates one step of what the decompressor still holds at the end of a message.
fn finish(decompressor: &mut Decompressor, step: &mut [u8]) -> Result<Finished, ProtocolError> {
    match decompressor.finish(step) {
        Ok(end) if end.done || end.produced > 0 => Ok(end),
        _ => Err(ProtocolError::DeflateInvalid),
    }
}

/// What the connection around the receiver decides.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules<'a> {
    pub(super) config: &'a Config,
    pub(super) expects_mask: bool,
    pub(super) now: Instant,
}

impl Reading {
    /// Unmasks the next bytes of the payload and counts them.
    fn take(&mut self, payload: &mut [u8]) {
        if let Some(mask) = &mut self.mask {
            mask.apply(payload);
        }
        self.remaining -= payload.len() as u64;
    }

    /// What comes next: the rest of the payload, or the next frame.
    fn rest(self) -> Phase {
        if self.remaining == 0 {
            Phase::Header
        } else {
            Phase::Payload(self)
        }
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

#[cfg(test)]
mod tests;
