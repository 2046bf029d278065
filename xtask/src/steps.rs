//! The steps that `test` and `ci` consist of.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Subcommand;

use crate::process::{run, which};
use crate::program::cargo;
use crate::report::{Outcome, Report};
use crate::setup::{self, Tool};
use crate::{autobahn, browser, checkout, fuzz, sanitize};

/// Time for a step that builds and runs tests on two slow cores.
const CARGO_TIME: Duration = Duration::from_secs(30 * 60);

/// What moves the bytes of workers, as tests are told by `SOCKEYE_TEST_DRIVER`.
const DRIVERS: [&str; 2] = ["readiness", "uring"];

/// A part of `cargo xtask test` that can be run alone.
#[derive(Subcommand, Clone, Debug)]
pub(crate) enum Step {
    /// Unit and integration tests of every crate
    Unit,
    /// Examples in the documentation
    Doc,
    /// Unit tests of the web pages
    Web,
    /// The programs in examples/, built and run
    Examples,
    /// Peers users have: Node and Python packages, tokio-tungstenite, in both directions
    Interop,
    /// Conformance: the Autobahn test suite, server and client
    Autobahn(autobahn::Options),
    /// The console page in headless Chromium, over ws and wss
    Browser,
    /// Instruction counts of hot paths, under Valgrind
    Instructions,
    /// The library's tests under AddressSanitizer or Miri
    Sanitize(sanitize::Options),
    /// A short run of each fuzz target
    Fuzz(fuzz::Options),
}

impl Step {
    /// Every step, in the order in which they run, but for sanitizers: these build the library anew.
    fn all() -> Vec<Self> {
        vec![
            Self::Unit,
            Self::Doc,
            Self::Web,
            Self::Examples,
            Self::Interop,
            Self::Browser,
            Self::Instructions,
            Self::Fuzz(fuzz::Options::default()),
            Self::Autobahn(autobahn::Options::default()),
        ]
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Doc => "doc",
            Self::Web => "web",
            Self::Examples => "examples",
            Self::Interop => "interop",
            Self::Autobahn(_) => "autobahn",
            Self::Browser => "browser",
            Self::Instructions => "instructions",
            Self::Sanitize(_) => "sanitize",
            Self::Fuzz(_) => "fuzz",
        }
    }

    fn tools(&self) -> &'static [Tool] {
        match self {
            Self::Unit | Self::Doc | Self::Examples | Self::Sanitize(_) => &[],
            Self::Web => &[Tool::Node],
            Self::Interop => &[Tool::NodePackages, Tool::PythonPackages],
            Self::Autobahn(_) => &[Tool::Autobahn],
            Self::Browser => &[Tool::Chromium, Tool::NodePackages],
            Self::Instructions => &[Tool::Valgrind],
            Self::Fuzz(_) => &[Tool::CxxCompiler],
        }
    }

    fn run(&self) -> Result<()> {
        match self {
            // The tests of the examples need the examples as programs; their own step builds them.
            Self::Unit => {
                run_cargo(&[
                    "test",
                    "--workspace",
                    "--exclude",
                    "sockeye-examples",
                    "--all-features",
                    "--lib",
                    "--bins",
                    "--tests",
                ])?;
                // The server's tests once more on workers, with each driver.
                for driver in DRIVERS {
                    let mut command = cargo();
                    command.args(["test", "--workspace", "--all-features", "--test", "server"]);
                    run(command.env("SOCKEYE_TEST_DRIVER", driver), CARGO_TIME)?;
                }
                // The benchmark's load, which has to notice what servers do wrong.
                run_cargo(&["test", "--manifest-path", "bench/Cargo.toml", "--bin", "bench"])
            }
            Self::Doc => run_cargo(&["test", "--workspace", "--all-features", "--doc"]),
            Self::Web => web(),
            Self::Examples => run_cargo(&["test", "--package", "sockeye-examples"]),
            Self::Interop => interop(),
            Self::Autobahn(options) => autobahn::test(options),
            Self::Browser => browser::test(),
            // For any processor of its kind, unlike the rest of that workspace: Valgrind does not know the newest.
            Self::Instructions => run_cargo(&[
                "run",
                "--release",
                "--manifest-path",
                "bench/Cargo.toml",
                "--package",
                "instructions",
            ]),
            Self::Sanitize(options) => sanitize::test(options),
            Self::Fuzz(options) => fuzz::test(options),
        }
    }
}

