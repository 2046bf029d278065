//! Lists in the guide that must be those of the code.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::page::{Page, root};

/// Every `"sockeye_…"` literal in the sources of the crates: the names of the metrics.
fn metrics_in(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            metrics_in(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            names.extend(
                text.split('"')
                    .filter(|literal| {
                        literal.starts_with("sockeye_")
                            && literal
                                .bytes()
                                .all(|byte| byte == b'_' || byte.is_ascii_lowercase())
                    })
                    .map(str::to_owned),
            );
        }
    }
}

#[test]
fn the_guide_lists_every_metric_and_no_other() {
    let mut names = BTreeSet::new();
    for package in ["sockeye", "sockeye-cli"] {
        metrics_in(&root().join("crates").join(package).join("src"), &mut names);
    }
    names.remove("sockeye_proto");
    let page = Page::read("docs/src/operating.md");
    let listed = page.literals.iter().filter(|text| text.starts_with("sockeye_"));
    let listed: BTreeSet<_> = listed
        .map(|text| text.split('{').next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(listed, names);
}

/// Whether the source has a test of this name.
fn has_test(source: &str, name: &str) -> bool {
    // Tests of all drivers are generic, and made tests of by a macro that lists them.
    if source.contains(&format!("fn {name}<D: ")) && source.matches(name).count() > 1 {
        return true;
    }
    let signature = format!("fn {name}(");
    let before = source.match_indices(&signature).map(|(at, _)| &source[..at]);
    // Attributes may follow the one that makes it a test; a test in `proptest!` looks the same.
    before
        .filter_map(|before| before.rsplit_once("\n\n").or(Some(("", before))))
        .any(|(_, item)| item.contains("test]") || item.contains("test("))
}

#[test]
fn every_test_that_the_references_name_exists() {
    for (page, least) in [("traps", 100), ("whatwg", 100), ("uwebsockets", 50)] {
        let page = Page::read(format!("docs/src/reference/{page}.md"));
        let count = tests_named_in(&page);
        assert!(count > least, "{}: {count}", page.path.display());
    }
}

/// Looks for each test that stands behind the path of its file; gives how many there are.
fn tests_named_in(page: &Page) -> usize {
    let mut source = String::new();
    let mut path = "";
    let mut count = 0;
    for literal in &page.literals {
        if literal.ends_with(".rs") {
            path = literal;
            source = fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        } else if is_name_of_a_test(literal) {
            assert!(has_test(&source, literal), "{path} has no test {literal}");
            count += 1;
        }
    }
    count
}

/// Names of tests are sentences; what else is code in these pages is a word, or has other characters.
fn is_name_of_a_test(literal: &str) -> bool {
    literal.contains('_')
        && literal
            .bytes()
            .all(|byte| matches!(byte, b'_' | b'a'..=b'z' | b'0'..=b'9'))
}

#[test]
fn every_test_of_the_browsers_api_stands_in_its_reference() {
    let page = Page::read("docs/src/reference/whatwg.md");
    for entry in fs::read_dir(root().join("crates/sockeye/tests/web")).unwrap() {
        let path = entry.unwrap().path();
        let source = fs::read_to_string(&path).unwrap();
        // Tests are not indented there, and `async` or not.
        let names = source
            .split("\nasync fn ")
            .skip(1)
            .chain(source.split("\nfn ").skip(1));
        for name in names.filter_map(|rest| rest.split_once("()").map(|(name, _)| name)) {
            if has_test(&source, name) {
                assert!(page.literals.iter().any(|literal| literal == name), "{name}");
            }
        }
    }
}
