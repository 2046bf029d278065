//! Links within the repository.

use std::fs;

use crate::page::{Page, below, root};

/// The documents at the root, the guide, and the notes beside code.
fn documents() -> Vec<Page> {
    let at_root = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    at_root
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .map(Page::read)
        .chain(below("docs"))
        .chain(["web/README.md", "tests/interop/README.md"].map(Page::read))
        .collect()
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut broken = Vec::new();
    for page in documents() {
        for link in &page.links {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => page.path.clone(),
                _ => page.path.parent().unwrap().join(file),
            };
            let leads = target.exists() && (anchor.is_empty() || Page::read(&target).has_anchor(anchor));
            if !leads {
                broken.push(format!("{}: {link}", page.path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
}

#[test]
fn links_to_elsewhere_are_encrypted() {
    for page in documents() {
        for link in &page.links {
            assert!(!link.starts_with("http://"), "{}: {link}", page.path.display());
        }
    }
}
