//! What was published to one topic in one turn.
//!
//! The frames of all messages lie one behind the other, so that a subscriber is given all of them at once: with 200
//! sockets that publish to each other in one turn, 200 times 200 deliveries become 200. Who is not to get some of
//! them, because it published them, came later, or has them already, is given the parts between.

use std::collections::HashMap;
use std::ops::Range;

use bytes::Bytes;
use sockeye_proto::{Compress, FrameHeader, Message, MessageKind, Prepared, PreparedForm, SendError};

use super::index::TopicId;
use super::recipient::{Frames, Recipient, is_worth_sharing};
use super::topic::Topic;

/// Messages from this length on are not gathered with others, in bytes.
pub(super) const LARGE: usize = 16 * 1024;
/// A batch that has so many bytes takes no more.
const FULL: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Batch {
    topic: Topic,
    /// Whose subscribers are to have it: the topic, or patterns that match it, or both.
    targets: Vec<TopicId>,
    /// Of all messages in it.
    kind: MessageKind,
    messages: Vec<Published>,
    /// All messages in a frame each, as they are; unused if there is but one large message.
    plain: Log,
    /// The same for connections that want them otherwise, made when the first of them comes.
    forms: Vec<(PreparedForm, Log)>,
    skips: Skips,
    /// The length of the longest message.
    longest: usize,
}

/// A published message.
#[derive(Debug)]
struct Published {
    len: usize,
    compress: Compress,
    /// The length of its header in the plain log.
    header_len: u8,
    prepared: Option<Prepared>,
}

/// Frames, one message behind the other.
#[derive(Debug, Default)]
struct Log {
    bytes: Vec<u8>,
    /// The same, once it was worth sharing; `bytes` is empty then.
    shared: Bytes,
    /// Whether the memory holds nothing else.
    is_own: bool,
    /// Where each message ends.
    ends: Vec<u32>,
}

impl Batch {
    pub(super) fn new(topic: Topic, kind: MessageKind, targets: &[TopicId]) -> Self {
        Self {
            topic,
            kind,
            targets: targets.to_vec(),
            messages: Vec::new(),
            plain: Log::default(),
            forms: Vec::new(),
            skips: Skips::default(),
            longest: 0,
        }
    }

    /// Uses the memory for another one.
    pub(super) fn renew(&mut self, topic: Topic, kind: MessageKind, targets: &[TopicId]) {
        self.topic = topic;
        self.kind = kind;
        self.targets.clear();
        self.targets.extend_from_slice(targets);
        self.messages.clear();
        self.plain.clear();
        self.forms.clear();
        self.skips.clear();
        self.longest = 0;
    }

    pub(super) fn topic(&self) -> &Topic {
        &self.topic
    }

    pub(super) fn targets(&self) -> &[TopicId] {
        &self.targets
    }

    /// How many messages it has.
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn kind(&self) -> MessageKind {
        self.kind
    }

    /// How many bytes of payload these messages have.
    pub(super) fn payload_of(&self, messages: Range<usize>) -> usize {
        self.messages[messages].iter().map(|message| message.len).sum()
    }

    /// Whether a message of this length can be added.
    pub(super) fn takes(&self, kind: MessageKind, len: usize) -> bool {
        kind == self.kind && len < LARGE && self.longest < LARGE && self.plain.bytes.len() < FULL
    }

    /// Adds a message, of the kind of the batch; gives its position.
    pub(super) fn push(
        &mut self,
        message: Message<'_>,
        prepared: Option<Prepared>,
        compress: Compress,
    ) -> u32 {
        let payload = message.as_bytes();
        self.longest = self.longest.max(payload.len());
        let mut published = Published {
            len: payload.len(),
            compress,
            header_len: 0,
            prepared,
        };
        if payload.len() < LARGE {
            let header = FrameHeader {
                fin: true,
                rsv1: false,
                opcode: message.kind().opcode(),
                mask: None,
                payload_len: payload.len() as u64,
            };
            let header = header.to_bytes();
            published.header_len = header.len() as u8;
            self.plain.bytes.extend_from_slice(&header);
            self.plain.bytes.extend_from_slice(payload);
            self.plain.end();
        } else if published.prepared.is_none() {
            published.prepared = Some(Prepared::new(message));
        }
        self.messages.push(published);
        (self.messages.len() - 1) as u32
    }

    /// The parts of the batch that this socket is to have.
    pub(super) fn parts_for(&self, slot: u32) -> impl Iterator<Item = Range<usize>> + use<> {
        self.skips.parts(slot, self.messages.len() as u32)
    }

    /// Whether every socket is to have the whole.
    pub(super) fn is_for_all_alike(&self) -> bool {
        self.skips.heads.is_empty()
    }

