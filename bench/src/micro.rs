//! What each library does with every byte of a message, in GB/s: the package `micro`, and µWebSockets' part of it.

use std::fmt::Write;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::host;
use crate::machine::{self, Cores};
use crate::peer::Workshop;
use crate::report::{page, short};

/// The group, and the library, that all others are beside.
const MEMCPY: &str = "memcpy";

/// The packages whose versions count.
const PACKAGES: [&str; 8] = [
    "fastwebsockets",
    "sockudo-ws",
    "tokio-websockets",
    "tungstenite",
    "yawc",
    "simdutf8",
    "flate2",
    "zlib-rs",
];

/// A run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Micro {
    facts: Vec<(String, String)>,
    rates: Vec<Rate>,
}

/// How fast a library does something.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Rate {
    /// What it does.
    group: String,
    library: String,
    /// The length of a message.
    bytes: u64,
    /// Of payload.
    gigabytes_per_second: f64,
}

impl Micro {
    /// Measures on the core that servers have otherwise: some minutes.
    pub(crate) fn measure(workshop: &Workshop, cores: &Cores) -> Result<Self> {
        let (uwebsockets, version) = Self::build(workshop)?;
        let criterion = workshop.target().join("criterion");
        if criterion.exists() {
            fs::remove_dir_all(&criterion)?;
        }
        eprintln!("measuring; this takes some two minutes");
        let mut rates = measured_by_uwebsockets(&uwebsockets, cores)?;
        let ran = machine::spawn_measured(bench(workshop).stdout(Stdio::null()), cores)?.wait()?;
        ensure!(ran.success(), "cargo bench failed");
        read_criterion(&criterion, &mut rates)?;
        let mut facts = host::facts(cores);
        facts.push(("µWebSockets".to_owned(), version));
        let versions = PACKAGES.map(|package| workshop.version(package));
        facts.push(("others".to_owned(), versions.join(", ")));
        rates.sort_by(|one, other| {
            let key = |rate: &Rate| (rate.group.clone(), rate.library.clone(), rate.bytes);
            key(one).cmp(&key(other))
        });
        Ok(Self { facts, rates })
    }

    /// Builds both parts; gives the one in C++, and µWebSockets' version.
    pub(crate) fn build(workshop: &Workshop) -> Result<(PathBuf, String)> {
        eprintln!("building the package micro");
        let built = bench(workshop)
            .arg("--no-run")
            .status()
            .context("cannot run cargo")?;
        ensure!(built.success(), "cargo bench --no-run failed");
        workshop.build_micro()
    }

    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("report.json"), serde_json::to_string_pretty(self)?)?;
        let text = self.markdown()?;
        fs::write(folder.join("report.md"), &text)?;
        println!("{text}");
        eprintln!("results are in {}", folder.display());
        Ok(())
    }

    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("report.json");
        let text = fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is no report of this kind", path.display()))
    }

    pub(crate) fn write_page(&self, page: &Path) -> Result<()> {
        page::put(page, "micro", &self.markdown()?)
    }

    /// A table for each group: a line for each library, a column for each length.
    fn markdown(&self) -> Result<String> {
        let mut text = String::new();
        for (name, value) in &self.facts {
            writeln!(text, "- {name}: {value}")?;
        }
        let mut groups: Vec<&str> = self.rates.iter().map(|rate| rate.group.as_str()).collect();
        groups.dedup();
        for group in groups.into_iter().filter(|group| *group != MEMCPY) {
            self.table(group, &mut text)?;
        }
        Ok(text)
    }

    fn table(&self, group: &str, text: &mut String) -> Result<()> {
        let rates: Vec<&Rate> = self.rates.iter().filter(|rate| rate.group == group).collect();
        let mut lengths: Vec<u64> = rates.iter().map(|rate| rate.bytes).collect();
        lengths.sort_unstable();
        lengths.dedup();
        let mut libraries: Vec<&str> = rates.iter().map(|rate| rate.library.as_str()).collect();
        libraries.dedup();
        write!(text, "\n### {group}\n\n| GB/s |")?;
        for length in &lengths {
            write!(text, " {length} B |")?;
        }
        writeln!(text, "\n|---|{}", "---:|".repeat(lengths.len()))?;
        for library in std::iter::once(MEMCPY).chain(libraries) {
            write!(text, "| {library} |")?;
            for &length in &lengths {
                match self.rate(group, library, length) {
                    Some(rate) => write!(text, " {} |", short(rate))?,
                    None => write!(text, " – |")?,
                }
            }
            writeln!(text)?;
        }
        Ok(())
    }

    fn rate(&self, group: &str, library: &str, bytes: u64) -> Option<f64> {
        let group = if library == MEMCPY { MEMCPY } else { group };
        let found = self
            .rates
            .iter()
            .find(|rate| rate.group == group && rate.library == library && rate.bytes == bytes);
        Some(found?.gigabytes_per_second)
    }
}

