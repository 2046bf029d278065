//! What happens to many connections, spread over a time.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number in 0..1 for each connection. Multiples of the golden ratio fill the interval evenly, whatever part of
/// the numbers is still alive.
pub(crate) fn share(id: u64) -> f64 {
    const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
    #[expect(clippy::cast_precision_loss, reason = "32 bits fit")]
    let share = (id.wrapping_mul(GOLDEN) >> 32) as f64 / (1_u64 << 32) as f64;
    share
}

/// Another such number each time, for connections that have none.
pub(crate) fn next_share() -> f64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    share(NEXT.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_even() {
        // Every third connection of 3,000 is left: each tenth of the time gets its tenth of them.
        let mut buckets = [0; 10];
        for id in (0..3000).step_by(3) {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0..10")]
            let bucket = (share(id) * 10.0) as usize;
            buckets[bucket] += 1;
        }
        assert!(
            buckets.iter().all(|count| (90..=110).contains(count)),
            "{buckets:?}"
        );
    }
}
