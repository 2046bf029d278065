//! The corpora, and mutations of them, without a fuzzer: what can be run on any toolchain.

use std::fs;
use std::path::Path;

use crate::support::noise;
use crate::{TARGETS, Target};

/// How many mutated inputs each target gets.
const MUTATIONS: usize = 400;

/// The inputs in the repository, in the same order on each run.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// An input with some bytes changed, removed, repeated, or taken from another one.
fn mutate(input: &[u8], other: &[u8], random: &mut impl Iterator<Item = u8>) -> Vec<u8> {
    let mut number = |below: usize| {
        let value = random
            .by_ref()
            .take(4)
            .fold(0, |value, byte| value << 8 | usize::from(byte));
        value % below.max(1)
    };
    let mut bytes = input.to_vec();
    for _ in 0..=number(4) {
        let at = number(bytes.len() + 1);
        match number(6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, number(256) as u8),
            2 => {
                let end = (at + number(20)).min(bytes.len());
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            3 => {
                let from = number(other.len() + 1);
                bytes.splice(at.., other[from..].iter().copied());
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << number(8);
                }
            }
        }
    }
    bytes
}

fn replay((name, target): Target) {
    let inputs = corpus(name);
    for input in &inputs {
        target(input);
    }
    let mut random = noise(name.len() as u64);
    for round in 0..MUTATIONS {
        let (one, two) = (&inputs[round % inputs.len()], &inputs[round * 7 % inputs.len()]);
        let input = mutate(one, two, &mut random);
        if let Err(panic) = std::panic::catch_unwind(|| target(&input)) {
            eprintln!("{name} fails with {}", input.escape_ascii());
            std::panic::resume_unwind(panic);
        }
    }
}

fn target(name: &str) -> Target {
    *TARGETS.iter().find(|(target, _)| *target == name).unwrap()
}

#[test]
fn requests_are_refused_or_understood() {
    replay(target("server_handshake"));
}

#[test]
fn responses_are_refused_or_understood() {
    replay(target("client_handshake"));
}

#[test]
fn frames_from_clients_do_no_harm() {
    replay(target("frames_server"));
}

#[test]
fn frames_from_servers_do_no_harm() {
    replay(target("frames_client"));
}

#[test]
fn compressed_bytes_do_no_harm() {
    replay(target("deflate"));
}

#[test]
fn compressed_bytes_mean_what_they_mean_to_zlib() {
    replay(target("inflate"));
}

#[test]
fn what_our_own_compressor_makes_is_inflated_by_another() {
    replay(target("compress"));
}

#[test]
fn pairs_lose_nothing_and_get_closed() {
    replay(target("pair"));
}