/// Runs one step, or all of them, after installing what they need.
pub(crate) fn test(report: &mut Report, step: Option<Step>, fail_fast: bool) {
    let steps = step.map_or_else(Step::all, |step| vec![step]);
    let tools: Vec<Tool> = Tool::ALL
        .into_iter()
        .filter(|tool| steps.iter().any(|step| step.tools().contains(tool)))
        .collect();
    let mut go_on = report.step("setup", || setup::ensure(&tools).map(|()| Outcome::Passed));
    for step in steps {
        if fail_fast && !go_on {
            return;
        }
        // What setup could not install fails only the steps that need it.
        go_on &= report.step(step.name(), || {
            setup::ensure(step.tools())?;
            step.run().map(|()| Outcome::Passed)
        });
    }
}

/// A step of `ci` that needs nothing installed.
type Check = fn() -> Result<Outcome>;

/// Runs everything that must hold before a change is accepted.
pub(crate) fn ci(report: &mut Report, fail_fast: bool) {
    let checks: [(&str, Check); 4] = [
        ("fmt", format),
        ("clippy", clippy),
        ("docs", documentation),
        ("dependencies", dependencies),
    ];
    for (name, check) in checks {
        if !report.step(name, check) && fail_fast {
            return;
        }
    }
    test(report, None, fail_fast);
}

fn format() -> Result<Outcome> {
    run_cargo(&["fmt", "--all", "--check"])?;
    // These are workspaces of their own.
    for manifest in ["bench/Cargo.toml", "fuzz/Cargo.toml"] {
        run_cargo(&["fmt", "--manifest-path", manifest, "--check"])?;
    }
    Ok(Outcome::Passed)
}

fn clippy() -> Result<Outcome> {
    // The interop tests are no default target, see tests/Cargo.toml.
    let workspace = ["--workspace", "--all-features", "--test", "interop"];
    // libFuzzer comes as C++ and is built even to be looked at.
    setup::ensure(&[Tool::CxxCompiler])?;
    let fuzz = ["--manifest-path", "fuzz/Cargo.toml"];
    // Of the servers that are measured only our own: the others' libraries take long to build.
    let bench = [
        "--manifest-path",
        "bench/Cargo.toml",
        "--workspace",
        "--features",
        "sockeye",
    ];
    for packages in [workspace.as_slice(), &fuzz, &bench] {
        let strict = ["--all-targets", "--", "-D", "warnings"];
        run_cargo(&[&["clippy"], packages, &strict].concat())?;
    }
    Ok(Outcome::Passed)
}

fn documentation() -> Result<Outcome> {
    let mut command = cargo();
    command
        .args(["doc", "--workspace", "--all-features", "--no-deps", "--lib"])
        .env("RUSTDOCFLAGS", "-Dwarnings");
    run(&mut command, CARGO_TIME).map(|()| Outcome::Passed)
}

/// Licences, sources and known vulnerabilities of the dependencies, by whichever tools are installed.
fn dependencies() -> Result<Outcome> {
    let mut checked = false;
    if which("cargo-deny").is_some() {
        run_cargo(&["deny", "check"])?;
        checked = true;
    }
    if which("cargo-audit").is_some() {
        run_cargo(&["audit"])?;
        checked = true;
    }
    let outcome = Outcome::Skipped("neither cargo-deny nor cargo-audit is installed".to_owned());
    Ok(if checked { Outcome::Passed } else { outcome })
}

fn web() -> Result<()> {
    let folder = checkout::root().join("web/tests");
    let mut files = Vec::new();
    test_scripts(&folder, &mut files)?;
    ensure!(!files.is_empty(), "no test scripts in {}", folder.display());
    files.sort();
    run(
        setup::node_program()?
            .args(["--test", "--test-reporter=spec"])
            .args(files),
        CARGO_TIME,
    )
}

fn interop() -> Result<()> {
    // All of them with the server on tokio's runtime, and those that are about the server on workers, with each driver.
    for (driver, tests) in [("runtime", [].as_slice())]
        .into_iter()
        .chain(DRIVERS.map(|driver| (driver, ["--", "server_role"].as_slice())))
    {
        let mut command = cargo();
        // The whole workspace, as in the other steps: with other features much would be built again.
        command.args(["test", "--workspace", "--all-features", "--test", "interop"]);
        // The peers are to run on the Node.js that setup found or installed.
        command.env("PATH", setup::node()?.search_path()?);
        run(command.args(tests).env("SOCKEYE_TEST_DRIVER", driver), CARGO_TIME)?;
    }
    Ok(())
}

/// Collects `*.test.js` and `*.test.mjs` files; which names Node.js looks for by itself differs by version.
fn test_scripts(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let name = path.to_string_lossy();
        if path.is_dir() {
            test_scripts(&path, files)?;
        } else if name.ends_with(".test.js") || name.ends_with(".test.mjs") {
            files.push(path);
        }
    }
    Ok(())
}

fn run_cargo(arguments: &[&str]) -> Result<()> {
    run(cargo().args(arguments), CARGO_TIME)
}
