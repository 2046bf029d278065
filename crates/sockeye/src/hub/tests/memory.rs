//! What subscriptions and publishing cost in memory.

use allocation_counter::measure;

use super::support::{Worker, World};

fn crowd(count: usize) -> (Worker, Vec<u32>) {
    let mut worker = World::one();
    let slots: Vec<_> = (0..count).map(|_| worker.open()).collect();
    for slot in &slots {
        worker.subscribe(*slot, "t");
    }
    (worker, slots)
}

/// A turn that forgets what it would send.
fn turn(worker: &mut Worker) {
    worker.local.flush(&mut worker.sockets);
    worker.sockets.forget_output();
}

#[test]
fn publishing_small_messages_allocates_nothing() {
    let (mut worker, _) = crowd(1000);
    for _ in 0..3 {
        worker.publish("t", "the tide is in");
        turn(&mut worker);
    }
    let allocations = measure(|| {
        for _ in 0..10 {
            worker.publish("t", "the tide is in");
            turn(&mut worker);
        }
    });
    assert_eq!(allocations.count_total, 0);
}

#[test]
fn many_publishers_of_one_turn_share_one_buffer() {
    let (mut worker, slots) = crowd(200);
    let mut round = || {
        for slot in &slots {
            worker.publish_from(*slot, "t", "the tide is going out");
        }
        turn(&mut worker);
    };
    for _ in 0..3 {
        round();
    }
    // The buffer becomes the subscribers' and has to grow anew, by doubling; of 40,000 deliveries none allocates.
    let allocations = measure(round);
    assert!(allocations.count_total < 50, "{allocations:?}");
    assert!(allocations.bytes_max < 64 * 1024, "{allocations:?}");
}

#[test]
fn a_subscription_takes_little_and_nothing_stays_of_it() {
    const COUNT: usize = 10_000;
    let mut worker = World::one();
    let slots: Vec<_> = (0..COUNT).map(|_| worker.open()).collect();
    let per_socket = |bytes: i64| bytes as f64 / COUNT as f64;
    let first = measure(|| {
        for slot in &slots {
            worker.subscribe(*slot, "first");
        }
    });
    let first = per_socket(first.bytes_current);
    assert!(first < 64.0, "{first} bytes for the first topic of a socket");
    let second = measure(|| {
        for slot in &slots {
            worker.subscribe(*slot, "second");
        }
    });
    let second = per_socket(second.bytes_current);
    assert!(second < 40.0, "{second} bytes for the second topic of a socket");
    let left = measure(|| {
        for slot in &slots {
            worker.unsubscribe(*slot, "first");
            worker.unsubscribe(*slot, "second");
        }
    });
    let left = per_socket(left.bytes_current) + first + second;
    assert!(left < 1.0, "{left} bytes stay");
}
