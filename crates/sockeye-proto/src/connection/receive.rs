//! From bytes to messages: frames are unmasked, checked, inflated and put together.
//!
//! A data frame that lies whole in the input is lent from there. Anything else is consumed as it arrives and
//! gathered in buffers of the [`Workspace`], which grow with the bytes that came and never with a declared length.

mod inflating;

use std::ops::Range;
use std::time::{Duration, Instant};

use super::control::ControlPayload;
use super::incoming::{Body, Incoming};
use super::rate::ControlRate;
use super::workspace::Workspace;
use crate::config::{Config, Delivery};
use crate::deflate::Decompressor;
use crate::error::{Error, ProtocolError};
use crate::frame::{FrameHeader, MAX_HEADER_LEN, Opcode};
use crate::mask::Mask;
use crate::message::MessageKind;

use inflating::inflate_into;

/// How much is inflated at a time, in bytes: the unit in which size limits are checked.
pub(super) const INFLATE_STEP: usize = 16 * 1024;

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
    /// Between messages there is none.
    progress: Option<Box<Progress>>,
    control_rate: ControlRate,
}

/// A header, a frame or a message that has begun and not ended.
#[derive(Debug)]
pub(super) struct Progress {
    /// When it began, or reading was resumed.
    since: Instant,
    header: PartialHeader,
    phase: Phase,
    message: Option<Incoming>,
    /// The payload, so far, of a control frame that spans reads.
    control: ControlPayload,
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

/// A frame that lies whole in the input and is a whole message, uncompressed: what most frames are.
#[derive(Clone, Copy, Debug)]
pub(super) struct WholeMessage {
    pub(super) kind: MessageKind,
    pub(super) mask: Option<[u8; 4]>,
    /// Where its payload starts in the input, and where it ends.
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Receiver {
    pub(super) const fn new() -> Self {
        Self {
            progress: None,
            control_rate: ControlRate::new(),
        }
    }

    /// When the header, frame or message began that is in progress; `None` if there is none.
    pub(super) fn incomplete_since(&self) -> Option<Instant> {
        self.progress.as_ref().map(|progress| progress.since)
    }

    /// Counts the time for what is in progress from now on.
    pub(super) fn restart_clock(&mut self, now: Instant) {
        if let Some(progress) = &mut self.progress {
            progress.restart_clock(now);
        }
    }

    /// Gives back the memory of whatever was in progress.
    pub(super) fn discard(&mut self) {
        self.progress = None;
    }

    /// The message at the front of `input`, if that is a [`WholeMessage`] and breaks no rule. Then nothing has to be
    /// remembered of it. Anything else takes the way through [`Receiver::advance`].
    #[inline]
    pub(super) fn whole_message(
        &self,
        input: &[u8],
        config: &Config,
        expects_mask: bool,
    ) -> Option<WholeMessage> {
        if self.progress.is_some() {
            return None;
        }
        let (header, start) = FrameHeader::parse(input).ok()??;
        let kind = match header.opcode {
            Opcode::Text => MessageKind::Text,
            Opcode::Binary => MessageKind::Binary,
            _ => return None,
        };
        let is_whole = header.fin
            && !header.rsv1
            && header.mask.is_some() == expects_mask
            && header.payload_len <= (input.len() - start) as u64
            && header.payload_len <= config.max_frame_size.min(config.max_message_size)
            && config.max_fragments > 0
            && config.delivery == Delivery::Messages;
        is_whole.then_some(WholeMessage {
            kind,
            mask: header.mask,
            start,
            end: start + header.payload_len as usize,
        })
    }

    /// Where the next bytes of the message in progress may be received to stay there.
    #[inline]
    pub(super) fn room(&mut self, workspace: &mut Workspace, config: &Config) -> Option<&mut [u8]> {
        self.progress.as_mut()?.room(workspace, config)
    }

    /// Goes on with `count` bytes that were received in the [room](Self::room); gives whether the message is whole, which then
    /// lies in the workspace.
    pub(super) fn fill(
        &mut self,
        count: usize,
        workspace: &mut Workspace,
        config: &Config,
    ) -> Result<bool, Error> {
        let Some(mut progress) = self.progress.take() else {
            return Ok(false);
        };
        let is_whole = progress.fill(count, workspace, config)?;
        if progress.is_idle() {
            workspace.keep(progress);
        } else {
            self.progress = Some(progress);
        }
        Ok(is_whole)
    }

    /// Consumes `input` up to the end of the first event in it; gives how many bytes that took.
    pub(super) fn advance(
        &mut self,
        input: &mut [u8],
        workspace: &mut Workspace,
        inflate: Option<&mut Decompressor>,
        rules: Rules<'_>,
    ) -> Result<(usize, Option<Lent>), Error> {
        let mut progress = match self.progress.take() {
            Some(progress) => progress,
            None => workspace.progress(rules.now),
        };
        let mut context = Context {
            workspace,
            decompressor: inflate,
            control_rate: &mut self.control_rate,
            rules,
        };
        let advanced = progress.advance(input, &mut context)?;
        if progress.is_idle() {
            workspace.keep(progress);
        } else {
            self.progress = Some(progress);
        }
        Ok(advanced)
    }
}

/// What a step of receiving works with beside the input.
struct Context<'c> {
    workspace: &'c mut Workspace,
    decompressor: Option<&'c mut Decompressor>,
    control_rate: &'c mut ControlRate,
    rules: Rules<'c>,
}

impl Progress {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            since: now,
            header: PartialHeader::EMPTY,
            phase: Phase::Header,
            message: None,
            control: ControlPayload::EMPTY,
        }
    }

    pub(super) fn restart_clock(&mut self, now: Instant) {
        self.since = now;
    }

    fn is_idle(&self) -> bool {
        self.message.is_none() && self.header.len == 0 && matches!(self.phase, Phase::Header)
    }

    fn advance(
        &mut self,
        input: &mut [u8],
        context: &mut Context<'_>,
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
                    let frame = self.begin(&header, context)?;
                    self.phase = Phase::Payload(frame);
                }
                Phase::Payload(mut frame) => {
                    let available = frame.remaining.min((input.len() - at) as u64) as usize;
                    if available == 0 && frame.remaining > 0 {
                        break None;
                    }
                    let payload = at..at + available;
                    let (used, lent) = if frame.opcode.is_control() {
                        self.control_payload(&mut frame, input, payload, context.workspace)
                    } else {
                        match context.rules.config.delivery {
                            Delivery::Messages => self.assemble(&mut frame, input, payload, context)?,
                            Delivery::Chunks => self.stream(&mut frame, input, payload, context)?,
                            Delivery::Frames => self.gather(&mut frame, input, payload, context)?,
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
                    let lent = self.drain(&frame, context)?;
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

    /// Checks a frame against the rules that depend on the state of the connection.
    fn begin(&mut self, header: &FrameHeader, context: &mut Context<'_>) -> Result<Reading, Error> {
        let rules = context.rules;
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
            context
                .control_rate
                .count(rules.config.max_control_rate, rules.age())?;
            self.control.clear();
        } else {
            self.begin_data(header, rules.config, context.decompressor.is_some())?;
        }
        Ok(Reading {
            opcode: header.opcode,
            fin: header.fin,
            mask: header.mask.map(Mask::new),
            remaining: header.payload_len,
        })
    }

    fn begin_data(&mut self, header: &FrameHeader, config: &Config, inflates: bool) -> Result<(), Error> {
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
                if header.rsv1 && !inflates {
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
        if frame.remaining == 0 && self.control.as_bytes().is_empty() {
            return (
                used,
                Some(Lent::Control {
                    opcode,
                    place: Place::Input(payload),
                }),
            );
        }
        self.control.extend(&input[payload]);
        if frame.remaining > 0 {
            return (used, None);
        }
        workspace.control.clear();
        workspace.control.extend_from_slice(self.control.as_bytes());
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
        context: &mut Context<'_>,
    ) -> Result<(usize, Option<Lent>), Error> {
        let used = payload.len();
        let ends = frame.fin && frame.remaining == used as u64;
        let config = context.rules.config;
        let Some(message) = &mut self.message else {
            return Ok((used, None));
        };
        let kind = message.kind;
        if ends && message.is_single_frame() {
            frame.take(&mut input[payload.clone()]);
            self.message = None;
            return Ok((
                used,
                Some(Lent::Message {
                    kind,
                    place: Place::Input(payload),
                }),
            ));
        }
        message.reuse(context.workspace);
        match &mut context.decompressor {
            Some(decompressor) if message.compressed => {
                frame.take(&mut input[payload.clone()]);
                let step = context.workspace.inflated();
                inflate_into(message, decompressor, &input[payload], ends, step, config)?;
            }
            _ => {
                frame.remaining -= used as u64;
                message.reserve(used, frame.remaining, context.workspace);
                message.gather(&mut input[payload], &mut frame.mask, config)?;
            }
        }
        if !ends {
            return Ok((used, None));
        }
        self.hand_out(context.workspace)?;
        Ok((
            used,
            Some(Lent::Message {
                kind,
                place: Place::Workspace,
            }),
        ))
    }

    /// Puts a message that is whole into the workspace.
    fn hand_out(&mut self, workspace: &mut Workspace) -> Result<(), Error> {
        let Some(message) = self.message.take() else {
            return Ok(());
        };
        message.finish()?;
        match message.body {
            Body::Text(text) => workspace.put_text(text),
            Body::Binary(binary) => workspace.put_binary(binary),
        }
        Ok(())
    }

    fn room(&mut self, workspace: &mut Workspace, config: &Config) -> Option<&mut [u8]> {
        let Phase::Payload(frame) = self.phase else {
            return None;
        };
        if frame.opcode.is_control() || config.delivery != Delivery::Messages {
            return None;
        }
        self.message.as_mut()?.room(frame.remaining, workspace)
    }

    fn fill(&mut self, count: usize, workspace: &mut Workspace, config: &Config) -> Result<bool, Error> {
        let Phase::Payload(mut frame) = self.phase else {
            return Ok(false);
        };
        let Some(message) = &mut self.message else {
            return Ok(false);
        };
        message.fill(count, &mut frame.mask, config)?;
        frame.remaining -= count as u64;
        self.phase = frame.rest();
        let is_whole = frame.fin && frame.remaining == 0;
        if is_whole {
            self.hand_out(workspace)?;
        }
        Ok(is_whole)
    }

    /// Adds payload to the frame in progress; lends the frame when it is whole.
    fn gather(
        &mut self,
        frame: &mut Reading,
        input: &mut [u8],
        payload: Range<usize>,
        context: &mut Context<'_>,
    ) -> Result<(usize, Option<Lent>), Error> {
        let used = payload.len();
        frame.take(&mut input[payload.clone()]);
        let (opcode, fin, ends_frame) = (frame.opcode, frame.fin, frame.remaining == 0);
        let config = context.rules.config;
        let Some(message) = &mut self.message else {
            return Ok((used, None));
        };
        let place = if !message.compressed && ends_frame && message.is_frame_ungathered() {
            message.check(&input[payload.clone()], config)?;
            Place::Input(payload)
        } else {
            message.reuse(context.workspace);
            match &mut context.decompressor {
                Some(decompressor) if message.compressed => {
                    let step = context.workspace.inflated();
                    inflate_into(
                        message,
                        decompressor,
                        &input[payload],
                        ends_frame && fin,
                        step,
                        config,
                    )?;
                }
                _ => {
                    message.reserve(used, frame.remaining, context.workspace);
                    message.push(&input[payload], config)?;
                }
            }
            if !ends_frame {
                return Ok((used, None));
            }
            context.workspace.put_binary(message.take_frame());
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
        context: &mut Context<'_>,
    ) -> Result<(usize, Option<Lent>), Error> {
        let Some(message) = &mut self.message else {
            return Ok((payload.len(), None));
        };
        if message.compressed {
            return self.stream_inflated(frame, input, payload, context);
        }
        frame.take(&mut input[payload.clone()]);
        message.check(&input[payload.clone()], context.rules.config)?;
        let used = payload.len();
        let chunk = message.chunk(ChunkPlace::Input(payload), frame.remaining == 0, frame.fin)?;
        Ok((used, Some(chunk)))
    }
}

/// What the connection around the receiver decides.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules<'a> {
    pub(super) config: &'a Config,
    pub(super) expects_mask: bool,
    pub(super) opened: Instant,
    pub(super) now: Instant,
}

impl Rules<'_> {
    /// How long the connection has existed.
    fn age(&self) -> Duration {
        self.now.saturating_duration_since(self.opened)
    }
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
#[derive(Debug)]
struct PartialHeader {
    bytes: [u8; MAX_HEADER_LEN],
    len: usize,
}

impl PartialHeader {
    const EMPTY: Self = Self {
        bytes: [0; MAX_HEADER_LEN],
        len: 0,
    };

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
