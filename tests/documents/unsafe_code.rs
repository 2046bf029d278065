//! The table "Unsafe code and its tests".

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::page::{Cell, Page, root};

const PAGE: &str = "docs/src/reference/unsafe.md";

/// Whether a row is of the table of blocks: it begins with a source.
fn is_block(row: &[Cell]) -> bool {
    row[0].text.ends_with(".rs")
}

/// How many blocks and functions of each source are unsafe.
fn count_unsafe(folder: &Path, counts: &mut BTreeMap<String, usize>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            count_unsafe(&path, counts);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            let count = code
                .filter(|line| {
                    ["unsafe {", "unsafe fn", "unsafe impl"]
                        .iter()
                        .any(|word| line.contains(word))
                })
                .count();
            if count > 0 {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                counts.insert(name, count);
            }
        }
    }
}

#[test]
fn each_unsafe_block_has_a_row() {
    let mut counts = BTreeMap::new();
    for package in ["sockeye-proto", "sockeye", "sockeye-cli"] {
        count_unsafe(&root().join("crates").join(package).join("src"), &mut counts);
    }
    let mut listed = BTreeMap::new();
    for row in Page::read(PAGE).rows.iter().filter(|row| is_block(row)) {
        *listed.entry(row[0].text.clone()).or_insert(0) += 1;
        assert!(row.iter().all(|cell| !cell.text.is_empty()), "{row:?}");
    }
    assert_eq!(listed, counts);
}

/// All tests of the library's sources, as text.
fn sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn each_test_that_is_named_exists() {
    let mut text = String::new();
    sources(&root().join("crates/sockeye/src"), &mut text);
    for row in Page::read(PAGE).rows.iter().filter(|row| is_block(row)) {
        assert!(!row[3].literals.is_empty(), "{row:?}");
        for test in &row[3].literals {
            let exists = [format!("fn {test}("), format!("fn {test}<")]
                .iter()
                .any(|signature| text.contains(signature));
            assert!(exists, "there is no test `{test}`");
        }
    }
}
