//! The names of topics, and patterns of names.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The name of a topic: 1 to 255 bytes of UTF-8. Cloning it copies no text.
///
/// Levels are parted by `/` where there are wildcards; otherwise `/` is a character like any other. Refused are
///
/// - control characters (Unicode's category Cc, NUL among them): names are written to logs, metrics and JSON;
/// - `+` and `#`, so that no name means something else once wildcards are switched on.
///
/// ```
/// use sockeye::hub::{Topic, TopicError};
///
/// let topic: Topic = "prices/eu/salmon".parse()?;
/// assert_eq!(topic.as_str(), "prices/eu/salmon");
/// assert_eq!("prices/+".parse::<Topic>(), Err(TopicError::Wildcard));
/// # Ok::<(), TopicError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(Arc<str>);

impl Topic {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 255;

    /// A name, if it is one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(name: &str) -> Result<Self, TopicError> {
        check_name(name)?;
        Ok(Self(name.into()))
    }

    /// A name that was checked, or a pattern: that stands in the index like a name.
    pub(super) fn of_subscription(name: &str) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What may be said of a topic's name, as it is.
pub(super) fn check_name(name: &str) -> Result<(), TopicError> {
    check_length(name)?;
    match name.chars().find(|char| is_refused(*char)) {
        None => Ok(()),
        Some('+' | '#') => Err(TopicError::Wildcard),
        Some(_) => Err(TopicError::ControlCharacter),
    }
}

fn is_refused(char: char) -> bool {
    matches!(char, '+' | '#') || char.is_control()
}

fn check_length(name: &str) -> Result<(), TopicError> {
    match name.len() {
        0 => Err(TopicError::Empty),
        1..=Topic::MAX_LEN => Ok(()),
        _ => Err(TopicError::TooLong),
    }
}

/// Whether this asks for more topics than one.
pub(super) fn is_filter(name: &str) -> bool {
    name.bytes().any(|byte| matches!(byte, b'+' | b'#'))
}

/// How many levels a pattern may have: a pattern costs a node of the tree for each.
pub(super) const MAX_FILTER_LEVELS: usize = 32;

/// What may be said of a pattern, by the rules of MQTT (5.0 §4.7.1): `+` is a whole level, `#` the whole last one.
pub(super) fn check_filter(filter: &str) -> Result<(), TopicError> {
    check_length(filter)?;
    if filter.chars().any(char::is_control) {
        return Err(TopicError::ControlCharacter);
    }
    let levels = filter.split('/').count();
    if levels > MAX_FILTER_LEVELS {
        return Err(TopicError::TooManyLevels);
    }
    for (at, level) in filter.split('/').enumerate() {
        let is_wild = level == "+" || (level == "#" && at + 1 == levels);
        if is_filter(level) && !is_wild {
            return Err(TopicError::Wildcard);
        }
    }
    Ok(())
}

/// Why a text is not the name of a topic, or not a pattern of names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TopicError {
    /// It has no character.
    #[error("a topic has a name of at least one byte")]
    Empty,
    /// It is longer than [`Topic::MAX_LEN`].
    #[error("a topic's name has at most 255 bytes")]
    TooLong,
    /// It has a control character in it.
    #[error("a topic's name has no control characters")]
    ControlCharacter,
    /// It has a `+` or `#`, which stand for other names: where a name is wanted, where wildcards are switched off, or
    /// where they are not a whole level, or `#` not the last one.
    #[error("'+' and '#' are whole levels of patterns, where patterns are allowed")]
    Wildcard,
    /// It is a pattern of more than 32 levels.
    #[error("a pattern of topics has at most 32 levels")]
    TooManyLevels,
}

impl FromStr for Topic {
    type Err = TopicError;

    fn from_str(name: &str) -> Result<Self, TopicError> {
        Self::new(name)
    }
}

impl TryFrom<&str> for Topic {
    type Error = TopicError;

    fn try_from(name: &str) -> Result<Self, TopicError> {
        Self::new(name)
    }
}

impl AsRef<str> for Topic {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Topic {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl std::ops::Deref for Topic {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq<str> for Topic {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Topic {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_1_to_255_bytes() {
        assert_eq!(Topic::new(""), Err(TopicError::Empty));
        assert!(Topic::new(&"x".repeat(255)).is_ok());
        assert_eq!(Topic::new(&"x".repeat(256)), Err(TopicError::TooLong));
        // 255 bytes, not characters.
        assert_eq!(Topic::new(&"é".repeat(128)), Err(TopicError::TooLong));
        assert!(Topic::new(&"é".repeat(127)).is_ok());
    }

    #[test]
    fn names_have_no_control_characters_and_no_wildcards() {
        for name in ["a\0b", "a\nb", "\u{7f}", "a\u{85}"] {
            assert_eq!(check_name(name), Err(TopicError::ControlCharacter), "{name:?}");
            assert_eq!(check_filter(name), Err(TopicError::ControlCharacter), "{name:?}");
        }
        for name in ["+", "#", "a/+/b", "a#"] {
            assert_eq!(check_name(name), Err(TopicError::Wildcard), "{name:?}");
        }
        for name in ["a", "/", "//", "a b", "三文魚", "🐟", "$sys", "a*?"] {
            assert_eq!(check_name(name), Ok(()), "{name:?}");
        }
    }

    #[test]
    fn wildcards_are_whole_levels() {
        for filter in ["+", "#", "a/#", "a/+/b", "+/+", "/+", "+/#"] {
            assert_eq!(check_filter(filter), Ok(()), "{filter}");
        }
        for filter in ["a+", "#/a", "a/#/b", "a#", "+a/b", "a/##", "++"] {
            assert_eq!(check_filter(filter), Err(TopicError::Wildcard), "{filter}");
        }
        let deep = "a/".repeat(MAX_FILTER_LEVELS - 1);
        assert_eq!(check_filter(&format!("{deep}#")), Ok(()));
        assert_eq!(
            check_filter(&format!("{deep}a/#")),
            Err(TopicError::TooManyLevels)
        );
    }
}
