//! Installs what the tests need, and only what is missing.
//!
//! Debian packages come through apt; everything else goes to the ignored `.tools/` of the checkout. Each
//! installation leaves a stamp that holds all its inputs, so that a second run costs nothing.

mod apt;
mod node;
mod python;
mod sources;
mod wstest;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::checkout;
pub(crate) use apt::chromium;
pub(crate) use node::{node, node_program};
pub(crate) use wstest::{Suite, suite};

/// Something that a test step needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// The browser, and a font with Chinese glyphs.
    Chromium,
    /// A C++ compiler, for libFuzzer.
    CxxCompiler,
    /// OpenSSL and zlib, for a server in C++ that is measured.
    CxxLibraries,
    /// Valgrind, which counts instructions.
    Valgrind,
    /// Node.js alone.
    Node,
    /// The pinned Node packages.
    NodePackages,
    /// The pinned Python packages.
    PythonPackages,
    /// The Autobahn test suite.
    Autobahn,
}

impl Tool {
    /// Every tool there is.
    pub(crate) const ALL: [Self; 8] = [
        Self::Chromium,
        Self::CxxCompiler,
        Self::CxxLibraries,
        Self::Valgrind,
        Self::Node,
        Self::NodePackages,
        Self::PythonPackages,
        Self::Autobahn,
    ];
}

/// Installs `tools`.
///
/// # Errors
///
/// Something cannot be installed; the message says what to do about it.
pub(crate) fn ensure(tools: &[Tool]) -> Result<()> {
    apt::ensure(tools)?;
    for tool in tools {
        match tool {
            Tool::Chromium | Tool::CxxCompiler | Tool::CxxLibraries | Tool::Valgrind => {}
            Tool::Node => {
                node::find()?;
            }
            Tool::NodePackages => {
                node()?;
            }
            Tool::PythonPackages => {
                python::python()?;
            }
            Tool::Autobahn => {
                suite()?;
            }
        }
    }
    Ok(())
}

/// An installation in a folder of `.tools/`, done again whenever its inputs change.
struct Installation {
    folder: PathBuf,
    stamp: PathBuf,
    inputs: String,
}

impl Installation {
    /// Describes an installation; `inputs` is everything that decides its content.
    fn new(name: &str, inputs: &[&str]) -> Self {
        let folder = checkout::tools().join(name);
        let stamp = folder.join("installed-from.txt");
        // Virtual environments hold absolute paths: a moved checkout is another input.
        let inputs = format!("{}\n{}\n", folder.display(), inputs.join("\n"));
        Self {
            folder,
            stamp,
            inputs,
        }
    }

    fn is_current(&self) -> bool {
        std::fs::read_to_string(&self.stamp).is_ok_and(|stamp| stamp == self.inputs)
    }

    /// Runs `install` in the emptied folder, unless a former run did so with the same inputs.
    fn ensure(&self, what: &str, install: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        if self.is_current() {
            return Ok(());
        }
        eprintln!("setup: installing {what}");
        checkout::renew(&self.folder)?;
        install(&self.folder).with_context(|| format!("cannot install {what}"))?;
        checkout::write(&self.stamp, &self.inputs)
    }
}
