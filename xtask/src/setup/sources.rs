//! The machine's own apt sources, read for the address of its Debian mirror.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The first Debian archive among the machine's package sources.
///
/// # Errors
///
/// The machine has none.
pub(super) fn mirror() -> Result<String> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    files.extend(source_files(Path::new("/etc/apt/sources.list.d")));
    files
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok().map(|text| (file, text)))
        .find_map(|(file, text)| {
            let deb822 = file.extension().is_some_and(|extension| extension == "sources");
            if deb822 {
                mirror_in_deb822(&text)
            } else {
                mirror_in_list(&text)
            }
        })
        .context("no Debian mirror among the machine's package sources")
}

fn source_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "sources" || extension == "list")
        })
        .collect();
    files.sort();
    files
}

/// Finds the mirror in the one-line format: `deb [options] URI suite components`.
fn mirror_in_list(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let rest = line
            .trim()
            .strip_prefix("deb")?
            .strip_prefix([' ', '\t'])?
            .trim_start();
        let rest = if rest.starts_with('[') {
            rest.split_once(']')?.1
        } else {
            rest
        };
        let mut words = rest.split_whitespace();
        let (uri, suite) = (words.next()?, words.next()?);
        is_debian_archive(uri, suite).then(|| uri.to_owned())
    })
}

/// Finds the mirror in the deb822 format: paragraphs of `Field: value`.
fn mirror_in_deb822(text: &str) -> Option<String> {
    let text: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    text.split(|line| line.trim().is_empty()).find_map(|paragraph| {
        let field = |name: &str| {
            paragraph.iter().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then(|| value.trim())
            })
        };
        let enabled = field("Enabled").is_none_or(|value| !value.eq_ignore_ascii_case("no"));
        let uri = field("URIs")?.split_whitespace().next()?;
        let suite = field("Suites")?.split_whitespace().next()?;
        let binary = field("Types")?.split_whitespace().any(|kind| kind == "deb");
        (enabled && binary && is_debian_archive(uri, suite)).then(|| uri.to_owned())
    })
}

/// Whether a source is the archive of Debian's releases, not its security updates or somebody else's packages.
fn is_debian_archive(uri: &str, suite: &str) -> bool {
    let uri = uri.trim_end_matches('/');
    let is_named_debian = uri.ends_with("/debian") || uri.ends_with("/debian.list");
    is_named_debian && !suite.contains("-security") && !suite.contains("/updates")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_sources_give_the_first_debian_archive() {
        let text = "# deb http://old.example/debian sid main\n\
                    deb-src http://src.example/debian bookworm main\n\
                    deb http://tools.example/apt stable main\n\
                    deb http://sec.example/debian bookworm-security main\n\
                    deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian/ bookworm main contrib\n";
        assert_eq!(
            mirror_in_list(text).as_deref(),
            Some("http://mirror.example/debian/")
        );
    }

    #[test]
    fn deb822_sources_give_the_first_enabled_debian_archive() {
        let text = "Types: deb\nURIs: http://off.example/debian\nSuites: bookworm\nEnabled: no\n\n\
                    Types: deb\nURIs: http://node.example/20\nSuites: nodistro\n\n\
                    Types: deb deb-src\n# a note\nURIs: http://mirror.example/debian http://b.example/debian\n\
                    Suites: bookworm bookworm-updates\nComponents: main\n";
        assert_eq!(
            mirror_in_deb822(text).as_deref(),
            Some("http://mirror.example/debian")
        );
    }

    #[test]
    fn mirror_lists_count_as_archives() {
        let text = "Types: deb\nURIs: mirror+file:///etc/apt/mirrors/debian.list\nSuites: trixie\n";
        assert_eq!(
            mirror_in_deb822(text).as_deref(),
            Some("mirror+file:///etc/apt/mirrors/debian.list")
        );
    }

    #[test]
    fn other_distributions_have_no_debian_mirror() {
        let text = "Types: deb\nURIs: http://mirror.example/ubuntu\nSuites: noble\n";
        assert_eq!(mirror_in_deb822(text), None);
        assert_eq!(
            mirror_in_list("deb http://mirror.example/ubuntu noble main"),
            None
        );
    }
}
