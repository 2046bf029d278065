//! The table "WebSocket-Node, ws and the browser in Sockeye".

use std::collections::BTreeSet;
use std::fs;

use crate::page::{Cell, Page, root};

const PAGE: &str = "docs/src/reference/api-table.md";

/// The rows without the heads.
fn rows() -> Vec<Vec<Cell>> {
    let rows = Page::read(PAGE).rows.into_iter();
    rows.filter(|row| row[0].text != "WebSocket-Node").collect()
}

#[test]
fn no_cell_is_empty_without_a_reason_beside_it() {
    let mut count = 0;
    for row in rows() {
        let [node, ws, browser, sockeye, remark] = &row[..] else {
            panic!("{row:?}")
        };
        for cell in [node, ws, browser, sockeye] {
            assert!(!cell.text.is_empty(), "{row:?}");
        }
        let all_lack_it = [node, ws, browser].iter().all(|cell| cell.text == "none");
        assert!(!all_lack_it, "{row:?}");
        if sockeye.text == "none" {
            let words = remark.text.split_whitespace().count();
            assert!(words >= 5, "no reason: {row:?}");
        } else {
            assert!(!sockeye.literals.is_empty(), "no name: {row:?}");
        }
        count += 1;
    }
    assert!(count > 100, "{count}");
}

/// `tests/src/api_table.rs` links to each name, and rustdoc refuses links that lead nowhere.
#[test]
fn every_name_of_the_table_is_held_to_the_crate() {
    let named: BTreeSet<_> = rows()
        .into_iter()
        .flat_map(|mut row| std::mem::take(&mut row[3].literals))
        .collect();
    let source = fs::read_to_string(root().join("tests/src/api_table.rs")).unwrap();
    let linked: BTreeSet<_> = source
        .lines()
        .filter_map(|line| line.strip_prefix("//! - [`sockeye::")?.strip_suffix("`]"))
        .map(str::to_owned)
        .collect();
    assert_eq!(linked, named, "make tests/src/api_table.rs follow {PAGE}");
}
