//! `sockeye bench`: a load of many WebSockets on few threads, and what it does to a server.
//!
//! The coordinator ([`conduct`]) starts threads ([`load`]), each with a driver of the library and a slab of connections; a
//! [`scenario`] says what connections do. Nothing here has a task per socket.

mod clock;
mod conduct;
mod content;
mod cpu;
mod frames;
mod limits;
mod load;
mod options;
mod plan;
mod progress;
mod report;
mod scenario;
mod server;
mod sources;
mod tally;
mod trouble;

use std::process::ExitCode;
use std::sync::Arc;

use sockeye::proto::deflate::Deflate;
use sockeye_proto::MessageKind;

use crate::error::Failure;
use content::Content;
use frames::Frames;
pub(crate) use options::BenchOptions;
use options::{EchoOptions, MessageOptions, ScenarioOptions};
use plan::Plan;
use report::{Facts, MessageLoad, Results};
use scenario::{Echo, EchoPlan};

/// Runs a scenario, tells the results, and gives the exit status.
pub(crate) fn run(options: &BenchOptions) -> Result<ExitCode, Failure> {
    crate::run_async(async {
        match &options.scenario {
            ScenarioOptions::Echo(options) => echo(options).await,
        }
    })
}

async fn echo(options: &EchoOptions) -> Result<ExitCode, Failure> {
    let common = &options.common;
    let connections = common.connections.0;
    let content = options.messages.content();
    let plan = Plan::of(common, connections, &[], content.size).await?;
    let part = EchoPlan {
        frames: Arc::new(Frames::new(
            content,
            plan.deflate.clone().unwrap_or_else(Deflate::default),
        )),
        checks: !options.no_check,
        window: options.window.0,
        rate: options.rate.map(|rate| rate.0),
    };
    let facts = Facts {
        scenario: "echo",
        url: common.url.clone(),
        connections,
        threads: plan.threads,
        messages: Some(MessageLoad {
            kind: content.kind_name(),
            payload: content.payload.name(),
            size: content.size,
            window: options.window.0,
            rate: part.rate,
        }),
    };
    let quiet = common.quiet;
    let findings = conduct::conduct(plan, &common.server_pids, quiet, |first, count| {
        Echo::new(&part, first, count, connections)
    })
    .await?;
    report::tell(common, &findings, &Results::new(facts, &findings))
}

impl MessageOptions {
    fn content(&self) -> Content {
        Content {
            kind: if self.binary {
                MessageKind::Binary
            } else {
                MessageKind::Text
            },
            payload: self.payload,
            size: self.size.0,
        }
    }
}
