//! Messages from publishers to subscribers: all of them, too few, too many, out of order.

use serde_json::Value;

use super::host::{Fault, Host, Relay};
use super::{bench, number};
use crate::support::{complaint, sockeye};

fn relay(fault: Fault, members: usize) -> Host {
    let relay = Relay::new(fault, members);
    Host::start(move |ws| relay.clone().serve(ws))
}

#[test]
fn every_subscriber_gets_every_message_once() {
    let table: &[(usize, &[&str])] = &[
        (21, &["-S", "20"]),
        (
            13,
            &[
                "--publishers",
                "3",
                "--subscribers",
                "10",
                "--window",
                "4",
                "--threads",
                "2",
                "--binary",
            ],
        ),
        (5, &["-p", "5", "-S", "5", "--shared"]),
        (12, &["-p", "2", "-S", "10", "--rate", "200"]),
        (6, &["-S", "5", "--size", "2KiB", "--payload", "chinese"]),
    ];
    for (members, flags) in table {
        let host = relay(Fault::None, *members);
        let (ended, results) = bench("broadcast", &host.url(), flags);
        // On a machine that does much else nothing may come in the time that is measured, but only behind it.
        let in_time = number(&results, "/messages/received") > 0.0;
        assert_eq!(
            (ended.status, ended.stderr.as_str()),
            (if in_time { 0 } else { 6 }, ""),
            "{flags:?}: {results:#}"
        );
        let facts = &results["broadcast"];
        let published = number(facts, "/published");
        assert!(published > 0.0, "{flags:?}: {results:#}");
        assert_eq!(
            number(facts, "/expected"),
            published * number(facts, "/subscribers")
        );
        assert_eq!(facts["delivered"], facts["expected"], "{flags:?}");
        assert_eq!(number(facts, "/foreign"), 0.0);
        assert!(!in_time || number(&results, "/latency/count") > 0.0, "{flags:?}");
    }
}

/// Lost, duplicates, reordered, of one publisher's messages to three subscribers; and how many messages there were.
fn faults(fault: Fault) -> (u64, Value, i32) {
    let host = relay(fault, 4);
    let flags = ["-S", "3", "--rate", "300", "--patience", "1s"];
    let (ended, results) = bench("broadcast", &host.url(), &flags);
    let facts = results["broadcast"].clone();
    assert_eq!(facts["by_publisher"][0]["lost"], facts["lost"]);
    assert_eq!(facts["by_publisher"][0]["duplicates"], facts["duplicates"]);
    assert_eq!(facts["by_publisher"][0]["reordered"], facts["reordered"]);
    (facts["published"].as_u64().unwrap(), facts, ended.status)
}

#[test]
fn what_is_lost_is_counted() {
    let (published, facts, status) = faults(Fault::Lose);
    let struck = (0..published).filter(|number| Fault::strikes(*number)).count() as u64;
    assert!(struck > 0);
    assert_eq!((facts["lost"].as_u64(), status), (Some(3 * struck), 6));
    assert_eq!(facts["duplicates"], 0);
    assert_eq!(facts["reordered"], 0);
}

#[test]
fn what_comes_twice_is_counted() {
    let (published, facts, status) = faults(Fault::Double);
    let struck = (0..published).filter(|number| Fault::strikes(*number)).count() as u64;
    assert_eq!((facts["duplicates"].as_u64(), status), (Some(3 * struck), 6));
    assert_eq!(facts["lost"], 0);
    assert_eq!(facts["reordered"], 0);
}

#[test]
fn what_comes_out_of_order_is_counted() {
    let (published, facts, status) = faults(Fault::Reorder);
    // The relay still holds the last one if it is to be struck.
    let held = u64::from(Fault::strikes(published - 1));
    let struck = (0..published).filter(|number| Fault::strikes(*number)).count() as u64;
    assert_eq!(
        (facts["reordered"].as_u64(), status),
        (Some(3 * (struck - held)), 6)
    );
    assert_eq!(facts["lost"].as_u64(), Some(3 * held));
    assert_eq!(facts["duplicates"], 0);
}

#[test]
fn topics_are_told_apart() {
    // The relay knows no topics: of two, each subscriber hears the other one too.
    let host = relay(Fault::None, 6);
    let url = host.url().replace("path", "{topic}");
    let flags = ["-p", "2", "-S", "4", "--topics", "2", "--rate", "200"];
    let (ended, results) = bench("broadcast", &url, &flags);
    let facts = &results["broadcast"];
    assert_eq!(ended.status, 0, "{results:#}");
    assert_eq!(number(facts, "/delivered"), 2.0 * number(facts, "/published"));
    assert!(number(facts, "/foreign") > 0.0, "{facts}");
}

#[test]
fn a_sender_may_be_left_out() {
    let host = relay(Fault::None, 4);
    let flags = [
        "-p",
        "4",
        "-S",
        "4",
        "--shared",
        "--excludes-sender",
        "--rate",
        "200",
    ];
    let (_, results) = bench("broadcast", &host.url(), &flags);
    let facts = &results["broadcast"];
    assert_eq!(number(facts, "/expected"), 3.0 * number(facts, "/published"));
    // This relay leaves nobody out.
    assert!(number(facts, "/foreign") > 0.0, "{facts}");
}

#[test]
fn what_makes_no_sense_is_explained() {
    let table: &[(&[&str], &str)] = &[
        (
            &["--size", "26"],
            "--size: a message says who sent it and when, which takes 27 bytes: write at least that",
        ),
        (
            &["-p", "3", "-S", "2", "--shared"],
            "--shared: 3 publishers cannot be among 2 subscribers",
        ),
        (
            &["--topics", "2"],
            "--topics: 2 topics need as many publishers and subscribers",
        ),
        (
            &["--topics", "1"],
            "--topics needs {topic} in the URL, where the name of the topic belongs",
        ),
    ];
    for (flags, line) in table {
        let words = [&["bench", "broadcast", "ws://127.0.0.1:1/"], *flags].concat();
        assert_eq!(complaint(&mut sockeye(&words), 2), *line);
    }
}
