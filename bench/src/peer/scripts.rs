//! Servers in JavaScript: npm installs what they need.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::build::output;
use super::{Built, Peer, Runtime};

/// Where npm puts the program of Bun.
const BUN: &str = "node_modules/@oven/bun-linux-x64/bin/bun";

/// The files that decide what is installed.
const PACKAGE_FILES: [&str; 3] = ["package.json", "package-lock.json", ".npmrc"];

/// Installs the packages beside a copy of the scripts, unless that has been done; gives the server of a script.
pub(super) fn prepare(peer: Peer, script: &str, runtime: Runtime, ours: &Path, out: &Path) -> Result<Built> {
    let folder = out.join("javascript");
    install(ours, &folder)?;
    let (program, runs) = match runtime {
        Runtime::Node => (PathBuf::from("node"), "Node.js"),
        Runtime::Bun => (folder.join(BUN), "Bun"),
    };
    let version = output(Command::new(&program).arg("--version"), runs)?;
    let mut version = format!("{runs} {}", version.trim());
    if let Runtime::Node = runtime {
        let package = folder
            .join("node_modules")
            .join(peer.package())
            .join("package.json");
        let package: serde_json::Value = serde_json::from_str(&fs::read_to_string(package)?)?;
        version = format!(
            "{} {}, {version}",
            peer.package(),
            package["version"].as_str().unwrap_or("of unknown version")
        );
    }
    Ok(Built {
        peer,
        program,
        arguments: vec![folder.join(script).display().to_string()],
        version,
    })
}

fn install(ours: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let stamp = folder.join("installed-from.txt");
    let mut inputs = String::new();
    for file in PACKAGE_FILES {
        inputs += &fs::read_to_string(ours.join(file)).with_context(|| format!("no {file}"))?;
    }
    for entry in fs::read_dir(ours)? {
        let path = entry?.path();
        if let Some(name) = path.file_name().filter(|_| path.is_file()) {
            fs::copy(&path, folder.join(name))?;
        }
    }
    if fs::read_to_string(&stamp).is_ok_and(|text| text == inputs) {
        return Ok(());
    }
    eprintln!("installing the packages of the servers in JavaScript");
    output(Command::new("npm").arg("ci").current_dir(folder), "npm ci")?;
    fs::write(stamp, inputs)?;
    Ok(())
}
