//! The guide as a whole.

use std::collections::BTreeSet;
use std::fs;

use crate::page::{Page, below, root};

fn chapters() -> BTreeSet<String> {
    let folder = root().join("docs/src");
    below("docs/src")
        .iter()
        .map(|page| page.path.strip_prefix(&folder).unwrap().display().to_string())
        .filter(|name| name != "SUMMARY.md")
        .collect()
}

#[test]
fn the_summary_lists_every_chapter() {
    let summary = Page::read("docs/src/SUMMARY.md");
    assert_eq!(BTreeSet::from_iter(summary.links), chapters());
}

#[test]
fn the_code_of_every_chapter_is_tested() {
    let list = fs::read_to_string(root().join("tests/src/guide.rs")).unwrap();
    for chapter in chapters() {
        assert!(
            list.contains(&format!("\"docs/src/{chapter}\"")),
            "{chapter} is not in tests/src/guide.rs"
        );
    }
}

#[test]
fn every_chapter_begins_with_its_title() {
    for chapter in chapters() {
        let page = Page::read(format!("docs/src/{chapter}"));
        let titles = page.headings.iter().filter(|(level, _)| *level == 1).count();
        assert_eq!(titles, 1, "{chapter}");
        assert_eq!(page.headings[0].0, 1, "{chapter}");
    }
}
