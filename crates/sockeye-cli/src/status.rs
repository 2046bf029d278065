//! How a connection ended, as an exit status a shell can use.

/// The status for a close code; none is 1005 of RFC 6455 §7.4.1.
pub(crate) fn of_code(code: Option<u16>) -> u8 {
    match code {
        None | Some(1000 | 1001 | 1005) => 0,
        // 102 to 115.
        Some(code @ 1002..=1015) => u8::try_from(code - 900).unwrap_or(OTHER),
        Some(3000..=3999) => 3,
        Some(4000..=4999) => 4,
        Some(_) => OTHER,
    }
}

/// A code that no range of the registry has.
const OTHER: u8 = 5;

/// What came is not what was expected: no message matched, a replay differs, a check failed.
pub(crate) const UNEXPECTED: u8 = 6;

/// `--timeout` ran out; the number is that of timeout(1).
pub(crate) const TIMED_OUT: u8 = 124;

/// Ctrl-C: 128 and the number of the signal, as shells have it.
pub(crate) const INTERRUPTED: u8 = 130;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_close_code_has_the_documented_status() {
        let table = [
            (None, 0),
            (Some(1000), 0),
            (Some(1001), 0),
            (Some(1002), 102),
            (Some(1005), 0),
            (Some(1006), 106),
            (Some(1009), 109),
            (Some(1011), 111),
            (Some(1015), 115),
            (Some(1016), 5),
            (Some(2999), 5),
            (Some(3000), 3),
            (Some(3999), 3),
            (Some(4000), 4),
            (Some(4999), 4),
            (Some(5000), 5),
        ];
        for (code, status) in table {
            assert_eq!(of_code(code), status, "{code:?}");
        }
    }
}
