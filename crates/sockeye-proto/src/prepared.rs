//! Messages that are framed once and sent many times.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::connection::{DataFrame, Piece, pieces};
use crate::copy;
use crate::deflate::{Compressor, DeflateError, Settings};
use crate::frame::MAX_HEADER_LEN;
use crate::message::{Message, MessageKind};

/// A whole message framed ahead, for a server that sends it to many clients.
///
/// A clone refers to the same memory, and any thread may use it. The message is framed when it is made, and compressed when
/// the first connection that wants it so is sent it: once for each set of window size, level and memory level
/// among the connections, of which the windows are at most eight. [`Connection::send_prepared`](crate::Connection::send_prepared)
/// copies the frame to the output; [`Connection::prepared`](crate::Connection::prepared) gives the bytes themselves.
///
/// # Context takeover
///
/// Compressed, the message refers to nothing but itself, so whoever can inflate messages of such a window can inflate
/// it, at any point of a connection: a sender that may keep its context need not (RFC 7692 §7.1.1). But a
/// receiver that keeps context counts this message among those that later ones may refer to, and the sender's own
/// compressor never saw it: all distances to what came before would be too short. So a connection that keeps
/// its context forgets it after a prepared message that went out compressed, and its next message starts afresh.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Instant;
/// use sockeye_proto::{Compress, Config, Connection, Message, Prepared};
///
/// let prepared = Prepared::new(Message::Text("Hello"));
/// for _ in 0..3 {
///     let mut server = Connection::server(Arc::new(Config::server()), None, Instant::now());
///     let mut out = Vec::new();
///     server.send_prepared(&prepared, Compress::Auto, &mut out)?;
///     assert_eq!(out, b"\x81\x05Hello");
/// }
/// # Ok::<(), sockeye_proto::SendError>(())
/// ```
#[derive(Clone)]
pub struct Prepared(Arc<Inner>);

struct Inner {
    kind: MessageKind,
    header_len: usize,
    /// The message as one frame, as it is.
    plain: Bytes,
    /// The message in other forms, in the order they were first asked for.
    variants: OnceLock<Box<Variant>>,
}

/// A form of the message, and the way to the next one: a list that only grows, so that readers take no lock.
struct Variant {
    form: Form,
    frames: OnceLock<Result<Bytes, DeflateError>>,
    next: OnceLock<Box<Self>>,
}

/// What makes a connection send prepared messages in other bytes than another one: connections of equal forms are sent
/// the same bytes, whatever the message.
///
/// Whoever sends many messages to many connections can gather the bytes once for each form, rather than ask every
/// connection for every message: see [`Connection::prepared_form`](crate::Connection::prepared_form).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PreparedForm {
    /// How messages of at least that length are compressed, unless the sender of the message says otherwise.
    pub(crate) compression: Option<(Settings, usize)>,
    /// The longest payload of a frame.
    pub(crate) threshold: Option<NonZeroUsize>,
}

impl PreparedForm {
    /// Whether every message of up to `longest` bytes goes out in one frame and as it is.
    #[must_use]
    pub fn is_plain(&self, longest: usize) -> bool {
        self.compression.is_none() && self.threshold.is_none_or(|threshold| threshold.get() >= longest)
    }
}

/// What makes the bytes that carry this message different from one connection to the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Form {
    compressed: Option<Settings>,
    /// The longest payload of a frame, if the message is longer.
    threshold: Option<NonZeroUsize>,
}

impl Prepared {
    /// Frames a message, of which it keeps a copy.
    #[must_use]
    pub fn new(message: Message<'_>) -> Self {
        let payload = message.as_bytes();
        let plain = encode(message.kind(), payload, Form::PLAIN);
        Self(Arc::new(Inner {
            kind: message.kind(),
            header_len: plain.len() - payload.len(),
            plain,
            variants: OnceLock::new(),
        }))
    }

    /// Whether the message is text or binary.
    #[must_use]
    pub fn kind(&self) -> MessageKind {
        self.0.kind
    }

    /// The message as it was given, to be read or sent in another way.
    #[must_use]
    pub fn message(&self) -> Message<'_> {
        match self.kind() {
            MessageKind::Binary => Message::Binary(self.as_bytes()),
            // It was made of text.
            MessageKind::Text => Message::Text(str::from_utf8(self.as_bytes()).unwrap_or_default()),
        }
    }

    /// The message as it was given, without a copy.
    #[must_use]
    pub fn payload(&self) -> Bytes {
        self.0.plain.slice(self.0.header_len..)
    }

    /// The message as it was given.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.plain[self.0.header_len..]
    }

    /// The frames that carry the message: compressed as `compressor` would do it, if there is one, and of at most
    /// `threshold` bytes each.
    pub(crate) fn frames(
        &self,
        compressor: Option<&Compressor>,
        threshold: Option<NonZeroUsize>,
    ) -> Result<&Bytes, DeflateError> {
        let form = Form {
            compressed: compressor.map(Compressor::settings),
            // A threshold that cuts nothing makes no difference, but how long the payload gets by compression is not known yet.
            threshold: threshold
                .filter(|threshold| compressor.is_some() || self.as_bytes().len() > threshold.get()),
        };
        if form == Form::PLAIN {
            return Ok(&self.0.plain);
        }
        let frames = self.variant(form).frames.get_or_init(|| {
            let mut deflated = Vec::new();
            let payload = match compressor {
                Some(compressor) => {
                    compressor.compress_alone(self.as_bytes(), &mut deflated)?;
                    &deflated
                }
                None => self.as_bytes(),
            };
            Ok(encode(self.0.kind, payload, form))
        });
        match frames {
            Ok(frames) => Ok(frames),
            Err(error) => Err(*error),
        }
    }

    /// The variant of this form, which others may be making just now.
    fn variant(&self, form: Form) -> &Variant {
        let mut place = &self.0.variants;
        loop {
            let variant = place.get_or_init(|| Box::new(Variant::new(form)));
            if variant.form == form {
                return variant;
            }
            place = &variant.next;
        }
    }
}

impl Form {
    /// One frame that carries the message as it is.
    const PLAIN: Self = Self {
        compressed: None,
        threshold: None,
    };
}

impl Variant {
    fn new(form: Form) -> Self {
        Self {
            form,
            frames: OnceLock::new(),
            next: OnceLock::new(),
        }
    }
}

/// The frames that carry `payload`, which is compressed already.
fn encode(kind: MessageKind, payload: &[u8], form: Form) -> Bytes {
    let whole = DataFrame {
        opcode: kind.opcode(),
        fin: true,
        rsv1: form.compressed.is_some(),
    };
    let threshold = form.threshold.unwrap_or(NonZeroUsize::MAX);
    let mut frames = Vec::with_capacity(payload.len() + MAX_HEADER_LEN);
    for Piece { frame, payload } in pieces(whole, payload, threshold) {
        frame.header(None, payload.len()).append(&mut frames);
        copy::append(&mut frames, payload);
    }
    frames.into()
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared")
            .field("kind", &self.0.kind)
            .field("length", &self.as_bytes().len())
            .finish_non_exhaustive()
    }
}

impl From<Message<'_>> for Prepared {
    fn from(message: Message<'_>) -> Self {
        Self::new(message)
    }
}
