//! Masking keys, drawn many at once.

use std::cell::RefCell;

/// How many keys are drawn at once.
const KEYS: usize = 128;

thread_local! {
    static DRAWN: RefCell<Drawn> = const {
        RefCell::new(Drawn {
            keys: [[0; 4]; KEYS],
            left: 0,
        })
    };
}

/// Keys of the thread: connections take turns, and own none.
struct Drawn {
    keys: [[u8; 4]; KEYS],
    /// How many of them were not used yet, from the front.
    left: usize,
}

/// A key that was never used before, from the thread's cryptographic generator (RFC 6455 §5.3, §10.3).
pub(super) fn next_key() -> [u8; 4] {
    DRAWN.with_borrow_mut(|drawn| {
        if drawn.left == 0 {
            rand::fill(drawn.keys.as_flattened_mut());
            drawn.left = KEYS;
        }
        drawn.left -= 1;
        // A key that was used is kept nowhere.
        std::mem::take(&mut drawn.keys[drawn.left])
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_key_comes_twice() {
        let threads: Vec<_> = (0..2)
            .map(|_| std::thread::spawn(|| (0..5 * KEYS).map(|_| next_key()).collect::<Vec<_>>()))
            .collect();
        let keys: Vec<_> = threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect();
        let distinct: BTreeSet<_> = keys.iter().collect();
        // Of 1,280 keys of 32 bits two are equal once in five thousand runs, three in none.
        assert!(distinct.len() >= keys.len() - 1, "{}", distinct.len());
    }
}
