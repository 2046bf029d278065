//! Builds servers, each with the tools and settings that its library recommends.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Built, Peer, Program, scripts, uwebsockets};

/// Where servers are built.
#[derive(Debug)]
pub(crate) struct Workshop {
    /// The folder of this package.
    package: PathBuf,
    target: PathBuf,
    /// The folder for what is not built by cargo.
    out: PathBuf,
    /// What cargo says of the packages that there are.
    packages: Vec<Value>,
    /// Other sources of µWebSockets.
    uws_sources: Option<PathBuf>,
}

impl Workshop {
    /// Downloads the sources that servers are built from.
    pub(crate) fn open(uws_sources: Option<PathBuf>) -> Result<Self> {
        let package = package();
        let metadata = output(
            cargo(&package).args(["metadata", "--format-version=1", "--all-features"]),
            "cargo metadata",
        )?;
        let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata")?;
        let target = metadata["target_directory"]
            .as_str()
            .context("no target directory")?;
        Ok(Self {
            package,
            target: target.into(),
            out: Path::new(target).join("bench-servers"),
            packages: metadata["packages"].as_array().cloned().unwrap_or_default(),
            uws_sources,
        })
    }

    /// A `cargo` command for this package.
    pub(crate) fn cargo(&self) -> Command {
        cargo(&self.package)
    }

    /// Where cargo puts what it makes.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// The program that measures what µWebSockets does with every byte, and µWebSockets' version.
    pub(crate) fn build_micro(&self) -> Result<(PathBuf, String)> {
        let sources = self.uwebsockets()?;
        let ours = self.package.join("micro/uwebsockets.cpp");
        let program = sources.compile(&ours, "micro", &self.out)?;
        Ok((program, sources.version))
    }

    /// The sources that cargo downloaded.
    fn uwebsockets(&self) -> Result<uwebsockets::Sources> {
        Ok(uwebsockets::Sources::of_the_crate(
            &self.folder("libuwebsockets-sys")?,
        ))
    }

    /// Builds the servers of `peers`.
    pub(crate) fn build(&self, peers: &[Peer]) -> Result<Vec<Built>> {
        self.cargo_build(peers)?;
        peers
            .iter()
            .map(|&peer| {
                self.built(peer)
                    .with_context(|| format!("cannot build {}", peer.title()))
            })
            .collect()
    }

    /// All that are written in Rust, in one go: cargo builds what they share once.
    fn cargo_build(&self, peers: &[Peer]) -> Result<()> {
        let mut names: Vec<&str> = peers
            .iter()
            .filter_map(|peer| match peer.program() {
                Program::Rust { name, .. } => Some(name),
                Program::Uwebsockets | Program::Script { .. } => None,
            })
            .collect();
        names.sort_unstable();
        names.dedup();
        if names.is_empty() {
            return Ok(());
        }
        eprintln!("building the servers of {}", names.join(", "));
        let mut command = cargo(&self.package);
        command.args(["build", "--release", "--quiet", "--features", &names.join(",")]);
        for name in names {
            command.args(["--bin", &format!("server-{name}")]);
        }
        let status = command.status().context("cannot run cargo")?;
        ensure!(status.success(), "cargo build failed");
        Ok(())
    }

    fn built(&self, peer: Peer) -> Result<Built> {
        match peer.program() {
            Program::Rust { name, options } => Ok(Built {
                peer,
                // Cargo puts programs beside this one.
                program: std::env::current_exe()?.with_file_name(format!("server-{name}")),
                arguments: options.iter().map(|&option| option.to_owned()).collect(),
                version: self.version(peer.package()),
            }),
            Program::Script { name, runtime } => scripts::prepare(
                peer,
                name,
                runtime,
                &self.package.join("servers/javascript"),
                &self.out,
            ),
            Program::Uwebsockets => {
                let sources = match (peer, &self.uws_sources) {
                    (Peer::UwebsocketsSources, Some(folder)) => {
                        uwebsockets::Sources::beside_each_other(folder)?
                    }
                    (Peer::UwebsocketsSources, None) => {
                        anyhow::bail!("--uws-sources says where the sources are")
                    }
                    _ => self.uwebsockets()?,
                };
                let ours = self.package.join("servers/uwebsockets/main.cpp");
                Ok(Built {
                    peer,
                    program: sources.compile(&ours, "server", &self.out)?,
                    arguments: Vec::new(),
                    version: sources.version,
                })
            }
        }
    }

    fn find(&self, package: &str) -> Option<&Value> {
        self.packages.iter().find(|known| known["name"] == package)
    }

    /// Where cargo has a package's sources.
    fn folder(&self, package: &str) -> Result<PathBuf> {
        let manifest = self
            .find(package)
            .and_then(|found| found["manifest_path"].as_str())
            .with_context(|| format!("cargo knows no package {package}"))?;
        let folder = Path::new(manifest).parent();
        Ok(folder.context("a manifest without a folder")?.to_owned())
    }

    /// A package with its version.
    pub(crate) fn version(&self, package: &str) -> String {
        let version = self.find(package).and_then(|found| found["version"].as_str());
        format!("{package} {}", version.unwrap_or("of unknown version"))
    }
}

/// The folder of this package: cargo says at run time which checkout this is.
fn package() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
}

/// A `cargo` command for this package: in its folder, so that its `.cargo/config.toml` counts.
fn cargo(package: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(package);
    command
}

/// What a command prints; what it says beside that is shown only if it fails.
pub(super) fn output(command: &mut Command, what: &str) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {what}"))?;
    ensure!(
        output.status.success(),
        "{what} failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}
