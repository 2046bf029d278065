//! Numbers as people read them.

/// A count, its thousands apart: `1,234,567`.
pub(in crate::bench) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time that is given in nanoseconds, with three digits that matter.
pub(in crate::bench) fn micros(nanos: u64) -> String {
    let nanos = nanos as f64;
    let (value, unit) = match nanos {
        ..999.5 => (nanos, "ns"),
        ..999.5e3 => (nanos / 1e3, "µs"),
        ..999.5e6 => (nanos / 1e6, "ms"),
        _ => (nanos / 1e9, "s"),
    };
    format!("{} {unit}", three_digits(value))
}

/// A number of bytes.
pub(in crate::bench) fn bytes(number: f64) -> String {
    let (value, unit) = match number.abs() {
        ..1024.0 => return format!("{number:.0} bytes"),
        ..1_048_576.0 => (number / 1024.0, "KiB"),
        ..1_073_741_824.0 => (number / 1_048_576.0, "MiB"),
        _ => (number / 1_073_741_824.0, "GiB"),
    };
    format!("{} {unit}", three_digits(value))
}

/// A number with three digits that matter.
pub(in crate::bench) fn three_digits(value: f64) -> String {
    match value.abs() {
        ..9.995 => format!("{value:.2}"),
        ..99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), text);
        }
        for (nanos, text) in [
            (7, "7.00 ns"),
            (12_345, "12.3 µs"),
            (9_996_000, "10.0 ms"),
            (2_500_000_000, "2.50 s"),
        ] {
            assert_eq!(micros(nanos), text);
        }
        for (number, text) in [
            (272.4, "272 bytes"),
            (1536.0, "1.50 KiB"),
            (-2_097_152.0, "-2.00 MiB"),
        ] {
            assert_eq!(bytes(number), text);
        }
    }
}
