//! `sockeye bench`: a load of many WebSockets on few threads, and what it does to a server.
//!
//! The coordinator ([`mod@conduct`]) starts threads ([`load`]), each with a driver of the library and a slab of connections; a
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

use sockeye::driver::Waker;
use sockeye::proto::deflate::Deflate;
use sockeye_proto::MessageKind;

use crate::error::Failure;
use conduct::{Findings, conduct};
use content::Content;
use frames::Frames;
pub(crate) use options::BenchOptions;
use options::{
    BroadcastOptions, ChurnOptions, CommonOptions, EchoOptions, IdleOptions, MessageOptions, PayloadKind,
    ScenarioOptions, SlowOptions,
};
use plan::{Plan, share};
use report::{Facts, MessageLoad, Particulars, Results};
use scenario::{
    Broadcast, BroadcastPlan, Churn, ChurnPlan, Deliveries, Echo, EchoPlan, Idle, Leave, SlowPlan, SlowReader,
};

/// Runs a scenario, tells the results, and gives the exit status.
pub(crate) fn run(options: &BenchOptions) -> Result<ExitCode, Failure> {
    // A file that cannot be written is told before the work, not after it.
    report::prepare(options.scenario.common())?;
    crate::run_async(async {
        match &options.scenario {
            ScenarioOptions::Echo(options) => echo(options).await,
            ScenarioOptions::Broadcast(options) => broadcast(options).await,
            ScenarioOptions::Idle(options) => idle(options).await,
            ScenarioOptions::Churn(options) => churn(options).await,
            ScenarioOptions::SlowReader(options) => slow_reader(options).await,
        }
    })
}

async fn echo(options: &EchoOptions) -> Result<ExitCode, Failure> {
    let common = &options.common;
    let connections = options.connections.connections.0;
    let content = options.messages.content(options.size.0);
    let plan = Plan::of(common, connections, &[], content.size).await?;
    let part = EchoPlan {
        frames: frames(&plan, content),
        checks: !options.no_check,
        window: options.window.0,
        rate: options.rate.map(|rate| rate.0),
    };
    let facts = Facts {
        messages: Some(MessageLoad::new(content, part.window, part.rate)),
        ..Facts::of("echo", common, &plan)
    };
    let part = |first, count| Echo::new(&part, first, count, connections);
    let findings = run_load(plan, common, part, |_| ()).await?;
    report::tell(common, &findings, Results::new(facts, &findings, None))
}

async fn broadcast(options: &BroadcastOptions) -> Result<ExitCode, Failure> {
    let common = &options.common;
    let content = options.messages.content(options.size.0);
    let topics: Vec<_> = (0..options.topics.map_or(0, |topics| topics.0))
        .map(|topic| format!("t{topic}"))
        .collect();
    let part = BroadcastPlan {
        content,
        publishers: options.publishers.0,
        subscribers: options.subscribers.0,
        shared: options.shared,
        excludes_sender: options.excludes_sender,
        topics: topics.len().max(1),
        window: options.window.0 as u64,
        rate: options.rate.map(|rate| rate.0),
        run: rand::random(),
        deflate: Deflate::default(),
    };
    part.check()?;
    let plan = Plan::of(common, part.connections(), &topics, content.size).await?;
    let facts = Facts {
        messages: Some(MessageLoad::new(content, options.window.0, part.rate)),
        ..Facts::of("broadcast", common, &plan)
    };
    let part = Arc::new(part);
    let ends = (0..plan.threads).map(|thread| share(plan.connections, plan.threads, thread).end);
    let deliveries = Arc::new(Deliveries::new(&part, ends.collect()));
    let make = |first, count| Broadcast::new(&part, &deliveries, first, count);
    let started = |wakers: &[Waker]| deliveries.set_wakers(wakers.to_vec());
    let findings = run_load(plan, common, make, started).await?;
    let particulars = Particulars::Broadcast(report::deliveries(&part, &findings.parts));
    report::tell(
        common,
        &findings,
        Results::new(facts, &findings, Some(particulars)),
    )
}

