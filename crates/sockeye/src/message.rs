//! Owned messages, and what can be sent as one.

use std::fmt;
use std::ops::Deref;

use bytes::Bytes;
use bytestring::ByteString;
use sockeye_proto::{CloseCode, CloseFrame, MessageKind, Opcode};

/// Shared, immutable UTF-8 text. Cloning it copies no text, and it gives out `&str` for free.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Utf8Bytes(ByteString);

impl Utf8Bytes {
    /// Text that lives as long as the program: copies nothing.
    #[must_use]
    pub const fn from_static(text: &'static str) -> Self {
        Self(ByteString::from_static(text))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Bytes as text, without a copy.
    ///
    /// # Errors
    ///
    /// The bytes are not UTF-8.
    pub fn from_utf8(bytes: Bytes) -> Result<Self, std::str::Utf8Error> {
        ByteString::try_from(bytes).map(Self)
    }

    /// Bytes that are to be a copy of `text`, as text. They are compared, which takes a fraction of the time that it
    /// takes to see that they are UTF-8.
    #[allow(unsafe_code)]
    pub(crate) fn from_copy(copy: Bytes, text: &str) -> Self {
        if copy == text.as_bytes() {
            // SAFETY: the bytes are equal to those of a `str`, which are UTF-8, and `Bytes` never change.
            Self(unsafe { ByteString::from_bytes_unchecked(copy) })
        } else {
            text.into()
        }
    }

    /// The text as bytes, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0.into_bytes()
    }
}

impl Deref for Utf8Bytes {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Utf8Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Utf8Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl AsRef<str> for Utf8Bytes {
    fn as_ref(&self) -> &str {
        self
    }
}

impl From<&str> for Utf8Bytes {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Utf8Bytes {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<Utf8Bytes> for Bytes {
    fn from(text: Utf8Bytes) -> Self {
        text.into_bytes()
    }
}

impl PartialEq<str> for Utf8Bytes {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Utf8Bytes {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

/// A whole message.
///
/// Cloning it copies no payload, so one message can be kept for many receivers.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Message {
    /// A text message.
    Text(Utf8Bytes),
    /// A binary message.
    Binary(Bytes),
}

impl Message {
    /// A text message.
    pub fn text(text: impl Into<Utf8Bytes>) -> Self {
        Self::Text(text.into())
    }

    /// A binary message.
    pub fn binary(bytes: impl Into<Bytes>) -> Self {
        Self::Binary(bytes.into())
    }

    /// Whether the message is text or binary.
    #[must_use]
    pub const fn kind(&self) -> MessageKind {
        match self {
            Self::Text(_) => MessageKind::Text,
            Self::Binary(_) => MessageKind::Binary,
        }
    }

    /// The text, `None` for a binary message.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }

    /// The payload, of either kind.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// The payload, of either kind, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// The length of the payload in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether the payload is empty. Empty messages are real messages.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Copies the payload.
impl From<sockeye_proto::Message<'_>> for Message {
    fn from(message: sockeye_proto::Message<'_>) -> Self {
        match message {
            sockeye_proto::Message::Text(text) => Self::from(text),
            sockeye_proto::Message::Binary(bytes) => Self::from(bytes),
        }
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl From<Utf8Bytes> for Message {
    fn from(text: Utf8Bytes) -> Self {
        Self::Text(text)
    }
}

impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Self {
        Self::Binary(bytes)
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self::binary(bytes)
    }
}

impl From<&[u8]> for Message {
    fn from(bytes: &[u8]) -> Self {
        Self::Binary(Bytes::copy_from_slice(bytes))
    }
}

/// A piece of a message, as [`WebSocket::recv_chunk`](crate::WebSocket::recv_chunk) gives it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chunk {
    /// The kind of the message.
    pub kind: MessageKind,
    /// The bytes, unmasked and inflated; may be empty. Text is valid UTF-8 so far, and may be cut inside a code
    /// point.
    pub payload: Bytes,
    /// Whether this is the first piece of its message.
    pub starts_message: bool,
    /// Whether the frame that carried it ends here.
    pub ends_frame: bool,
    /// Whether the message ends here.
    pub ends_message: bool,
}

impl Chunk {
    /// A message in one piece.
    pub(crate) fn whole(message: Message) -> Self {
        Self {
            kind: message.kind(),
            payload: message.into_bytes(),
            starts_message: true,
            ends_frame: true,
            ends_message: true,
        }
    }
}

/// One frame, as [`WebSocket::recv_frame`](crate::WebSocket::recv_frame) gives it and
/// [`Sender::send_frame`](crate::Sender::send_frame) takes it: RFC 6455 §5.2 without masking and compression.
///
/// ```
/// use sockeye::{Frame, Opcode};
///
/// let first = Frame::text("sock").not_last();
/// let second = Frame::continuation("eye");
/// assert!(!first.fin && second.fin);
/// assert_eq!(second.opcode, Opcode::Continuation);
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// What the frame is. The first frame of a message tells the kind; the others are continuations.
    pub opcode: Opcode,
    /// Whether this frame is the last of its message; always so for control frames.
    pub fin: bool,
    /// The payload, unmasked and inflated. Of text, a frame may begin and end inside a code point.
    pub payload: Bytes,
}

impl Frame {
    /// A text message, or its first frame.
    pub fn text(text: impl Into<Utf8Bytes>) -> Self {
        Self::new(Opcode::Text, text.into().into_bytes())
    }

