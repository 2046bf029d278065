//! The console page of the running program, driven in headless Chromium.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::checkout;
use crate::process::run;
use crate::program::{self, Driver, Server};
use crate::setup;

/// Time for one pass over the page; a pass takes some ten seconds.
const PASS_TIME: Duration = Duration::from_secs(3 * 60);

/// Drives the page on each driver, over `http:` and `ws:`, then over `https:` and `wss:`; screenshots go to
/// `reports/browser/DRIVER/`.
pub(crate) fn test() -> Result<()> {
    let program = program::sockeye()?;
    checkout::renew(&checkout::reports("browser"))?;
    for driver in Driver::all()? {
        let folder = checkout::reports(&format!("browser/{}", driver.name()));
        checkout::create(&folder)?;
        for (scheme, tls) in [("ws", [].as_slice()), ("wss", &["--tls-self-signed"])] {
            let options = [&["--compression", "on"], tls].concat();
            let log = folder.join(format!("server-{scheme}.log"));
            let server = Server::start(&program, *driver, &options, &log)?;
            drive(&server, &folder)
                .with_context(|| format!("the page over {scheme} on {}", driver.name()))?;
        }
    }
    Ok(())
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
