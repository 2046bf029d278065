//! The Autobahn test suite.
//!
//! `wstest` is Python 2 code. Debian 11 is the last release that has CPython 2.7, and its packages run on later
//! releases when they are unpacked into a folder of their own; nothing is installed system-wide. Where those
//! packages cannot be had, `kosoku` runs the same case files with a little less rigour.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::{Installation, python, sources};
use crate::checkout;
use crate::process::run_quiet;

/// The Debian release that still has Python 2.7.
const RELEASE: &str = "bullseye";

/// The keys that its package lists are signed with.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// What the interpreter consists of, its headers (one dependency of the suite is compiled) and its libraries.
const PACKAGES: [&str; 7] = [
    "python2.7",
    "python2.7-minimal",
    "libpython2.7-minimal",
    "libpython2.7-stdlib",
    "libpython2.7-dev",
    "libssl1.1",
    "libffi7",
];

/// Where Debian puts the shared libraries of the one architecture this is done for.
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

const DOWNLOAD_TIME: Duration = Duration::from_secs(10 * 60);

/// The program that plays Autobahn's part.
#[derive(Clone, Debug)]
pub(crate) enum Suite {
    /// The official one.
    Wstest { program: PathBuf, libraries: PathBuf },
    /// The stand-in.
    Kosoku { program: PathBuf },
}

impl Suite {
    /// A command that starts the suite's program.
    pub(crate) fn command(&self) -> Command {
        match self {
            Self::Wstest { program, libraries } => {
                let mut command = Command::new(program);
                // The unpacked interpreter finds its OpenSSL and libffi only this way.
                command
                    .env("LD_LIBRARY_PATH", libraries)
                    .env("PYTHONUNBUFFERED", "1");
                command
            }
            Self::Kosoku { program } => {
                let mut command = Command::new(program);
                command.env("PYTHONUNBUFFERED", "1");
                command
            }
        }
    }
}

/// The Autobahn test suite, installed when it is not yet.
pub(crate) fn suite() -> Result<Suite> {
    // Asked once per run: where the official suite cannot be had, trying again only costs time.
    static SUITE: Mutex<Option<Suite>> = Mutex::new(None);
    let mut suite = SUITE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(suite) = &*suite {
        return Ok(suite.clone());
    }
    let found = official().or_else(|error| {
        eprintln!(
            "\n!! The official Autobahn test suite cannot be installed:\n!! {error:#}\n\
             !! Its cases are run by kosoku instead, which is a little less strict.\n"
        );
        stand_in()
    })?;
    Ok(suite.insert(found).clone())
}

fn official() -> Result<Suite> {
    let tools_list = checkout::root().join("tests/autobahn/virtualenv-requirements.txt");
    let suite_list = checkout::root().join("tests/autobahn/requirements.txt");
    let inputs = [checkout::read(&tools_list)?, checkout::read(&suite_list)?];
    let installation = Installation::new("wstest", &[RELEASE, &inputs[0], &inputs[1]]);
    let root = installation.folder.join("python2.7");
    let suite = Suite::Wstest {
        program: installation.folder.join("environment/bin/wstest"),
        libraries: root.join(LIBRARIES),
    };
    installation.ensure("the Autobahn test suite, with a Python 2.7 for it", |folder| {
        unpack_interpreter(folder, &root)?;
        // The last virtualenv that makes environments for Python 2.7.
        let virtualenv = python::virtual_environment("virtualenv", "virtualenv", &tools_list)?;
        let environment = folder.join("environment");
        let python27 = Interpreter { root: &root };
        run_quiet(
            python27
                .with_its_libraries(Command::new(virtualenv).args([
                    "-m",
                    "virtualenv",
                    "--quiet",
                    "--python",
                ]))
                .arg(root.join("usr/bin/python2.7"))
                .args([
                    "--download",
                    "--pip",
                    "20.3.4",
                    "--setuptools",
                    "44.1.1",
                    "--wheel",
                    "0.37.1",
                ])
                .arg(&environment),
            python::PIP_TIME,
        )?;
        run_quiet(
            python27
                .with_its_libraries(&mut python::pip_install(&environment.join("bin/python")))
                .args(["--no-cache-dir", "--requirement"])
                .arg(&suite_list),
            python::PIP_TIME,
        )?;
        run_quiet(suite.command().arg("--autobahnversion"), python::PIP_TIME)?;
        Ok(())
    })?;
    Ok(suite)
}

/// An unpacked interpreter, not installed where it expects to be.
struct Interpreter<'a> {
    root: &'a Path,
}

impl Interpreter<'_> {
    fn with_its_libraries<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        let headers = [
            self.root.join("usr/include/python2.7"),
            self.root.join("usr/include"),
        ];
        if let Ok(headers) = std::env::join_paths(headers) {
            command.env("CPATH", headers);
        }
        command.env("LD_LIBRARY_PATH", self.root.join(LIBRARIES))
    }
}

