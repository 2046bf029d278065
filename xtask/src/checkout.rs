//! Where things are: the checkout, its ignored folders, the user's cache.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    // Cargo says at run time which checkout this is; the compiled-in path may be another one's when
    // several share a target folder.
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let package = PathBuf::from(package);
    package
        .parent()
        .map_or_else(|| package.clone(), Path::to_path_buf)
}

/// The ignored folder that holds what `setup` installs.
pub(crate) fn tools() -> PathBuf {
    root().join(".tools")
}

/// The ignored folder for what a test run leaves to look at.
pub(crate) fn reports(name: &str) -> PathBuf {
    root().join("reports").join(name)
}

/// Makes a folder, empty.
pub(crate) fn renew(folder: &Path) -> Result<()> {
    remove(folder)?;
    create(folder)
}

/// A folder in the user's cache, which outlives the checkout.
pub(crate) fn cache(name: &str) -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
        .context("no cache folder: set HOME or XDG_CACHE_HOME")?;
    Ok(base.join("sockeye").join(name))
}

/// Makes a folder and its parents.
pub(crate) fn create(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

/// Removes a folder with all that is in it; none is as good.
pub(crate) fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Reads a text file.
pub(crate) fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Writes a text file.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