    /// This socket is not to have the message at this position, which is the last one.
    pub(super) fn skip(&mut self, slot: u32, at: u32) {
        self.skips.skip(slot, at);
    }

    /// This socket is not to have what is in it now.
    pub(super) fn skip_all(&mut self, slot: u32) {
        self.skips.skip_all(slot, self.messages.len() as u32);
    }

    /// The log that this recipient understands.
    pub(super) fn log_for(&mut self, recipient: &mut impl Recipient) -> Result<LogOf<'_>, SendError> {
        let Some(form) = recipient.connection().prepared_form()? else {
            debug_assert!(false, "the hub serves servers");
            return Err(SendError::Closed);
        };
        if self.longest < LARGE && form.is_plain(self.longest) {
            return Ok(LogOf {
                log: &mut self.plain,
                compresses: false,
            });
        }
        let found = self.forms.iter().position(|(other, _)| *other == form);
        let at = found.unwrap_or_else(|| {
            self.forms.push((form, Log::default()));
            self.forms.len() - 1
        });
        self.complete(at, recipient)?;
        Ok(LogOf {
            log: &mut self.forms[at].1,
            // Whether anything was compressed is not known, and starting afresh does no harm.
            compresses: !form.is_plain(0),
        })
    }

    /// Adds the messages that came since this log was last used.
    fn complete(&mut self, form: usize, recipient: &mut impl Recipient) -> Result<(), SendError> {
        let done = self.forms[form].1.ends.len();
        for at in done..self.messages.len() {
            let (prepared, compress) = (self.prepared(at), self.messages[at].compress);
            let frames = recipient.connection().prepared(&prepared, compress)?;
            let frames = frames.ok_or(SendError::Closed)?;
            let log = &mut self.forms[form].1;
            if self.messages.len() == 1 {
                log.shared = frames.clone();
                log.is_own = true;
            } else {
                if !log.shared.is_empty() {
                    // It was the only message when somebody had to be given it early.
                    log.bytes = std::mem::take(&mut log.shared).into();
                    log.is_own = false;
                }
                log.bytes.extend_from_slice(frames);
            }
            log.end();
        }
        Ok(())
    }

    /// A message of the batch on its own.
    pub(super) fn prepared(&mut self, at: usize) -> Prepared {
        let published = &mut self.messages[at];
        let prepared = published.prepared.get_or_insert_with(|| {
            let range = self.plain.range(at..at + 1);
            let payload = &self.plain.get(range)[usize::from(published.header_len)..];
            Prepared::new(match self.kind {
                // What was published as text is text.
                MessageKind::Text => Message::Text(std::str::from_utf8(payload).unwrap_or_default()),
                MessageKind::Binary => Message::Binary(payload),
            })
        });
        prepared.clone()
    }

    pub(super) fn compress(&self, at: usize) -> Compress {
        self.messages[at].compress
    }
}

impl Log {
    fn len(&self) -> usize {
        self.bytes.len().max(self.shared.len())
    }

    /// What was added is a message.
    fn end(&mut self) {
        self.ends.push(u32::try_from(self.len()).unwrap_or(u32::MAX));
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.shared = Bytes::new();
        self.is_own = false;
        self.ends.clear();
    }

    /// Where these messages are.
    fn range(&self, messages: Range<usize>) -> Range<usize> {
        let end_of = |count: usize| match count {
            0 => 0,
            // The last one ends where the bytes do, which may be further than 2³².
            count if count == self.ends.len() => self.len(),
            count => self.ends[count - 1] as usize,
        };
        end_of(messages.start)..end_of(messages.end)
    }

    fn get(&self, range: Range<usize>) -> &[u8] {
        if self.shared.is_empty() {
            &self.bytes[range]
        } else {
            &self.shared[range]
        }
    }
}

/// The log of a batch that some recipient understands.
#[derive(Debug)]
pub(super) struct LogOf<'b> {
    log: &'b mut Log,
    /// Messages in it may be compressed.
    pub(super) compresses: bool,
}

impl LogOf<'_> {
    /// How many bytes these messages have.
    pub(super) fn len_of(&self, messages: Range<usize>) -> usize {
        self.log.range(messages).len()
    }

    /// These messages. `is_final` says that no more are added to the batch.
    pub(super) fn frames(&mut self, messages: Range<usize>, is_final: bool) -> Frames<'_> {
        let range = self.log.range(messages);
        if self.log.shared.is_empty() {
            if !is_final || !is_worth_sharing(range.len()) {
                return Frames::Lent(&self.log.bytes[range]);
            }
            self.log.shared = std::mem::take(&mut self.log.bytes).into();
        }
        Frames::Shared {
            bytes: self.log.shared.slice(range),
            is_own: self.log.is_own,
        }
    }
}

