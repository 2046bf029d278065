//! Where what was typed is kept for the next time.

use std::ffi::OsString;
use std::path::PathBuf;

/// Most lines that are kept.
pub(super) const MAX_LINES: usize = 1000;

/// Longest line that is kept, in bytes: a pasted file is not worth it.
pub(super) const MAX_LINE: usize = 16 * 1024;

/// The file, in a folder that exists. `None` when there is no place for it.
pub(super) fn file() -> Option<PathBuf> {
    let folder = folder(|name| std::env::var_os(name))?;
    make(&folder).ok()?;
    Some(folder.join("history"))
}

/// The state directory of the XDG Base Directory Specification, or the system's equivalent.
fn folder(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |name| {
        variable(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    // "All paths set in these environment variables must be absolute", and others ignored.
    let state = absolute("XDG_STATE_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".local/state")))
        .or_else(|| absolute("LOCALAPPDATA"))?;
    Some(state.join("sockeye"))
}

/// Makes the folder, for its owner alone.
fn make(folder: &PathBuf) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_directory_is_where_xdg_has_it() {
        type Variables = &'static [(&'static str, &'static str)];
        let table: &[(Variables, Option<&str>)] = &[
            (&[("XDG_STATE_HOME", "/s"), ("HOME", "/h")], Some("/s/sockeye")),
            (
                &[("XDG_STATE_HOME", "relative"), ("HOME", "/h")],
                Some("/h/.local/state/sockeye"),
            ),
            (&[("HOME", "/h")], Some("/h/.local/state/sockeye")),
            (&[], None),
        ];
        for (variables, want) in table {
            let found = folder(|name| {
                let value = variables.iter().find(|(key, _)| *key == name);
                value.map(|(_, value)| OsString::from(value))
            });
            assert_eq!(found, want.map(PathBuf::from));
        }
    }
}
