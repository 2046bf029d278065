//! Node.js and the pinned Node packages.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Installation, python};
use crate::checkout;
use crate::process::run_quiet;

/// The oldest Node.js that the packages work with.
const OLDEST_MAJOR: u32 = 20;

/// Time for npm to download and unpack a few packages.
const NPM_TIME: Duration = Duration::from_secs(10 * 60);

/// A Node.js, and how to run its programs.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// A folder to search before the others; `None` when the machine's own Node.js serves.
    folder: Option<PathBuf>,
    version: String,
}

impl Node {
    /// A command for one of the programs that come with it: `node` or `npm`.
    pub(crate) fn command(&self, program: &str) -> Command {
        let Some(folder) = &self.folder else {
            return Command::new(program);
        };
        let mut command = Command::new(folder.join(program));
        if let Ok(path) = self.search_path() {
            command.env("PATH", path);
        }
        command
    }

    /// The `PATH` under which its programs are found first.
    pub(crate) fn search_path(&self) -> Result<OsString> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = self.folder.iter().cloned().chain(std::env::split_paths(&path));
        std::env::join_paths(folders).context("a folder of PATH has a colon in its name")
    }

    fn probe(folder: Option<PathBuf>) -> Option<Self> {
        let mut node = Self {
            folder,
            version: String::new(),
        };
        let ask = |program| run_quiet(node.command(program).arg("--version"), Duration::from_secs(60)).ok();
        ask("npm")?;
        let version = ask("node")?.trim().to_owned();
        node.version = version;
        (node.major()? >= OLDEST_MAJOR).then_some(node)
    }

    fn major(&self) -> Option<u32> {
        self.version.strip_prefix('v')?.split('.').next()?.parse().ok()
    }
}

/// A Node.js that is new enough, with the packages of `tests/node/package.json` in `.tools/node`.
pub(crate) fn node() -> Result<Node> {
    let node = find()?;
    let sources = checkout::root().join("tests/node");
    let files = ["package.json", "package-lock.json", ".npmrc"];
    let texts = files
        .iter()
        .map(|file| checkout::read(&sources.join(file)))
        .collect::<Result<Vec<_>>>()?;
    let mut inputs: Vec<&str> = texts.iter().map(String::as_str).collect();
    inputs.push(&node.version);
    Installation::new("node", &inputs).ensure("Node packages", |folder| {
        for (file, text) in files.iter().zip(&texts) {
            checkout::write(&folder.join(file), text)?;
        }
        install_packages(&node, folder)
    })?;
    Ok(node)
}

/// A `node` command, with or without the packages installed.
pub(crate) fn node_program() -> Result<Command> {
    Ok(find()?.command("node"))
}

fn install_packages(node: &Node, folder: &Path) -> Result<()> {
    run_quiet(
        node.command("npm")
            .args(["ci", "--ignore-scripts"])
            .current_dir(folder),
        NPM_TIME,
    )?;
    Ok(())
}

/// The machine's Node.js when it is new enough, else one of the checkout's own.
pub(super) fn find() -> Result<Node> {
    if let Some(node) = find_on_path() {
        return Ok(node);
    }
    let list = checkout::root().join("tests/python/node-requirements.txt");
    let interpreter = python::virtual_environment("nodejs", "Node.js", &list)?;
    let folder = interpreter.parent().context("an interpreter without a folder")?;
    Node::probe(Some(folder.to_owned())).with_context(|| {
        format!("no Node.js {OLDEST_MAJOR} or newer found, and the packaged one does not run")
    })
}

/// The machine's own Node.js, if it has one that is new enough, with npm.
pub(super) fn find_on_path() -> Option<Node> {
    Node::probe(None)
}
