//! `sockeye bench` against servers that are good, faulty, slow, and not there.

mod broadcast;
mod echo;
mod faults;
mod holding;
mod host;
mod progress;
mod results;
#[cfg(target_os = "linux")]
mod soak;

use serde_json::Value;

use crate::support::{Ended, run};

/// Runs a scenario for a short time, its results as JSON.
fn bench(scenario: &str, url: &str, flags: &[&str]) -> (Ended, Value) {
    let short = [
        "--json",
        "-",
        "--duration",
        "300ms",
        "--warmup",
        "50ms",
        "--settle",
        "0s",
    ];
    // Of options that are given twice, those of the test count.
    let short: Vec<_> = short
        .chunks(2)
        .filter(|pair| !flags.contains(&pair[0]))
        .flatten()
        .copied()
        .collect();
    let ended = run(&[&["bench", scenario, url], &short[..], flags].concat());
    let results = serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    (ended, results)
}

fn number(results: &Value, pointer: &str) -> f64 {
    let value = results.pointer(pointer).and_then(Value::as_f64);
    value.unwrap_or_else(|| panic!("{pointer}: {results:#}"))
}
