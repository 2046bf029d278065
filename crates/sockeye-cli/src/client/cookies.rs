//! A file of cookies that curl and wget can read too.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};

use sockeye::cookies::CookieStore;

use crate::error::Failure;

/// The cookies of a file. [`save`](Self::save) writes back what servers have changed.
#[derive(Debug)]
pub(crate) struct CookieJar {
    path: PathBuf,
    store: CookieStore,
    /// What the file had in it.
    read: Vec<u8>,
}

impl CookieJar {
    /// Reads the file; one that is not there yet has no cookies.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let store = CookieStore::new();
        match File::open(path) {
            Ok(file) => {
                store
                    .read_netscape(BufReader::new(file))
                    .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                return Err(Failure::usage(format!("cannot read {}: {error}", path.display())));
            }
        }
        let mut jar = Self {
            path: path.to_owned(),
            store,
            read: Vec::new(),
        };
        jar.read = jar.text();
        Ok(jar)
    }

    pub(super) fn store(&self) -> CookieStore {
        self.store.clone()
    }

    /// Writes the cookies back if any has changed.
    pub(crate) fn save(&mut self) -> Result<(), Failure> {
        let text = self.text();
        if text == self.read {
            return Ok(());
        }
        self.replace(&text)
            .map_err(|error| Failure::new(format!("cannot write {}: {error}", self.path.display())))?;
        self.read = text;
        Ok(())
    }

    /// Puts a whole new file in the place of the old one: an interrupt leaves one or the other.
    fn replace(&self, text: &[u8]) -> std::io::Result<()> {
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        // Made for its owner alone: cookies are secrets.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(text)?;
        file.persist(&self.path)?;
        Ok(())
    }

    fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        // Memory takes everything.
        let _ = self.store.write_netscape(&mut text);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_read_and_what_has_changed_is_written_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jar");
        let mut jar = CookieJar::open(&path).unwrap();
        jar.save().unwrap();
        assert!(!path.exists(), "nothing has changed");

        jar.store()
            .set("https://example.org/", "a=1; Max-Age=1000; Path=/")
            .unwrap();
        jar.save().unwrap();
        let again = CookieJar::open(&path).unwrap();
        assert_eq!(again.store().get("wss://example.org/").as_deref(), Some("a=1"));
    }

    #[test]
    fn a_file_of_something_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jar");
        std::fs::write(&path, "no cookies").unwrap();
        assert!(CookieJar::open(&path).unwrap_err().to_string().contains("jar: "));
    }
}
