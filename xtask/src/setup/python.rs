//! The pinned Python packages, in a virtual environment of the checkout.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::Installation;
use crate::checkout;
use crate::process::{run_quiet, succeeds};

/// Time for pip to download and unpack a few packages.
pub(super) const PIP_TIME: Duration = Duration::from_secs(10 * 60);

/// The interpreter whose environment has the packages of `tests/python/requirements.txt`.
pub(super) fn python() -> Result<PathBuf> {
    let list = checkout::root().join("tests/python/requirements.txt");
    virtual_environment("python", "Python packages", &list)
}

/// Makes a virtual environment with the packages of a requirements file; returns its interpreter.
pub(super) fn virtual_environment(name: &str, what: &str, requirements: &Path) -> Result<PathBuf> {
    let installation = Installation::new(name, &[&checkout::read(requirements)?]);
    let interpreter = installation.folder.join("bin/python3");
    // An upgraded system Python leaves environments behind whose interpreter is gone.
    if installation.is_current() && !succeeds(Command::new(&interpreter).arg("--version")) {
        checkout::remove(&installation.folder)?;
    }
    installation.ensure(what, |folder| {
        run_quiet(Command::new("python3").args(["-m", "venv"]).arg(folder), PIP_TIME)?;
        run_quiet(
            pip_install(&interpreter).arg("--requirement").arg(requirements),
            PIP_TIME,
        )?;
        Ok(())
    })?;
    Ok(interpreter)
}

/// `pip install` without chatter, for the given interpreter.
pub(super) fn pip_install(interpreter: &Path) -> Command {
    let mut command = Command::new(interpreter);
    command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    command
}