    /// A binary message, or its first frame.
    pub fn binary(payload: impl Into<Bytes>) -> Self {
        Self::new(Opcode::Binary, payload.into())
    }

    /// A further frame of the message in progress, its last.
    pub fn continuation(payload: impl Into<Bytes>) -> Self {
        Self::new(Opcode::Continuation, payload.into())
    }

    /// A Ping.
    pub fn ping(payload: impl Into<Bytes>) -> Self {
        Self::new(Opcode::Ping, payload.into())
    }

    /// A Pong.
    pub fn pong(payload: impl Into<Bytes>) -> Self {
        Self::new(Opcode::Pong, payload.into())
    }

    /// A Close frame; a reason longer than 123 bytes is cut at a character boundary.
    #[must_use]
    pub fn close(code: CloseCode, reason: &str) -> Self {
        Self::from_close(Some(CloseFrame::truncated(code, reason)))
    }

    pub(crate) fn from_close(frame: Option<CloseFrame<'_>>) -> Self {
        let mut payload = Vec::new();
        if let Some(frame) = frame {
            payload.extend_from_slice(&frame.code().get().to_be_bytes());
            payload.extend_from_slice(frame.reason().as_bytes());
        }
        Self::new(Opcode::Close, payload.into())
    }

    /// The same frame without FIN: more of its message follows.
    #[must_use]
    pub fn not_last(mut self) -> Self {
        self.fin = false;
        self
    }

    const fn new(opcode: Opcode, payload: Bytes) -> Self {
        Self {
            opcode,
            fin: true,
            payload,
        }
    }

    pub(crate) fn as_frame(&self) -> sockeye_proto::Frame<'_> {
        sockeye_proto::Frame {
            opcode: self.opcode,
            fin: self.fin,
            payload: &self.payload,
        }
    }
}

/// Anything that can be sent as one message without being copied into a [`Message`] first.
///
/// Strings are sent as text, bytes as binary.
pub trait AsMessage {
    /// The message to send.
    fn as_message(&self) -> sockeye_proto::Message<'_>;
}

impl<T: AsMessage + ?Sized> AsMessage for &T {
    fn as_message(&self) -> sockeye_proto::Message<'_> {
        (**self).as_message()
    }
}

impl AsMessage for sockeye_proto::Message<'_> {
    fn as_message(&self) -> sockeye_proto::Message<'_> {
        *self
    }
}

impl AsMessage for Message {
    fn as_message(&self) -> sockeye_proto::Message<'_> {
        match self {
            Self::Text(text) => sockeye_proto::Message::Text(text),
            Self::Binary(bytes) => sockeye_proto::Message::Binary(bytes),
        }
    }
}

macro_rules! as_text {
    ($($type:ty),*) => {$(
        impl AsMessage for $type {
            fn as_message(&self) -> sockeye_proto::Message<'_> {
                sockeye_proto::Message::Text(self)
            }
        }
    )*};
}

macro_rules! as_binary {
    ($($type:ty),*) => {$(
        impl AsMessage for $type {
            fn as_message(&self) -> sockeye_proto::Message<'_> {
                sockeye_proto::Message::Binary(self)
            }
        }
    )*};
}

as_text!(str, String, Utf8Bytes);
as_binary!([u8], Vec<u8>, Bytes);

impl<const N: usize> AsMessage for [u8; N] {
    fn as_message(&self) -> sockeye_proto::Message<'_> {
        sockeye_proto::Message::Binary(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_text_and_bytes_are_binary() {
        use sockeye_proto::Message as Borrowed;
        assert_eq!("a".as_message(), Borrowed::Text("a"));
        assert_eq!(String::from("a").as_message(), Borrowed::Text("a"));
        assert_eq!([1u8, 2].as_message(), Borrowed::Binary(&[1, 2]));
        assert_eq!(vec![1u8].as_message(), Borrowed::Binary(&[1]));
        assert_eq!(Message::from("é").as_message(), Borrowed::Text("é"));
        assert_eq!((&&Message::from(vec![7])).as_message(), Borrowed::Binary(&[7]));
    }

    #[test]
    fn a_copy_of_text_is_text_and_other_bytes_are_not_taken_for_it() {
        let copy = Bytes::from("Grüße".as_bytes().to_vec());
        let address = copy.as_ptr();
        let text = Utf8Bytes::from_copy(copy, "Grüße");
        assert_eq!((text.as_str(), text.as_ptr()), ("Grüße", address));
        for other in [&b"Gr\xFF"[..], b"Gr", b""] {
            let text = Utf8Bytes::from_copy(Bytes::copy_from_slice(other), "Grüße");
            assert_eq!(text, "Grüße");
        }
    }

    #[test]
    fn a_string_becomes_a_message_without_a_copy() {
        let text = String::from("sockeye");
        let address = text.as_ptr();
        let Message::Text(text) = Message::from(text) else {
            unreachable!()
        };
        assert_eq!(text.as_ptr(), address);
        assert_eq!(text.into_bytes().as_ptr(), address);
    }
}
