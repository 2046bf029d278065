//! The README in two languages.

use crate::page::Page;

#[test]
fn the_readme_says_the_same_in_both_languages() {
    let (english, chinese) = (Page::read("README.md"), Page::read("README.zh-CN.md"));
    let levels = |page: &Page| page.headings.iter().map(|(level, _)| *level).collect::<Vec<_>>();
    assert_eq!(levels(&english), levels(&chinese), "levels of headings");
    assert_eq!(english.code, chinese.code, "blocks of code");
    assert_eq!(english.tables, chinese.tables, "rows and columns of tables");

    // Each points to the other, and otherwise both to the same places.
    let links = |page: &Page, other: &str| {
        let mut links: Vec<_> = page.links.iter().filter(|link| *link != other).cloned().collect();
        links.sort();
        assert_eq!(page.links.len(), links.len() + 1, "one link to {other}");
        links
    };
    assert_eq!(links(&english, "README.zh-CN.md"), links(&chinese, "README.md"));
}
