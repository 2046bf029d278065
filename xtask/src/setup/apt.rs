//! Debian packages, by the machine's own apt.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{Tool, node};
use crate::process::{run_quiet, succeeds, which};

/// Names under which distributions install the browser.
const CHROMIUM_NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// Time for a download of some hundred megabytes on a slow line.
const INSTALL_TIME: Duration = Duration::from_secs(15 * 60);

/// The browser's program; the variable `CHROMIUM` overrides the search.
///
/// # Errors
///
/// There is none.
pub(crate) fn chromium() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("CHROMIUM") {
        return Ok(path.into());
    }
    CHROMIUM_NAMES
        .iter()
        .find_map(|name| which(name))
        .context("no Chromium found: install the package `chromium`, or set CHROMIUM to its path")
}

/// Installs the packages behind `tools` that are missing.
pub(super) fn ensure(tools: &[Tool]) -> Result<()> {
    let missing = missing(tools);
    if missing.is_empty() {
        Ok(())
    } else {
        install(&missing)
    }
}

fn missing(tools: &[Tool]) -> Vec<&'static str> {
    let mut packages = Vec::new();
    let mut need = |package, present: bool| {
        if !present && !packages.contains(&package) {
            packages.push(package);
        }
    };
    for tool in tools {
        match tool {
            Tool::Chromium => {
                need("chromium", chromium().is_ok());
                need("fonts-noto-cjk", has_chinese_font());
            }
            Tool::CxxCompiler => need("g++", std::env::var_os("CXX").is_some() || which("c++").is_some()),
            Tool::CxxLibraries => {
                need("libssl-dev", Path::new("/usr/include/openssl/ssl.h").exists());
                need("zlib1g-dev", Path::new("/usr/include/zlib.h").exists());
            }
            Tool::Valgrind => need("valgrind", which("valgrind").is_some()),
            // Distributions have Node.js in any version; a pinned one comes as a Python package when needed.
            Tool::Node | Tool::NodePackages => {
                need("python3-venv", node::find_on_path().is_some() || has_venv())
            }
            Tool::PythonPackages | Tool::Autobahn => need("python3-venv", has_venv()),
        }
    }
    packages
}

fn has_venv() -> bool {
    succeeds(Command::new("python3").args(["-c", "import venv, ensurepip"]))
}

fn has_chinese_font() -> bool {
    run_quiet(
        Command::new("fc-list").arg(":lang=zh-cn"),
        Duration::from_secs(60),
    )
    .is_ok_and(|fonts| !fonts.is_empty())
}

fn install(packages: &[&str]) -> Result<()> {
    let names = packages.join(" ");
    let Some(apt_get) = privileged_apt_get() else {
        bail!(
            "these packages are missing and apt-get needs root for them. Install them once:\n\n    \
             sudo apt-get update && sudo apt-get install -y --no-install-recommends {names}\n"
        );
    };
    eprintln!("setup: apt-get install {names}");
    // A stale or unreachable list is not yet a failure: the installation decides.
    let _ = run_quiet(apt_get().arg("update"), INSTALL_TIME);
    run_quiet(
        apt_get()
            .args(["install", "-y", "--no-install-recommends"])
            .args(packages),
        INSTALL_TIME,
    )?;
    Ok(())
}

/// How to run apt-get with the rights to install, if there is a way that asks no question.
fn privileged_apt_get() -> Option<impl Fn() -> Command> {
    which("apt-get")?;
    let is_root = rustix::process::geteuid().is_root();
    if !is_root && !succeeds(Command::new("sudo").args(["-n", "true"])) {
        return None;
    }
    Some(move || {
        let mut command = Command::new(if is_root { "env" } else { "sudo" });
        if !is_root {
            command.args(["-n", "env"]);
        }
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        command
    })
}
