//! Which cases the suite has, and which of them a run takes.

/// How many cases each group of the suite has; they are numbered from 1 without gaps.
const GROUPS: [(&str, usize); 57] = [
    ("1.1", 8),
    ("1.2", 8),
    ("2", 11),
    ("3", 7),
    ("4.1", 5),
    ("4.2", 5),
    ("5", 20),
    ("6.1", 3),
    ("6.2", 4),
    ("6.3", 2),
    ("6.4", 4),
    ("6.5", 5),
    ("6.6", 11),
    ("6.7", 4),
    ("6.8", 2),
    ("6.9", 4),
    ("6.10", 3),
    ("6.11", 5),
    ("6.12", 8),
    ("6.13", 5),
    ("6.14", 10),
    ("6.15", 1),
    ("6.16", 3),
    ("6.17", 5),
    ("6.18", 5),
    ("6.19", 5),
    ("6.20", 7),
    ("6.21", 8),
    ("6.22", 34),
    ("6.23", 7),
    ("7.1", 6),
    ("7.3", 6),
    ("7.5", 1),
    ("7.7", 13),
    ("7.9", 9),
    ("7.13", 2),
    ("9.1", 6),
    ("9.2", 6),
    ("9.3", 9),
    ("9.4", 9),
    ("9.5", 6),
    ("9.6", 6),
    ("9.7", 6),
    ("9.8", 6),
    ("10.1", 1),
    ("12.1", 18),
    ("12.2", 18),
    ("12.3", 18),
    ("12.4", 18),
    ("12.5", 18),
    ("13.1", 18),
    ("13.2", 18),
    ("13.3", 18),
    ("13.4", 18),
    ("13.5", 18),
    ("13.6", 18),
    ("13.7", 18),
];

/// The compression groups go through 18 message sizes; the first ones take seconds, the last ones minutes.
const QUICK_SIZES: usize = 6;

/// The cases of one run, in the suite's order.
///
/// Without `compression` the cases of groups 12 and 13 are left out: they have no verdict then. Unless the run is
/// `full`, the longer sizes of those groups are left out too.
pub(super) fn selection(full: bool, compression: bool) -> Vec<String> {
    GROUPS
        .iter()
        .filter(|(group, _)| compression || !is_about_compression(group))
        .flat_map(|(group, count)| {
            let quick = !full && is_about_compression(group);
            let count = if quick { QUICK_SIZES.min(*count) } else { *count };
            (1..=count).map(move |number| format!("{group}.{number}"))
        })
        .collect()
}

/// The number before the first dot.
pub(super) fn chapter(case: &str) -> &str {
    case.split('.').next().unwrap_or(case)
}

fn is_about_compression(group: &str) -> bool {
    matches!(chapter(group), "12" | "13")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_run_has_all_517_cases() {
        assert_eq!(selection(true, true).len(), 517);
    }

    #[test]
    fn full_run_without_compression_has_301_cases() {
        assert_eq!(selection(true, false).len(), 301);
        assert_eq!(selection(false, false).len(), 301);
    }

    #[test]
    fn quick_run_takes_six_sizes_of_each_compression_group() {
        let cases = selection(false, true);
        assert_eq!(cases.len(), 301 + 12 * 6);
        assert!(cases.contains(&"13.7.6".to_owned()));
        assert!(!cases.contains(&"13.7.7".to_owned()));
        assert!(!cases.contains(&"12.1.10".to_owned()));
    }
}
