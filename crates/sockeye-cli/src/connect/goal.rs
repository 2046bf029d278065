//! What a conversation is for: so many messages, or one that matches.

use regex::bytes::Regex;
use sockeye::Message;

use super::ConnectOptions;

/// Counts messages and looks for the expected one.
#[derive(Debug)]
pub(super) struct Goal {
    count: Option<u64>,
    expect: Option<Regex>,
    received: u64,
    met: bool,
}

/// What to do about a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Show it.
    Show,
    /// Show it and close: there is no more to wait for.
    ShowAndClose,
    /// Nobody has asked for it: it came after the last one, while the connection closes.
    Ignore,
}

impl Goal {
    pub(super) fn of(options: &ConnectOptions) -> Self {
        Self {
            count: options.count(),
            expect: options.expect.clone(),
            received: 0,
            met: false,
        }
    }

    pub(super) fn receive(&mut self, message: &Message) -> Verdict {
        if self.is_over() {
            return Verdict::Ignore;
        }
        self.received += 1;
        let expected = self.expect.as_ref();
        self.met = expected.is_some_and(|expected| expected.is_match(message.as_bytes()));
        if self.is_over() {
            Verdict::ShowAndClose
        } else {
            Verdict::Show
        }
    }

    fn is_over(&self) -> bool {
        self.met || self.count.is_some_and(|count| self.received >= count)
    }

    /// The expression that no message has matched.
    pub(super) fn missed(&self) -> Option<&str> {
        self.expect
            .as_ref()
            .filter(|_| !self.met)
            .map(|expected| expected.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goal(count: Option<u64>, expect: Option<&str>) -> Goal {
        Goal {
            count,
            expect: expect.map(|text| Regex::new(text).unwrap()),
            received: 0,
            met: false,
        }
    }

    fn receive(goal: &mut Goal, text: &str) -> Verdict {
        goal.receive(&Message::text(text.to_owned()))
    }

    #[test]
    fn without_a_goal_everything_is_shown() {
        let mut goal = goal(None, None);
        assert_eq!(receive(&mut goal, "a"), Verdict::Show);
        assert_eq!(goal.missed(), None);
    }

    #[test]
    fn what_comes_after_the_last_message_is_ignored() {
        let mut goal = goal(Some(2), None);
        assert_eq!(receive(&mut goal, "a"), Verdict::Show);
        assert_eq!(receive(&mut goal, "b"), Verdict::ShowAndClose);
        assert_eq!(receive(&mut goal, "c"), Verdict::Ignore);
    }

    #[test]
    fn the_expected_message_ends_it() {
        let mut goal = goal(None, Some("^re+ady"));
        assert_eq!(receive(&mut goal, "not ready"), Verdict::Show);
        assert_eq!(goal.missed(), Some("^re+ady"));
        assert_eq!(receive(&mut goal, "reeady!"), Verdict::ShowAndClose);
        assert_eq!(goal.missed(), None);
    }

    #[test]
    fn an_expectation_can_match_bytes() {
        let mut goal = goal(None, Some(r"(?-u)\x00\xff"));
        let message = Message::binary(vec![1, 0, 255]);
        assert_eq!(goal.receive(&message), Verdict::ShowAndClose);
    }

    #[test]
    fn the_expected_message_may_not_be_among_those_waited_for() {
        let mut goal = goal(Some(1), Some("x"));
        assert_eq!(receive(&mut goal, "a"), Verdict::ShowAndClose);
        assert_eq!(goal.missed(), Some("x"));
    }
}
