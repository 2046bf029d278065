//! The console page of the running program, driven in headless Chromium.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::checkout;
use crate::process::run;
use crate::program::{self, Server};
use crate::setup;

/// Time for one pass over the page; a pass takes some ten seconds.
const PASS_TIME: Duration = Duration::from_secs(3 * 60);

/// Drives the page over `http:` and `ws:`, then over `https:` and `wss:`; screenshots go to `reports/browser/`.
pub(crate) fn test() -> Result<()> {
    let program = program::build("sockeye-cli", "sockeye")?;
    let folder = checkout::reports("browser");
    checkout::renew(&folder)?;
    let plain = Server::start(&program, &["--compression", "on"], &folder.join("server-ws.log"))?;
    drive(&plain, &folder).context("the page over ws")?;
    drop(plain);
    let tls = ["--compression", "on", "--tls-self-signed"];
    let secure = Server::start(&program, &tls, &folder.join("server-wss.log"))?;
    drive(&secure, &folder).context("the page over wss")
}

fn drive(server: &Server, folder: &Path) -> Result<()> {
    let mut command = setup::node()?.command("node");
    command
        .arg(checkout::root().join("tests/browser/console.mjs"))
        .arg("--chromium")
        .arg(setup::chromium()?)
        .args(["--page", &server.page])
        .arg("--screenshots")
        .arg(folder);
    run(&mut command, PASS_TIME)
}