fn unpack_interpreter(folder: &Path, root: &Path) -> Result<()> {
    let architecture = run_quiet(Command::new("dpkg").arg("--print-architecture"), DOWNLOAD_TIME)?;
    ensure!(
        architecture.trim() == "amd64",
        "its dependencies exist for amd64 only"
    );
    for package in packages(folder)? {
        run_quiet(
            Command::new("dpkg").arg("-x").arg(package).arg(root),
            DOWNLOAD_TIME,
        )?;
    }
    Ok(())
}

/// The Debian packages, out of the user's cache or from the machine's mirror.
fn packages(scratch: &Path) -> Result<Vec<PathBuf>> {
    // The release is past its support: what was downloaded once is kept, in case the mirrors let it go.
    let cache = checkout::cache(&format!("{RELEASE}-python2.7"))?;
    if !cache.exists() {
        let downloaded = scratch.join("packages");
        checkout::create(&downloaded)?;
        download(scratch, &downloaded)?;
        move_into_place(&downloaded, &cache)?;
    }
    let entries = std::fs::read_dir(&cache).with_context(|| format!("cannot read {}", cache.display()))?;
    let files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    if files.len() != PACKAGES.len() {
        bail!("{} is incomplete: remove it and try again", cache.display());
    }
    Ok(files)
}

/// Asks the machine's own mirror for the packages, with apt's signature checks but apart from its lists.
fn download(scratch: &Path, into: &Path) -> Result<()> {
    let mirror = sources::mirror()?;
    let lists = scratch.join("lists");
    let cache = scratch.join("cache");
    checkout::create(&lists.join("partial"))?;
    checkout::create(&cache.join("archives/partial"))?;
    let sources = scratch.join("sources.list");
    checkout::write(
        &sources,
        &format!("deb [signed-by={KEYRING}] {mirror} {RELEASE} main\n"),
    )?;
    let configuration = scratch.join("apt.conf");
    checkout::write(
        &configuration,
        &format!(
            "Dir::Etc::sourcelist \"{}\";\nDir::Etc::sourceparts \"-\";\n\
             Dir::State::lists \"{}\";\nDir::Cache \"{}\";\n\
             APT::Architecture \"amd64\";\nAPT::Sandbox::User \"root\";\n",
            sources.display(),
            lists.display(),
            cache.display()
        ),
    )?;
    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command
            .arg("-qq")
            .args(arguments)
            .env("APT_CONFIG", &configuration)
            .current_dir(into);
        run_quiet(&mut command, DOWNLOAD_TIME)
    };
    apt_get(&["update"])?;
    apt_get(&[&["download"], PACKAGES.as_slice()].concat())?;
    Ok(())
}

/// Moves the complete download into the cache, file by file since that may be another file system.
fn move_into_place(downloaded: &Path, cache: &Path) -> Result<()> {
    let unfinished = cache.with_extension(format!("{}.partial", std::process::id()));
    checkout::create(&unfinished)?;
    for entry in std::fs::read_dir(downloaded).context("cannot read the download")? {
        let entry = entry.context("cannot read the download")?;
        std::fs::copy(entry.path(), unfinished.join(entry.file_name())).context("cannot fill the cache")?;
    }
    if std::fs::rename(&unfinished, cache).is_err() {
        // Another run was faster.
        checkout::remove(&unfinished)?;
    }
    Ok(())
}

fn stand_in() -> Result<Suite> {
    let list = checkout::root().join("tests/autobahn/kosoku-requirements.txt");
    let interpreter = python::virtual_environment("kosoku", "kosoku", &list)?;
    let script = "import kosoku, os; print(os.path.dirname(kosoku.__file__))";
    let package = run_quiet(Command::new(&interpreter).args(["-c", script]), DOWNLOAD_TIME)?;
    accept_uncompressed_replies(Path::new(package.trim()))?;
    let folder = interpreter.parent().context("an interpreter without a folder")?;
    Ok(Suite::Kosoku {
        program: folder.join("kosoku"),
    })
}

/// Mends a fault of kosoku 0.1.0: a reply that was sent uncompressed, which RFC 7692 §6 allows, reaches the
/// compression cases as a `str`, whose hash they cannot compute.
fn accept_uncompressed_replies(package: &Path) -> Result<()> {
    let file = package.join("cases/case12_x_x.py");
    let text = checkout::read(&file)?;
    let mended = mend_hash(&text);
    if mended == text {
        Ok(())
    } else {
        checkout::write(&file, &mended)
    }
}

fn mend_hash(cases: &str) -> String {
    const HEAD: &str = "def onMessage(self, msg, binary):\n";
    const FIX: &str = "   if isinstance(msg, str):\n      msg = msg.encode('utf-8')\n";
    if cases.contains(FIX) {
        cases.to_owned()
    } else {
        cases.replace(HEAD, &format!("{HEAD}{FIX}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mending_the_stand_in_twice_changes_nothing_more() {
        let mended = mend_hash("x\ndef onMessage(self, msg, binary):\n   m = hash()\n");
        assert_eq!(
            mended,
            "x\ndef onMessage(self, msg, binary):\n   if isinstance(msg, str):\n      msg = msg.encode('utf-8')\n   \
             m = hash()\n"
        );
        assert_eq!(mend_hash(&mended), mended);
    }
}
