//! The results, as tables for people and as JSON for programs.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::Library;
use super::load::Scenario;
use crate::comparison::host::{KernelMemory, Memory};
use crate::comparison::report::{Facts, Spread, thousands, times};

/// One measurement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) messages: u64,
    pub(super) elapsed: Duration,
    /// The server's time on its core.
    pub(super) cpu: Duration,
    pub(super) user_ticks: u64,
    pub(super) system_ticks: u64,
}

impl Sample {
    fn micros_per_message(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.messages as f64
    }
}

/// One scenario with one library.
#[derive(Debug)]
pub(super) struct CpuRow {
    pub(super) scenario: Scenario,
    pub(super) library: Library,
    pub(super) samples: Vec<Sample>,
}

impl CpuRow {
    pub(super) fn new(scenario: Scenario, library: Library) -> Self {
        Self {
            scenario,
            library,
            samples: Vec::new(),
        }
    }

    /// µs of the server's CPU per message.
    fn cost(&self) -> Spread {
        Spread::of(self.samples.iter().map(Sample::micros_per_message))
    }

    /// The part of the server's time that the clock's ticks found outside of the kernel, over all samples.
    fn user_share(&self) -> f64 {
        let user: u64 = self.samples.iter().map(|sample| sample.user_ticks).sum();
        let system: u64 = self.samples.iter().map(|sample| sample.system_ticks).sum();
        user as f64 / (user + system).max(1) as f64
    }

    /// The part of the time that the server was on its core.
    fn busy(&self) -> f64 {
        let busy = |sample: &Sample| sample.cpu.as_secs_f64() / sample.elapsed.as_secs_f64();
        Spread::of(self.samples.iter().map(busy)).median
    }
}

/// The memory of one library's server, before and after connections were opened.
#[derive(Debug)]
pub(super) struct MemoryRow {
    pub(super) library: Library,
    pub(super) connections: usize,
    pub(super) before: Memory,
    pub(super) after: Memory,
    pub(super) kernel_before: KernelMemory,
    pub(super) kernel_after: KernelMemory,
}

impl MemoryRow {
    /// What each connection added, in bytes.
    fn per_connection(&self, before: u64, after: u64) -> f64 {
        (after as f64 - before as f64) / self.connections as f64
    }

    fn resident(&self) -> f64 {
        self.per_connection(self.before.resident, self.after.resident)
    }

    fn proportional(&self) -> f64 {
        self.per_connection(self.before.proportional, self.after.proportional)
    }

    fn anonymous(&self) -> f64 {
        self.per_connection(self.before.anonymous, self.after.anonymous)
    }

    fn slab(&self) -> f64 {
        self.per_connection(self.kernel_before.slab, self.kernel_after.slab)
    }

    fn tcp_buffers(&self) -> f64 {
        self.per_connection(self.kernel_before.tcp_buffers, self.kernel_after.tcp_buffers)
    }
}

/// Everything that was measured. Displayed as Markdown.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) facts: Facts,
    pub(super) connections: usize,
    pub(super) cpu: Vec<CpuRow>,
    pub(super) memory: Vec<MemoryRow>,
}

impl Report {
    /// How many times Sockeye's cost a row's cost is, if Sockeye ran the same scenario.
    fn ratio(&self, row: &CpuRow) -> Option<f64> {
        let ours = self.cpu.iter().find(|other| {
            other.library == Library::Sockeye && other.scenario.name() == row.scenario.name()
        })?;
        Some(row.cost().median / ours.cost().median)
    }

    fn memory_ratio(&self, row: &MemoryRow) -> Option<f64> {
        let ours = self
            .memory
            .iter()
            .find(|other| other.library == Library::Sockeye)?;
        Some(row.resident() / ours.resident())
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "facts": self.facts.to_json(),
            "connections": self.connections,
            "cpu": self.cpu.iter().map(|row| json!({
                "scenario": row.scenario.name(),
                "library": row.library.title(),
                "micros_per_message": row.cost().median,
                "user_share": row.user_share(),
                "ratio_to_sockeye": self.ratio(row),
                "samples": row.samples.iter().map(|sample| json!({
                    "messages": sample.messages,
                    "elapsed_seconds": sample.elapsed.as_secs_f64(),
                    "cpu_seconds": sample.cpu.as_secs_f64(),
                })).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
            "memory": self.memory.iter().map(|row| json!({
                "library": row.library.title(),
                "connections": row.connections,
                "resident_bytes_per_connection": row.resident(),
                "proportional_bytes_per_connection": row.proportional(),
                "anonymous_bytes_per_connection": row.anonymous(),
                "resident_bytes_before": row.before.resident,
                "resident_bytes_after": row.after.resident,
                "kernel_slab_bytes_per_connection": row.slab(),
                "kernel_tcp_buffer_bytes_per_connection": row.tcp_buffers(),
            })).collect::<Vec<_>>(),
        })
    }

    fn cpu_table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Echo over {} connections. One CPU-second is one second of the server's core.\n",
            self.connections
        )?;
        writeln!(
            f,
            "| echo | library | messages per CPU-second | µs CPU per message (min–max) | of that in user space | core in use | µs ÷ Sockeye's |"
        )?;
        writeln!(f, "|---|---|---:|---:|---:|---:|---:|")?;
        for row in &self.cpu {
            let cost = row.cost();
            writeln!(
                f,
                "| {} | {} | {} | {:.2} ({:.2}–{:.2}) | {:.2} | {:.0} % | {} |",
                row.scenario.name(),
                row.library.title(),
                thousands(1e6 / cost.median),
                cost.median,
                cost.min,
                cost.max,
                cost.median * row.user_share(),
                row.busy() * 100.0,
                times(self.ratio(row)),
            )?;
        }
        writeln!(f)
    }

    fn memory_table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connections = self.memory.first().map_or(0, |row| row.connections);
        writeln!(
            f,
            "Memory per idle connection, in bytes, at {} connections that echoed one message each. The kernel's share is that of both ends.\n",
            thousands(connections as f64)
        )?;
        writeln!(
            f,
            "| library | resident | proportional | anonymous | resident in all, before → after | kernel objects | kernel TCP buffers | resident ÷ Sockeye's |"
        )?;
        writeln!(f, "|---|---:|---:|---:|---:|---:|---:|---:|")?;
        for row in &self.memory {
            let mib = |bytes: u64| bytes as f64 / (1024.0 * 1024.0);
            writeln!(
                f,
                "| {} | {} | {} | {} | {:.1} → {:.1} MiB | {} | {} | {} |",
                row.library.title(),
                thousands(row.resident()),
                thousands(row.proportional()),
                thousands(row.anonymous()),
                mib(row.before.resident),
                mib(row.after.resident),
                thousands(row.slab()),
                thousands(row.tcp_buffers()),
                times(self.memory_ratio(row)),
            )?;
        }
        writeln!(f)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.facts.fmt(f)?;
        if !self.cpu.is_empty() {
            self.cpu_table(f)?;
        }
        if !self.memory.is_empty() {
            self.memory_table(f)?;
        }
        Ok(())
    }
}