async fn idle(options: &IdleOptions) -> Result<ExitCode, Failure> {
    let common = &options.common;
    let connections = options.connections.connections.0;
    let content = Content {
        kind: MessageKind::Text,
        payload: PayloadKind::Random,
        size: 20,
    };
    let plan = Plan::of(common, connections, &[], content.size).await?;
    let touch = options.touch.then(|| EchoPlan {
        frames: frames(&plan, content),
        checks: true,
        window: 1,
        rate: None,
    });
    let facts = Facts::of("idle", common, &plan);
    let part = |first, count| {
        Idle(
            touch
                .as_ref()
                .map(|touch| Echo::new(touch, first, count, connections)),
        )
    };
    let findings = run_load(plan, common, part, |_| ()).await?;
    let particulars = Particulars::Idle(report::memory(&findings));
    report::tell(
        common,
        &findings,
        Results::new(facts, &findings, Some(particulars)),
    )
}

async fn churn(options: &ChurnOptions) -> Result<ExitCode, Failure> {
    let common = &options.common;
    let connections = options.connections.connections.0;
    let plan = Plan::of(common, connections, &[], 0).await?;
    let part = ChurnPlan {
        rate: options.rate.map(|rate| rate.0),
        leave: if options.reset { Leave::Reset } else { Leave::Close },
    };
    let facts = Facts::of("churn", common, &plan);
    let make = |_, count| Churn::new(part, count, connections);
    let findings = run_load(plan, common, make, |_| ()).await?;
    let particulars = Particulars::Churn(report::churn(part.rate, &findings));
    report::tell(
        common,
        &findings,
        Results::new(facts, &findings, Some(particulars)),
    )
}

async fn slow_reader(options: &SlowOptions) -> Result<ExitCode, Failure> {
    let common = &options.common;
    let slow = SlowPlan {
        slow: options.slow.0,
        read_rate: options.read_rate.0 as u64,
    };
    let connections = slow.slow + options.connections.connections.0;
    let content = options.messages.content(options.size.0);
    let mut plan = Plan::of(common, connections, &[], options.slow_size.0.max(content.size)).await?;
    plan.slow = slow.slow;
    let slow_frames = frames(&plan, options.messages.content(options.slow_size.0));
    let others = EchoPlan {
        frames: frames(&plan, content),
        checks: true,
        window: 1,
        rate: None,
    };
    let facts = Facts {
        messages: Some(MessageLoad::new(content, 1, None)),
        ..Facts::of("slow-reader", common, &plan)
    };
    let make = |first, count| {
        let others = Echo::new(&others, first, count, connections);
        SlowReader::new(slow, Arc::clone(&slow_frames), others, first, count)
    };
    let findings = run_load(plan, common, make, |_| ()).await?;
    let particulars = Particulars::SlowReader(report::slow_readers(slow, &findings));
    report::tell(
        common,
        &findings,
        Results::new(facts, &findings, Some(particulars)),
    )
}

async fn run_load<S: scenario::Scenario>(
    plan: Plan,
    common: &CommonOptions,
    part: impl Fn(usize, usize) -> S,
    started_with: impl FnOnce(&[Waker]),
) -> Result<Findings<S>, Failure> {
    conduct(plan, &common.server_pids, common.quiet, part, started_with).await
}

fn frames(plan: &Plan, content: Content) -> Arc<Frames> {
    let options = plan.deflate.clone().unwrap_or_default();
    Arc::new(Frames::new(content, options))
}

impl MessageOptions {
    fn content(&self, size: usize) -> Content {
        Content {
            kind: if self.binary {
                MessageKind::Binary
            } else {
                MessageKind::Text
            },
            payload: self.payload,
            size,
        }
    }
}