/// The part in Rust.
fn bench(workshop: &Workshop) -> Command {
    let mut command = workshop.cargo();
    command.args(["bench", "--quiet", "-p", "micro"]);
    command
}

/// Runs the program in C++, which prints a line for each: group, length, rate.
fn measured_by_uwebsockets(program: &Path, cores: &Cores) -> Result<Vec<Rate>> {
    let mut command = Command::new(program);
    let mut process = machine::spawn_measured(command.stdin(Stdio::null()).stdout(Stdio::piped()), cores)?;
    let mut text = String::new();
    let mut stdout = process.stdout.take().context("the program has no output")?;
    stdout.read_to_string(&mut text)?;
    ensure!(process.wait()?.success(), "{} failed", program.display());
    text.lines()
        .map(|line| {
            let [group, bytes, rate] = line.split('\t').collect::<Vec<_>>()[..] else {
                anyhow::bail!("{line:?} is no measurement");
            };
            Ok(Rate {
                group: group.to_owned(),
                library: "µWebSockets".to_owned(),
                bytes: bytes.parse()?,
                gigabytes_per_second: rate.parse()?,
            })
        })
        .collect()
}

/// Reads what criterion has written: folders with `benchmark.json` and `estimates.json` in them.
fn read_criterion(folder: &Path, rates: &mut Vec<Rate>) -> Result<()> {
    let benchmark = folder.join("new/benchmark.json");
    if !benchmark.is_file() {
        for entry in fs::read_dir(folder).with_context(|| format!("no {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                read_criterion(&path, rates)?;
            }
        }
        return Ok(());
    }
    let parse = |path: &Path| -> Result<Value> { Ok(serde_json::from_str(&fs::read_to_string(path)?)?) };
    let estimates = parse(&folder.join("new/estimates.json"))?;
    rates.push(rate_of(&parse(&benchmark)?, &estimates).with_context(|| format!("{}", folder.display()))?);
    Ok(())
}

fn rate_of(benchmark: &Value, estimates: &Value) -> Option<Rate> {
    let text = |name: &str| Some(benchmark[name].as_str()?.to_owned());
    let nanoseconds = estimates["median"]["point_estimate"].as_f64()?;
    Some(Rate {
        group: text("group_id")?,
        library: text("function_id")?,
        bytes: text("value_str")?.parse().ok()?,
        gigabytes_per_second: benchmark["throughput"]["Bytes"].as_f64()? / nanoseconds,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_criterion_writes_is_read() {
        let benchmark = json!({
            "group_id": "frames", "function_id": "yawc", "value_str": "20", "throughput": { "Bytes": 1280 }
        });
        let rate = rate_of(&benchmark, &json!({ "median": { "point_estimate": 640.0 } })).unwrap();
        assert_eq!(
            rate,
            Rate {
                group: "frames".to_owned(),
                library: "yawc".to_owned(),
                bytes: 20,
                gigabytes_per_second: 2.0
            }
        );
        assert!(rate_of(&benchmark, &json!({})).is_none());
    }

    #[test]
    fn each_group_is_a_table_beside_memcpy() {
        let rate = |group: &str, library: &str, bytes, gigabytes_per_second| Rate {
            group: group.to_owned(),
            library: library.to_owned(),
            bytes,
            gigabytes_per_second,
        };
        let micro = Micro {
            facts: vec![("kernel".to_owned(), "6.18".to_owned())],
            rates: vec![
                rate("memcpy", "memcpy", 20, 10.0),
                rate("memcpy", "memcpy", 1024, 100.0),
                rate("unmask", "yawc", 20, 5.0),
                rate("unmask", "µWebSockets", 1024, 20.0),
            ],
        };
        assert_eq!(
            micro.markdown().unwrap(),
            "- kernel: 6.18\n\n### unmask\n\n| GB/s | 20 B | 1024 B |\n|---|---:|---:|\n\
             | memcpy | 10.0 | 100 |\n| yawc | 5.00 | – |\n| µWebSockets | – | 20.0 |\n"
        );
    }
}
