//! Immutable bytes that may lie in memory or in files (File API §3).

use std::fmt;
use std::io::{self, SeekFrom};
use std::ops::{Bound, RangeBounds};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::DomException;
use crate::message::Utf8Bytes;

/// Immutable bytes with a media type, in memory or in files that are read when the bytes are asked for.
///
/// Cheap to clone and to slice: neither copies bytes.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), sockeye::web::DomException> {
/// use sockeye::web::Blob;
///
/// let blob = Blob::new(["red ", "salmon"], "text/plain");
/// assert_eq!((blob.size(), blob.type_()), (10, "text/plain"));
/// assert_eq!(blob.slice(4.., "").text().await?, "salmon");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Blob {
    parts: Arc<[Part]>,
    size: u64,
    type_: Arc<str>,
}

/// One stretch of a blob.
#[derive(Clone, Debug)]
enum Part {
    Memory(Bytes),
    File(Stretch),
}

/// A stretch of a file.
#[derive(Clone, Debug)]
struct Stretch {
    file: Arc<FileState>,
    start: u64,
    length: u64,
}

/// The file as it was when the blob was made: one that has changed since cannot be read.
#[derive(Debug)]
struct FileState {
    path: PathBuf,
    size: u64,
    modified: Option<SystemTime>,
}

/// What a [`Blob`] can be made of: bytes, strings, and other blobs.
#[derive(Clone, Debug)]
pub struct BlobPart(Blob);

impl Blob {
    /// Puts parts together. `type_` is a media type, or empty; one with characters outside of visible ASCII counts as
    /// empty, and upper case becomes lower case.
    pub fn new<P: Into<BlobPart>>(parts: impl IntoIterator<Item = P>, type_: &str) -> Self {
        let parts = parts.into_iter().map(|part| part.into().0);
        let parts = parts.flat_map(|blob| blob.parts.to_vec());
        Self::of(parts.filter(|part| part.len() > 0).collect(), type_)
    }

    /// The content of a file, which is read when it is needed. If the file has changed until then, reading fails.
    ///
    /// # Errors
    ///
    /// `NotFoundError` or `NotReadableError`: the file is not there, or may not be looked at.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn from_file(path: impl AsRef<Path>) -> Result<Self, DomException> {
        let path = path.as_ref();
        let metadata = tokio::fs::metadata(path)
            .await
            .and_then(|metadata| match metadata.is_file() {
                true => Ok(metadata),
                false => Err(io::Error::other("not a file")),
            });
        let metadata = metadata.map_err(|error| not_readable(&error))?;
        let file = FileState {
            path: path.to_owned(),
            size: metadata.len(),
            modified: metadata.modified().ok(),
        };
        let stretch = Stretch {
            start: 0,
            length: file.size,
            file: Arc::new(file),
        };
        Ok(Self::of(vec![Part::File(stretch)], ""))
    }

    fn of(parts: Vec<Part>, type_: &str) -> Self {
        let plain = type_.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        Self {
            size: parts.iter().map(Part::len).sum(),
            parts: parts.into(),
            type_: if plain { type_ } else { "" }.to_ascii_lowercase().into(),
        }
    }

    /// The number of bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The media type in lower case, empty if it is not known.
    #[must_use]
    pub fn type_(&self) -> &str {
        &self.type_
    }

    /// A part of this blob as one of its own. What lies behind the end is cut off.
    #[must_use]
    pub fn slice(&self, range: impl RangeBounds<u64>, type_: &str) -> Self {
        let start = match range.start_bound() {
            Bound::Included(&start) => start,
            Bound::Excluded(&before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&last) => last.saturating_add(1),
            Bound::Excluded(&end) => end,
            Bound::Unbounded => self.size,
        };
        let mut at = 0;
        let cut = self.parts.iter().filter_map(|part| {
            let (from, to) = (start.max(at) - at, end.min(at + part.len()).saturating_sub(at));
            at += part.len();
            (from < to).then(|| part.cut(from, to))
        });
        Self::of(cut.collect(), type_)
    }

    /// The bytes, if they lie in memory in one piece, as those of a received message do: for listeners, which cannot
    /// wait.
    #[must_use]
    pub fn in_memory(&self) -> Option<Bytes> {
        match &*self.parts {
            [] => Some(Bytes::new()),
            [Part::Memory(bytes)] => Some(bytes.clone()),
            _ => None,
        }
    }

    /// Reads the bytes.
    ///
    /// # Errors
    ///
    /// `NotReadableError` or `NotFoundError`: a file cannot be read, or has changed since the blob was made.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn bytes(&self) -> Result<Bytes, DomException> {
        self.read().await.map_err(|error| not_readable(&error))
    }

    /// Reads the bytes as UTF-8: what is none becomes U+FFFD, and a byte order mark in front is left out.
    ///
    /// # Errors
    ///
    /// As [`bytes`](Self::bytes).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn text(&self) -> Result<Utf8Bytes, DomException> {
        let bytes = self.bytes().await?;
        let text = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
        Ok(String::from_utf8_lossy(text).into_owned().into())
    }

    pub(crate) async fn read(&self) -> io::Result<Bytes> {
        if let Some(bytes) = self.in_memory() {
            return Ok(bytes);
        }
        let mut all = BytesMut::new();
        for part in &*self.parts {
            match part {
                Part::Memory(bytes) => all.extend_from_slice(bytes),
                Part::File(stretch) => stretch.read(&mut all).await?,
            }
        }
        Ok(all.freeze())
    }
}

