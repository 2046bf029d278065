//! What a WebSocket sends and receives.

use bytes::Bytes;

use super::Blob;
use crate::message::Utf8Bytes;

/// What can be sent: text, a [`Blob`], or bytes.
///
/// Strings, blobs and all kinds of byte strings become one by themselves:
///
/// ```
/// # fn example(ws: sockeye::web::WebSocket) -> Result<(), sockeye::web::DomException> {
/// use sockeye::web::Blob;
///
/// ws.send("text")?;
/// ws.send(Blob::new(["text as ", "bytes"], ""))?;
/// ws.send(vec![1, 2, 3])?;
/// let pixels = [0_u8; 64];
/// ws.send(&pixels[16..32])?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub enum Data {
    /// Sent as a text message.
    Text(Utf8Bytes),
    /// Sent as a binary message, read when its turn comes.
    Blob(Blob),
    /// Sent as a binary message: an `ArrayBuffer`, or the part of one that a view shows.
    Bytes(Bytes),
}

impl Data {
    /// A string of scripts, which is UTF-16 and may be malformed: lone surrogates become U+FFFD (Web IDL §3.2.12,
    /// "convert to a scalar value string").
    #[must_use]
    pub fn from_utf16(text: &[u16]) -> Self {
        Self::Text(String::from_utf16_lossy(text).into())
    }

    /// What the message adds to [`buffered_amount`](super::WebSocket::buffered_amount).
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::Blob(blob) => blob.size(),
            Self::Bytes(bytes) => bytes.len() as u64,
        }
    }
}

macro_rules! from {
    ($($type:ty => |$value:ident| $data:expr;)*) => {$(
        impl From<$type> for Data {
            fn from($value: $type) -> Self {
                $data
            }
        }
    )*};
}

from! {
    &str => |text| Self::Text(text.into());
    String => |text| Self::Text(text.into());
    &String => |text| Self::Text(text.as_str().into());
    Utf8Bytes => |text| Self::Text(text);
    Blob => |blob| Self::Blob(blob);
    &Blob => |blob| Self::Blob(blob.clone());
    Bytes => |bytes| Self::Bytes(bytes);
    Vec<u8> => |bytes| Self::Bytes(bytes.into());
    &[u8] => |bytes| Self::Bytes(Bytes::copy_from_slice(bytes));
    &Vec<u8> => |bytes| Self::Bytes(Bytes::copy_from_slice(bytes));
}

impl<const N: usize> From<[u8; N]> for Data {
    fn from(bytes: [u8; N]) -> Self {
        bytes.as_slice().into()
    }
}

impl<const N: usize> From<&[u8; N]> for Data {
    fn from(bytes: &[u8; N]) -> Self {
        bytes.as_slice().into()
    }
}

/// What was received goes back as it came; `Null` as scripts write it.
impl From<MessageData> for Data {
    fn from(data: MessageData) -> Self {
        match data {
            MessageData::Null => Self::Text(Utf8Bytes::from_static("null")),
            MessageData::Text(text) => Self::Text(text),
            MessageData::Blob(blob) => Self::Blob(blob),
            MessageData::ArrayBuffer(bytes) => Self::Bytes(bytes),
        }
    }
}

impl From<&MessageData> for Data {
    fn from(data: &MessageData) -> Self {
        data.clone().into()
    }
}

/// The `data` of a [`MessageEvent`](super::MessageEvent).
#[derive(Clone, Debug, Default)]
pub enum MessageData {
    /// Nothing: only events that a program makes itself have this.
    #[default]
    Null,
    /// A text message.
    Text(Utf8Bytes),
    /// A binary message while [`BinaryType::Blob`] was set.
    Blob(Blob),
    /// A binary message while [`BinaryType::ArrayBuffer`] was set.
    ArrayBuffer(Bytes),
}

impl MessageData {
    /// The text of a text message.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The bytes of a binary message of either kind, if they lie in memory, as those of a received one do.
    #[must_use]
    pub fn to_bytes(&self) -> Option<Bytes> {
        match self {
            Self::Blob(blob) => blob.in_memory(),
            Self::ArrayBuffer(bytes) => Some(bytes.clone()),
            Self::Null | Self::Text(_) => None,
        }
    }
}

/// How binary messages are handed out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum BinaryType {
    /// As a [`Blob`].
    #[default]
    Blob,
    /// As bytes.
    ArrayBuffer,
}

impl BinaryType {
    /// The value that scripts know: `blob` or `arraybuffer`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blob => "blob",
            Self::ArrayBuffer => "arraybuffer",
        }
    }

    /// Reads the value that scripts know; they may assign others, which the attribute ignores.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "blob" => Some(Self::Blob),
            "arraybuffer" => Some(Self::ArrayBuffer),
            _ => None,
        }
    }
}
