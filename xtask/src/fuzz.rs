//! A short run of each fuzz target.
//!
//! The targets are built with libFuzzer's instrumentation by the toolchain at hand, stable included: without a
//! sanitizer no nightly compiler is needed, and safe Rust has little use for one. Longer hunts are for `cargo fuzz`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::Deserialize;

use crate::checkout;
use crate::process::run_quiet;
use crate::program::{cargo, host};

const BUILD_TIME: Duration = Duration::from_secs(15 * 60);

/// What `cargo fuzz` passes too: coverage for libFuzzer, and the checks of a debug build.
const FLAGS: [&str; 9] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cdebug-assertions",
    "-Coverflow-checks",
    "-Ccodegen-units=1",
];

/// How long to fuzz.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Time for each target
    #[arg(long, value_name = "SECONDS", default_value_t = Self::default().seconds)]
    seconds: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { seconds: 10 }
    }
}

/// Replays the corpora, then builds every target and runs each on its corpus.
///
/// # Errors
///
/// A target found an input that fails; it lies in `fuzz/artifacts/` then.
pub(crate) fn test(options: &Options) -> Result<()> {
    let manifest = checkout::root().join("fuzz/Cargo.toml");
    let metadata = Metadata::read(&manifest)?;
    let targets = metadata.targets();
    ensure!(!targets.is_empty(), "fuzz/ has no targets");
    // First the corpora, and mutations of them, as plain tests: what fails here is quickly found and debugged.
    let mut replay = cargo();
    replay.args(["test", "--manifest-path"]).arg(&manifest);
    run_quiet(&mut replay, BUILD_TIME)?;
    let host = host()?;
    // Naming the host as target keeps the flags away from build scripts and macros.
    let mut build = cargo();
    build
        .args([
            "build",
            "--release",
            "--bins",
            "--target",
            &host,
            "--manifest-path",
        ])
        .arg(&manifest);
    run_quiet(
        build.env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\x1f")),
        BUILD_TIME,
    )?;
    let programs = metadata.target_directory.join(&host).join("release");
    let failures: Vec<String> = targets
        .iter()
        .filter_map(|target| smoke(&programs.join(target), target, options.seconds).err())
        .map(|error| format!("{error:#}"))
        .collect();
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

fn smoke(program: &Path, target: &str, seconds: u64) -> Result<()> {
    let fuzz = checkout::root().join("fuzz");
    let artifacts = fuzz.join("artifacts").join(target);
    checkout::create(&artifacts)?;
    // New inputs go to the first folder, an ignored one; the corpus of the repository is only read.
    let found = fuzz.join("target/smoke").join(target);
    checkout::renew(&found)?;
    let mut command = Command::new(program);
    command.arg(&found);
    let corpus = fuzz.join("corpus").join(target);
    if corpus.is_dir() {
        command.arg(corpus);
    }
    command
        .arg(format!("-max_total_time={seconds}"))
        .args(["-timeout=10", "-rss_limit_mb=2048", "-verbosity=0"])
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        // The panic's message says enough, and is not to be drowned in libFuzzer's frames.
        .env("RUST_BACKTRACE", "0")
        .current_dir(&fuzz);
    run_quiet(&mut command, Duration::from_secs(seconds + 120))
        .with_context(|| format!("{target}: the input is in {}", artifacts.display()))?;
    println!("fuzz: {target}: {seconds} s, nothing found");
    Ok(())
}

/// The part of `cargo metadata` that is needed here.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

impl Metadata {
    fn read(manifest: &Path) -> Result<Self> {
        let mut command = cargo();
        command
            .args(["metadata", "--format-version=1", "--no-deps", "--manifest-path"])
            .arg(manifest);
        let text = run_quiet(&mut command, Duration::from_secs(5 * 60))?;
        serde_json::from_str(&text).context("unexpected output of cargo metadata")
    }

    fn targets(&self) -> Vec<&str> {
        let targets = self.packages.iter().flat_map(|package| &package.targets);
        targets
            .filter(|target| target.kind == ["bin"])
            .map(|target| target.name.as_str())
            .collect()
    }
}
