//! What threads ask of a worker, without one: run under Miri too, which tries many orders of what threads do.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use super::super::mailbox::{Letter, Mailbox};
use crate::driver::{Key, Waker};

/// A worker that nobody wakes for so long was forgotten.
const PATIENCE: Duration = Duration::from_secs(20);

const THREADS: u32 = 3;
const LETTERS: u32 = if cfg!(miri) { 5 } else { 5000 };

#[test]
fn a_worker_that_waits_is_woken_for_each_letter_and_gets_them_in_order() {
    let mailbox = Mailbox::new();
    let (wake, woken) = channel();
    mailbox.attach(Waker::new(move || {
        // At the end nobody waits any more.
        let _ = wake.send(());
        Ok(())
    }));
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let mailbox = Arc::clone(&mailbox);
            thread::spawn(move || {
                for number in 0..LETTERS {
                    assert!(mailbox.post(Letter::Rung(Key::new(thread, number))));
                }
            })
        })
        .collect();

    let mut expected = [0; THREADS as usize];
    let mut letters = VecDeque::new();
    while expected != [LETTERS; THREADS as usize] {
        woken
            .recv_timeout(PATIENCE)
            .expect("letters lie there and nobody was woken");
        mailbox.take(&mut letters);
        for letter in letters.drain(..) {
            let Letter::Rung(key) = letter else {
                panic!("{letter:?} was not posted")
            };
            assert_eq!(key.generation(), expected[key.index()]);
            expected[key.index()] += 1;
        }
    }
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn a_letter_that_comes_while_the_mailbox_closes_is_refused_or_dropped() {
    let mailbox = Mailbox::new();
    let (done, is_done) = tokio::sync::mpsc::unbounded_channel();
    let poster = thread::spawn({
        let mailbox = Arc::clone(&mailbox);
        move || while mailbox.post(Letter::StopListening(None, done.clone())) {}
    });
    mailbox.close();
    poster.join().unwrap();
    // Who waits for the answer to a letter learns that there is none: all senders are gone.
    let mut is_done = is_done;
    assert!(is_done.blocking_recv().is_none());
    assert!(!mailbox.post(Letter::Stop));
}