impl Part {
    fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(stretch) => stretch.length,
        }
    }

    fn cut(&self, from: u64, to: u64) -> Self {
        match self {
            // A length that lies in memory fits into `usize`.
            Self::Memory(bytes) => Self::Memory(bytes.slice(from as usize..to as usize)),
            Self::File(stretch) => Self::File(Stretch {
                file: stretch.file.clone(),
                start: stretch.start + from,
                length: to - from,
            }),
        }
    }
}

impl Stretch {
    async fn read(&self, out: &mut BytesMut) -> io::Result<()> {
        let mut file = File::open(&self.file.path).await?;
        let metadata = file.metadata().await?;
        if (metadata.len(), metadata.modified().ok()) != (self.file.size, self.file.modified) {
            return Err(io::Error::other("the file has changed since the blob was made"));
        }
        file.seek(SeekFrom::Start(self.start)).await?;
        let mut file = file.take(self.length);
        while file.limit() > 0 {
            if file.read_buf(out).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }
}

fn not_readable(error: &io::Error) -> DomException {
    let name = match error.kind() {
        io::ErrorKind::NotFound => "NotFoundError",
        _ => "NotReadableError",
    };
    DomException::new(format!("the file cannot be read: {error}"), name)
}

/// Without the bytes.
impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blob")
            .field("size", &self.size)
            .field("type", &self.type_)
            .finish_non_exhaustive()
    }
}

/// Copies nothing.
impl From<Bytes> for Blob {
    fn from(bytes: Bytes) -> Self {
        Self::new([bytes], "")
    }
}

impl From<Blob> for BlobPart {
    fn from(blob: Blob) -> Self {
        Self(blob)
    }
}

impl From<&Blob> for BlobPart {
    fn from(blob: &Blob) -> Self {
        Self(blob.clone())
    }
}

impl From<Bytes> for BlobPart {
    fn from(bytes: Bytes) -> Self {
        Self(Blob::of(vec![Part::Memory(bytes)], ""))
    }
}

impl From<Vec<u8>> for BlobPart {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<&[u8]> for BlobPart {
    fn from(bytes: &[u8]) -> Self {
        Bytes::copy_from_slice(bytes).into()
    }
}

impl From<&str> for BlobPart {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

impl From<String> for BlobPart {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn parts_of_every_kind_become_one_blob_that_can_be_cut_anywhere() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        tokio::fs::write(&path, "fghij").await.unwrap();
        let parts: [BlobPart; 4] = [
            "abc".into(),
            vec![b'd', b'e'].into(),
            Blob::from_file(&path).await.unwrap().into(),
            Blob::new(["k", "l"], "").into(),
        ];
        let blob = Blob::new(parts, "");
        let all = "abcdefghijkl";
        assert_eq!(blob.size(), 12);
        assert_eq!(blob.text().await.unwrap(), all);
        for start in 0..14_u64 {
            for end in 0..14_u64 {
                let piece = blob.slice(start..end, "");
                let (from, to) = (start.min(12) as usize, end.min(12) as usize);
                let want = all.get(from..to.max(from)).unwrap();
                assert_eq!(piece.text().await.unwrap(), want, "{start}..{end}");
                assert_eq!(piece.size(), want.len() as u64);
            }
        }
        assert_eq!(blob.slice(1..=6, "").slice(2.., "").text().await.unwrap(), "defg");
    }

    #[tokio::test]
    async fn a_file_that_has_changed_cannot_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        tokio::fs::write(&path, "before").await.unwrap();
        let blob = Blob::from_file(&path).await.unwrap();
        tokio::fs::write(&path, "afterwards").await.unwrap();
        assert_eq!(blob.bytes().await.unwrap_err().name(), "NotReadableError");
        tokio::fs::remove_file(&path).await.unwrap();
        assert_eq!(blob.bytes().await.unwrap_err().name(), "NotFoundError");
        for missing in [path.as_path(), folder.path()] {
            assert!(Blob::from_file(missing).await.is_err());
        }
    }

    #[test]
    fn the_type_is_lower_case_visible_ascii_or_empty() {
        for (given, want) in [
            ("Text/Plain", "text/plain"),
            ("text/пример", ""),
            ("a\n", ""),
            ("", ""),
        ] {
            assert_eq!(Blob::new([""; 0], given).type_(), want);
        }
        assert_eq!(Blob::new(["a"], "a/b").slice(.., "c/d").type_(), "c/d");
    }

    #[tokio::test]
    async fn text_is_decoded_leniently() {
        for (bytes, want) in [
            (&b"\xef\xbb\xbfsalmon"[..], "salmon"),
            (b"a\xffb", "a\u{fffd}b"),
            (b"", ""),
        ] {
            assert_eq!(Blob::new([bytes], "").text().await.unwrap(), want);
        }
    }
}
