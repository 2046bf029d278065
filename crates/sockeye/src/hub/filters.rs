//! Subscriptions to patterns of names: a tree with a level of the pattern in each node.

use std::collections::HashMap;

use super::index::TopicId;

/// The patterns that somebody on this worker is subscribed to. Publishing looks here only if there are any.
#[derive(Debug, Default)]
pub(super) struct Filters {
    root: Node,
    len: usize,
}

#[derive(Debug, Default)]
struct Node {
    children: HashMap<Box<str>, Self>,
    /// What goes on after `+`.
    any: Option<Box<Self>>,
    /// The pattern that ends here.
    here: Option<TopicId>,
    /// The pattern that ends here by `#`.
    rest: Option<TopicId>,
}

impl Filters {
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a checked pattern that is not there yet.
    pub(super) fn insert(&mut self, filter: &str, id: TopicId) {
        let mut node = &mut self.root;
        let mut levels = filter.split('/').peekable();
        while let Some(level) = levels.next() {
            node = match level {
                "#" if levels.peek().is_none() => {
                    node.rest = Some(id);
                    self.len += 1;
                    return;
                }
                "+" => node.any.get_or_insert_default(),
                level => node.children.entry(level.into()).or_default(),
            };
        }
        node.here = Some(id);
        self.len += 1;
    }

    /// Takes a pattern away, and the nodes that only it used.
    pub(super) fn remove(&mut self, filter: &str) {
        if self.root.remove(filter.split('/')) {
            self.len -= 1;
        }
    }

    /// Appends the patterns that match this name.
    pub(super) fn matching(&self, name: &str, found: &mut Vec<TopicId>) {
        // MQTT 5.0 §4.7.2: a wildcard at the first level matches no name that begins with "$".
        let is_hidden = name.starts_with('$');
        self.root.matching(Some(name), is_hidden, found);
    }
}

impl Node {
    fn remove<'l>(&mut self, mut levels: impl Iterator<Item = &'l str>) -> bool {
        match levels.next() {
            None => self.here.take().is_some(),
            Some("#") => self.rest.take().is_some(),
            Some("+") => {
                let removed = self.any.as_mut().is_some_and(|any| any.remove(levels));
                self.any.take_if(|any| any.is_empty());
                removed
            }
            Some(level) => {
                let Some(child) = self.children.get_mut(level) else {
                    return false;
                };
                let removed = child.remove(levels);
                if child.is_empty() {
                    self.children.remove(level);
                }
                removed
            }
        }
    }

    /// `name` is what is left of it, `None` when its last level was matched.
    fn matching(&self, name: Option<&str>, is_hidden: bool, found: &mut Vec<TopicId>) {
        // "a/#" matches "a" too (MQTT 5.0 §4.7.1.2).
        found.extend(self.rest.filter(|_| !is_hidden));
        let Some(name) = name else {
            found.extend(self.here);
            return;
        };
        let (level, rest) = match name.split_once('/') {
            Some((level, rest)) => (level, Some(rest)),
            None => (name, None),
        };
        if let Some(child) = self.children.get(level) {
            child.matching(rest, false, found);
        }
        if let Some(any) = &self.any
            && !is_hidden
        {
            any.matching(rest, false, found);
        }
    }

    fn is_empty(&self) -> bool {
        self.children.is_empty() && self.any.is_none() && self.here.is_none() && self.rest.is_none()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(filters: &[&str], name: &str) -> Vec<usize> {
        let mut tree = Filters::default();
        for (at, filter) in filters.iter().enumerate() {
            tree.insert(filter, TopicId(at as u32));
        }
        let mut found = Vec::new();
        tree.matching(name, &mut found);
        let mut found: Vec<_> = found.into_iter().map(|id| id.0 as usize).collect();
        found.sort_unstable();
        found
    }

    /// The rules, one level after the other.
    fn agrees(filter: &str, name: &str) -> bool {
        if name.starts_with('$') && filter.starts_with(['+', '#']) {
            return false;
        }
        let (filter, name): (Vec<_>, Vec<_>) = (filter.split('/').collect(), name.split('/').collect());
        let rest = filter.last() == Some(&"#");
        let fixed = if rest {
            &filter[..filter.len() - 1]
        } else {
            &filter[..]
        };
        (name.len() == fixed.len() || (rest && name.len() >= fixed.len()))
            && fixed
                .iter()
                .zip(&name)
                .all(|(one, other)| *one == "+" || one == other)
    }

    #[test]
    fn examples_of_the_mqtt_standard() {
        let sport = ["sport/tennis/player1/#"];
        for name in [
            "sport/tennis/player1",
            "sport/tennis/player1/ranking",
            "sport/tennis/player1/score/wimbledon",
        ] {
            assert_eq!(matches(&sport, name), [0], "{name}");
        }
        assert_eq!(matches(&["sport/+"], "sport"), [0; 0]);
        assert_eq!(matches(&["sport/+"], "sport/"), [0]);
        assert_eq!(matches(&["+/+", "/+", "+"], "/finance"), [0, 1]);
        assert_eq!(
            matches(&["#", "+/monitor/Clients", "$SYS/#"], "$SYS/monitor/Clients"),
            [2]
        );
    }

    proptest! {
        #[test]
        fn the_tree_agrees_with_the_rules(
            filters in proptest::collection::hash_set("(\\$|[ab+])?(/[ab+]?){0,3}(/#)?", 1..12),
            name in "(\\$|[ab])?(/[ab]?){0,4}",
            removed in any::<u16>(),
        ) {
            let filters: Vec<_> = filters.iter().map(String::as_str).filter(|f| !f.is_empty()).collect();
            let expected: Vec<_> = (0..filters.len()).filter(|at| agrees(filters[*at], &name)).collect();
            prop_assert_eq!(matches(&filters, &name), expected);

            let mut tree = Filters::default();
            for (at, filter) in filters.iter().enumerate() {
                tree.insert(filter, TopicId(at as u32));
            }
            let is_left = |at: &usize| removed >> at & 1 == 0;
            for at in (0..filters.len()).filter(|at| !is_left(at)) {
                tree.remove(filters[at]);
            }
            let mut found = Vec::new();
            tree.matching(&name, &mut found);
            let mut found: Vec<_> = found.into_iter().map(|id| id.0 as usize).collect();
            found.sort_unstable();
            let expected: Vec<_> = (0..filters.len())
                .filter(|at| is_left(at) && agrees(filters[*at], &name))
                .collect();
            prop_assert_eq!(found, expected);
            for at in (0..filters.len()).filter(is_left) {
                tree.remove(filters[at]);
            }
            prop_assert!(tree.is_empty() && tree.root.is_empty());
        }
    }
}