/// Who is not to have which messages.
#[derive(Debug, Default)]
struct Skips {
    heads: HashMap<u32, Head, foldhash::fast::RandomState>,
    gaps: Vec<Gap>,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    /// Everything before this is skipped.
    start: u32,
    /// The first and the last of the gaps that come later.
    first: Option<u32>,
    last: Option<u32>,
}

/// Messages that are skipped, and the next ones.
#[derive(Clone, Copy, Debug)]
struct Gap {
    from: u32,
    to: u32,
    next: Option<u32>,
}

impl Skips {
    fn clear(&mut self) {
        self.heads.clear();
        self.gaps.clear();
    }

    fn skip_all(&mut self, slot: u32, len: u32) {
        self.heads.insert(
            slot,
            Head {
                start: len,
                first: None,
                last: None,
            },
        );
    }

    fn skip(&mut self, slot: u32, at: u32) {
        let head = self.heads.entry(slot).or_insert(Head {
            start: 0,
            first: None,
            last: None,
        });
        match head.last {
            None if head.start == at => head.start = at + 1,
            Some(last) if self.gaps[last as usize].to == at => self.gaps[last as usize].to = at + 1,
            last => {
                let new = self.gaps.len() as u32;
                self.gaps.push(Gap {
                    from: at,
                    to: at + 1,
                    next: None,
                });
                match last {
                    Some(last) => self.gaps[last as usize].next = Some(new),
                    None => head.first = Some(new),
                }
                head.last = Some(new);
            }
        }
    }

    /// What is between the gaps of this socket. Does not borrow them, since recipients are served meanwhile.
    fn parts(&self, slot: u32, len: u32) -> impl Iterator<Item = Range<usize>> + use<> {
        let mut parts = smallvec::SmallVec::<[Range<usize>; 4]>::new();
        let mut add = |from: u32, to: u32| {
            if from < to {
                parts.push(from as usize..to as usize);
            }
        };
        match self.heads.get(&slot) {
            None => add(0, len),
            Some(head) => {
                let (mut from, mut next) = (head.start, head.first);
                while let Some(gap) = next.map(|at| self.gaps[at as usize]) {
                    add(from, gap.from);
                    (from, next) = (gap.to, gap.next);
                }
                add(from, len);
            }
        }
        parts.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_are_what_was_not_skipped(steps in proptest::collection::vec((0..4_u32, 0..6_u8), 0..60)) {
            let mut skips = Skips::default();
            let mut wanted: [Vec<usize>; 4] = Default::default();
            let mut len = 0;
            for (slot, what) in steps {
                if what == 0 {
                    skips.skip_all(slot, len);
                    wanted[slot as usize].clear();
                    continue;
                }
                // A message, which its sender is not to have.
                for (other, list) in wanted.iter_mut().enumerate() {
                    if what > 2 || other != slot as usize {
                        list.push(len as usize);
                    }
                }
                if what <= 2 {
                    skips.skip(slot, len);
                }
                len += 1;
            }
            for (slot, wanted) in wanted.iter().enumerate() {
                let parts: Vec<_> = skips.parts(slot as u32, len).collect();
                prop_assert!(parts.windows(2).all(|pair| pair[0].end < pair[1].start));
                let got: Vec<_> = parts.into_iter().flatten().collect();
                prop_assert_eq!(&got, wanted);
            }
        }
    }

    #[test]
    fn a_full_batch_and_a_large_message_stand_alone() {
        let (topic, kind) = (Topic::new("t").unwrap(), MessageKind::Binary);
        let mut batch = Batch::new(topic.clone(), kind, &[]);
        assert!(batch.takes(kind, LARGE - 1) && !batch.takes(kind, LARGE));
        assert!(!batch.takes(MessageKind::Text, 1));
        while batch.takes(kind, 1000) {
            batch.push(Message::Binary(&[0; 1000]), None, Compress::Auto);
        }
        assert!(batch.plain.bytes.len() < FULL + 1004);
        batch.renew(topic, kind, &[]);
        batch.push(Message::Binary(&[0; LARGE]), None, Compress::Auto);
        assert!(!batch.takes(kind, 1) && batch.plain.bytes.is_empty());
    }

    #[test]
    fn a_message_can_be_taken_out_of_the_batch() {
        let mut batch = Batch::new(Topic::new("t").unwrap(), MessageKind::Text, &[]);
        let long = "é".repeat(100);
        for text in ["one", &long, ""] {
            batch.push(Message::Text(text), None, Compress::Auto);
        }
        assert_eq!(batch.payload_of(0..2), 203);
        for (at, text) in ["one", &long, ""].into_iter().enumerate() {
            let prepared = batch.prepared(at);
            assert_eq!(
                (prepared.kind(), prepared.as_bytes()),
                (MessageKind::Text, text.as_bytes())
            );
        }
    }
}
