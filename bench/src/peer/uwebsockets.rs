//! Compiles µWebSockets with the server of ours, by the flags of its own Makefiles.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::build::output;

/// What its own build optimises with; uSockets' has no flags beside these.
const FLAGS: [&str; 4] = ["-O3", "-march=native", "-flto=auto", "-DLIBUS_USE_OPENSSL"];

/// A version of µWebSockets, and of µSockets under it.
#[derive(Debug)]
pub(super) struct Sources {
    websockets: PathBuf,
    sockets: PathBuf,
    /// Names the folder it is compiled in.
    name: &'static str,
    pub(super) version: String,
}

impl Sources {
    /// Those that the crate libuwebsockets-sys carries.
    pub(super) fn of_the_crate(folder: &Path) -> Self {
        Self {
            websockets: folder.join("uWebSockets"),
            sockets: folder.join("uWebSockets/uSockets"),
            name: "uwebsockets",
            // The crate does not say. All files but one (HttpParser.h, which is some weeks older) are those of this tag,
            // and uSockets' are those of the commit.
            version: "v20.62.0 (March 2024), uSockets 2c1c6b5 (January 2024), as carried by libuwebsockets-sys 0.0.10"
                .to_owned(),
        }
    }

    /// A folder with checkouts of `uWebSockets` and `uSockets` in it, as the author's own documentation has them.
    pub(super) fn beside_each_other(folder: &Path) -> Result<Self> {
        let websockets = folder.join("uWebSockets");
        let sockets = folder.join("uSockets");
        for file in [websockets.join("src/App.h"), sockets.join("src/libusockets.h")] {
            ensure!(file.is_file(), "there is no {}", file.display());
        }
        let describe = |folder: &Path| {
            let mut git = Command::new("git");
            git.args(["describe", "--tags", "--always"]).current_dir(folder);
            match output(&mut git, "git describe") {
                Ok(text) if folder.join(".git").exists() => text.trim().to_owned(),
                _ => "of unknown version".to_owned(),
            }
        };
        Ok(Self {
            version: format!("{}, uSockets {}", describe(&websockets), describe(&sockets)),
            websockets,
            sockets,
            name: "uwebsockets-sources",
        })
    }

    /// A program of ours on them, in a folder of its own under `out`; compiled if anything about it has changed.
    pub(super) fn compile(&self, ours: &Path, program: &str, out: &Path) -> Result<PathBuf> {
        let folder = out.join(format!("{}-{program}", self.name));
        let program = folder.join(program);
        let stamp = folder.join("compiled-from.txt");
        let inputs = format!(
            "{} {}\n{}\n{}\n{FLAGS:?}\n{}",
            self.websockets.display(),
            self.sockets.display(),
            self.version,
            output(Command::new("g++").arg("--version"), "g++")?,
            fs::read_to_string(ours)?
        );
        if program.is_file() && fs::read_to_string(&stamp).is_ok_and(|text| text == inputs) {
            return Ok(program);
        }
        eprintln!("compiling {} with µWebSockets {}", ours.display(), self.version);
        fs::create_dir_all(&folder)?;
        let sockets = self.sockets.join("src");
        let include = |folder: &Path| format!("-I{}", folder.display());
        let mut c = Command::new("gcc");
        c.args(["-std=c11", "-c"])
            .args(FLAGS)
            .arg(include(&sockets))
            .current_dir(&folder);
        for part in [sockets.clone(), sockets.join("eventing"), sockets.join("crypto")] {
            c.args(files(&part, "c")?);
        }
        output(&mut c, "gcc")?;
        let mut cxx = Command::new("g++");
        cxx.arg("-std=c++20").args(FLAGS).current_dir(&folder);
        cxx.arg(include(&self.websockets.join("src")))
            .arg(include(&sockets));
        cxx.arg(ours).args(files(&sockets.join("crypto"), "cpp")?);
        cxx.args(files(&folder, "o")?)
            .args(["-lz", "-lssl", "-lcrypto", "-o"])
            .arg(&program);
        output(&mut cxx, "g++").context("the Debian packages libssl-dev and zlib1g-dev are needed")?;
        fs::write(stamp, inputs)?;
        Ok(program)
    }
}

/// The files of a folder with this ending.
fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("no {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == ending) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
