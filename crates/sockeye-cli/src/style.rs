//! Colours, where somebody sees them.

use std::fmt::Display;

use anstyle::{AnsiColor, Style};

pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(crate) const MIDDLING: Style = AnsiColor::Yellow.on_default();
pub(crate) const FAINT: Style = Style::new().dimmed();
pub(crate) const STRONG: Style = Style::new().bold();
pub(crate) const KEY: Style = AnsiColor::Blue.on_default();
pub(crate) const TEXT: Style = AnsiColor::Green.on_default();
pub(crate) const NUMBER: Style = AnsiColor::Cyan.on_default();
pub(crate) const WORD: Style = AnsiColor::Magenta.on_default();

/// Puts text into colour, or leaves it as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Painter {
    colour: bool,
}

impl Painter {
    /// Colours when `stream` is a terminal, unless the environment says otherwise (`NO_COLOR`, `CLICOLOR`,
    /// `CLICOLOR_FORCE`, `TERM=dumb`).
    pub(crate) fn of(stream: &impl anstream::stream::RawStream) -> Self {
        Self {
            colour: anstream::AutoStream::choice(stream) != anstream::ColorChoice::Never,
        }
    }

    /// Leaves everything as it is.
    #[cfg(test)]
    pub(crate) const fn plain() -> Self {
        Self { colour: false }
    }

    /// Puts everything into colour.
    #[cfg(test)]
    pub(crate) const fn colourful() -> Self {
        Self { colour: true }
    }

    /// Whether there is any colour.
    pub(crate) fn paints(self) -> bool {
        self.colour
    }

    pub(crate) fn paint(self, style: Style, text: impl Display) -> String {
        if self.colour {
            format!("{style}{text}{style:#}")
        } else {
            text.to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colour_text_stays_as_it_is() {
        assert_eq!(Painter::plain().paint(BAD, "x"), "x");
        assert_eq!(Painter::colourful().paint(GOOD, "x"), "\u{1b}[32mx\u{1b}[0m");
    }
}
