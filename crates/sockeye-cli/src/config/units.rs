//! The spellings of values, the same on the command line, in the environment and in a file:
//! sizes (`64KiB`), durations (`10s`), switches (`on`, `off`) and limits that can be `off`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use sockeye::server::ServerBuilder;

/// A number of bytes: `65536`, `64KiB`, `1MiB`, `10MB`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) usize);

const SIZE_UNITS: &[(&str, u64)] = &[
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
    ("", 1),
];

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (digits, unit) = split_number(text);
        let size = SIZE_UNITS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit.trim()));
        let (Some((_, factor)), false) = (size, digits.is_empty()) else {
            return Err(format!(
                "{text:?} is not a size: write bytes, or a whole number with KiB, MiB or GiB, as in 64KiB"
            ));
        };
        digits
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(*factor))
            .and_then(|bytes| usize::try_from(bytes).ok())
            .map(Self)
            .ok_or_else(|| format!("{text} is more bytes than this machine can count"))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0 as u64;
        for (name, factor) in &SIZE_UNITS[..3] {
            if bytes >= *factor && bytes.is_multiple_of(*factor) {
                return write!(f, "{}{name}", bytes / factor);
            }
        }
        write!(f, "{bytes}")
    }
}

/// How many of something there may be: at least one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count(pub(crate) usize);

impl FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(number @ 1..) => Ok(Self(number)),
            _ => Err(format!("{text:?} is not a count: write a whole number from 1")),
        }
    }
}

/// How many threads may serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Workers(pub(crate) usize);

impl FromStr for Workers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const MOST: usize = ServerBuilder::MAX_WORKERS;
        match text.parse() {
            Ok(number @ 1..=MOST) => Ok(Self(number)),
            _ => Err(format!(
                "{text:?} is not possible: write a number from 1 to {MOST}"
            )),
        }
    }
}

/// Reads a whole number within these bounds.
pub(crate) fn within<const LEAST: u8, const MOST: u8>(text: &str) -> Result<u8, String> {
    match text.parse() {
        Ok(number) if (LEAST..=MOST).contains(&number) => Ok(number),
        _ => Err(format!(
            "{text:?} is not possible: write a number from {LEAST} to {MOST}"
        )),
    }
}

/// A length of time: `500ms`, `10s`, `5m`, `1h`, `1m30s`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Period(pub(crate) Duration);

const PERIOD_UNITS: &[(&str, u64)] = &[
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let complaint =
            || format!("{text:?} is not a duration: write a whole number with ms, s, m, h or d, as in 10s");
        let mut milliseconds = 0_u64;
        let mut rest = text;
        if text.is_empty() {
            return Err(complaint());
        }
        while !rest.is_empty() {
            let (digits, tail) = split_number(rest);
            let unit_end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(unit_end);
            let factor = PERIOD_UNITS.iter().find(|(name, _)| *name == unit);
            // Zero is the same in every unit, so it needs none.
            let factor = if text == "0" { Some(&("", 0)) } else { factor };
            let (Some((_, factor)), Ok(number)) = (factor, digits.parse::<u64>()) else {
                return Err(complaint());
            };
            milliseconds = number
                .checked_mul(*factor)
                .and_then(|part| milliseconds.checked_add(part))
                .filter(|total| *total <= LONGEST)
                .ok_or_else(|| format!("{text} is too long: the longest duration is 3650d"))?;
            rest = tail;
        }
        Ok(Self(Duration::from_millis(milliseconds)))
    }
}

/// Ten years in milliseconds. Deadlines are sums of a moment and a period; this keeps them far from overflow.
const LONGEST: u64 = 3650 * 86_400_000;

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if milliseconds == 0 {
            return f.write_str("0s");
        }
        for (name, factor) in PERIOD_UNITS {
            if milliseconds.is_multiple_of(*factor) {
                return write!(f, "{}{name}", milliseconds / factor);
            }
        }
        Ok(())
    }
}

fn split_number(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// A limit or deadline that can be switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OrOff<T> {
    Off,
    At(T),
}

impl<T> OrOff<T> {
    pub(crate) fn limit(self) -> Option<T> {
        match self {
            Self::Off => None,
            Self::At(limit) => Some(limit),
        }
    }
}

impl OrOff<Period> {
    pub(crate) fn duration(self) -> Option<Duration> {
        self.limit().map(|period| period.0)
    }
}

impl<T: FromStr<Err = String> + Default + PartialEq> FromStr for OrOff<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            _ => positive(text)
                .map(Self::At)
                .map_err(|error| format!("{error}, or off")),
        }
    }
}

/// Reads a value that would stop everything if it were zero.
pub(crate) fn positive<T: FromStr<Err = String> + Default + PartialEq>(text: &str) -> Result<T, String> {
    match text.parse() {
        Ok(zero) if zero == T::default() => Err(format!("{text} lets nothing through: write more than zero")),
        parsed => parsed,
    }
}

/// A number, or the one that suits this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OrAuto<T> {
    Auto,
    At(T),
}

impl<T> OrAuto<T> {
    pub(crate) fn number(self) -> Option<T> {
        match self {
            Self::Auto => None,
            Self::At(number) => Some(number),
        }
    }
}

impl<T: FromStr<Err = String>> FromStr for OrAuto<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            _ => text
                .parse()
                .map(Self::At)
                .map_err(|error| format!("{error}, or auto")),
        }
    }
}

/// `on` or `off`. A configuration file may also say `true` or `false`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    #[value(alias = "true")]
    On,
    #[value(alias = "false")]
    Off,
}

impl Switch {
    pub(crate) fn is_on(self) -> bool {
        self == Self::On
    }
}

/// The TCP port to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Port {
    /// 3000, or the next free one.
    Auto,
    /// No TCP at all: a Unix socket only.
    Off,
    /// This one or none; 0 lets the system choose.
    Exact(u16),
}

impl FromStr for Port {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "off" => Ok(Self::Off),
            _ => text
                .parse()
                .map(Self::Exact)
                .map_err(|_| format!("{text:?} is not a port: write a number from 0 to 65535, auto or off")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_and_decimal_units() {
        let table = [
            ("0", 0),
            ("65536", 65_536),
            ("64KiB", 65_536),
            ("64kib", 65_536),
            ("64 KiB", 65_536),
            ("1MiB", 1_048_576),
            ("2GiB", 2_147_483_648),
            ("10KB", 10_000),
            ("7B", 7),
        ];
        for (text, bytes) in table {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        for text in [
            "",
            "KiB",
            "1.5MiB",
            "-1",
            "64Kib2",
            "20000000000GiB",
            "99999999999999999999",
        ] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }

    #[test]
    fn durations_have_a_unit_and_can_be_sums() {
        let table = [
            ("500ms", 500),
            ("10s", 10_000),
            ("5m", 300_000),
            ("1m30s", 90_000),
            ("1h", 3_600_000),
            ("2d", 172_800_000),
            ("0", 0),
            ("0s", 0),
        ];
        for (text, milliseconds) in table {
            assert_eq!(
                text.parse(),
                Ok(Period(Duration::from_millis(milliseconds))),
                "{text}"
            );
        }
        for text in [
            "",
            "10",
            "s",
            "1.5s",
            "-1s",
            "10s5",
            "10 s",
            "99999d",
            "99999999999999999999s",
        ] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_value_is_shown_as_it_can_be_written() {
        for text in ["64KiB", "1MiB", "3GiB", "1500", "0"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
        for text in ["500ms", "10s", "5m", "90s", "2h", "1d", "0s"] {
            assert_eq!(text.parse::<Period>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_limit_can_be_off() {
        assert_eq!("off".parse(), Ok(OrOff::<Period>::Off));
        assert_eq!("2s".parse(), Ok(OrOff::At(Period(Duration::from_secs(2)))));
        assert!("never".parse::<OrOff<Period>>().unwrap_err().ends_with("or off"));
    }

    #[test]
    fn what_would_stop_everything_is_refused() {
        assert_eq!(positive("1s"), Ok(Period(Duration::from_secs(1))));
        assert!(positive::<Period>("0s").is_err());
        assert!(positive::<Size>("0KiB").is_err());
        assert!("0s".parse::<OrOff<Period>>().unwrap_err().ends_with("or off"));
    }

    #[test]
    fn a_count_is_at_least_one_and_can_be_left_to_the_machine() {
        assert_eq!("auto".parse(), Ok(OrAuto::<Count>::Auto));
        assert_eq!("5".parse(), Ok(OrAuto::At(Count(5))));
        let error = "0".parse::<OrAuto<Count>>().unwrap_err();
        assert_eq!(
            error,
            "\"0\" is not a count: write a whole number from 1, or auto"
        );
    }

    #[test]
    fn a_port_is_a_number_auto_or_off() {
        assert_eq!("auto".parse(), Ok(Port::Auto));
        assert_eq!("off".parse(), Ok(Port::Off));
        assert_eq!("65535".parse(), Ok(Port::Exact(65_535)));
        assert!("65536".parse::<Port>().is_err());
    }
}
