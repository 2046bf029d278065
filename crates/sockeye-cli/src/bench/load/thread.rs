//! The course of a thread: it opens its connections, lets traffic flow, waits for what is on the way, and
//! closes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use sockeye::driver::Driver;
use tokio::sync::mpsc::UnboundedSender;

use super::connections::Connections;
use super::measure::Measure;
use super::report::{Meter, Part, Report};
use crate::bench::clock::{Clock, Moment, NEVER, Times, nanos};
use crate::bench::cpu::CpuTime;
use crate::bench::plan::Plan;
use crate::bench::scenario::Scenario;

/// By how much the system may wake a thread too late.
const SLACK: Duration = Duration::from_micros(200);

/// How often a thread that has nothing to wait for looks whether others do, in nanoseconds.
const OTHERS: u64 = 5_000_000;

/// How long closing handshakes may take, and what is on the way after an interrupt, in nanoseconds.
const CLOSING: u64 = 1_000_000_000;

/// What a thread is made of.
pub(in crate::bench) struct Task<S> {
    pub(in crate::bench) plan: Arc<Plan>,
    pub(in crate::bench) clock: Arc<Clock>,
    pub(in crate::bench) scenario: S,
    /// The number of its first connection, and how many it has.
    pub(in crate::bench) first: usize,
    pub(in crate::bench) connections: usize,
    pub(in crate::bench) interval: Duration,
    pub(in crate::bench) meter: Arc<Meter>,
    pub(in crate::bench) reports: UnboundedSender<Report<S>>,
}

/// A thread of the load, but for its driver.
pub(in crate::bench) struct Load<D: Driver, S: Scenario> {
    plan: Arc<Plan>,
    clock: Arc<Clock>,
    connections: Connections<D, S>,
    measure: Measure,
    mode: Mode,
    /// Whether nothing is on the way any more, at the end.
    is_idle: bool,
    meter: Arc<Meter>,
    reports: UnboundedSender<Report<S>>,
}

/// How far a thread is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Connections are being opened.
    Connecting,
    /// All were tried.
    Running,
    /// Nothing more is sent; answers are awaited until then.
    Draining(Moment),
    /// Connections are being closed, until then.
    Closing(Moment),
    Done,
}

impl<D: Driver, S: Scenario> Load<D, S> {
    pub(in crate::bench) fn new(task: Task<S>) -> Self {
        let numbers = task.first..task.first + task.connections;
        Self {
            connections: Connections::new(&task.plan, &task.clock, task.scenario, numbers),
            plan: task.plan,
            clock: task.clock,
            measure: Measure::new(task.interval),
            mode: Mode::Connecting,
            is_idle: false,
            meter: task.meter,
            reports: task.reports,
        }
    }

    /// Does the whole part, and tells the coordinator.
    pub(in crate::bench) fn run(mut self, mut driver: D) {
        while let Some(until) = self.advance(&mut driver) {
            if let Err(error) = self.turn(&mut driver, until) {
                self.tell(Report::Broken(error.to_string()));
                return;
            }
            self.meter.show(&self.connections.tally().total);
        }
        self.finish();
    }

    /// Does what the clock asks for; gives when it asks next, unless all is done.
    fn advance(&mut self, driver: &mut D) -> Option<Moment> {
        let at = self.clock.now();
        let times = self.clock.times();
        self.connections.schedule(times);
        self.connections.act(driver, at);
        if let Some(over) = self.measure.look(at, times, self.mode == Mode::Running) {
            let interval = self.connections.tally().take_interval(over);
            self.tell(Report::Interval(interval));
        }
        self.change_mode(driver, at, times);
        (self.mode != Mode::Done).then(|| self.next_moment(at, times))
    }

    fn next_moment(&self, at: Moment, times: Times) -> Moment {
        let steps = [
            times.begin,
            times.from,
            self.measure.interval_end(times),
            times.to,
        ];
        let next = steps
            .into_iter()
            .filter(|step| *step > at)
            .fold(self.connections.next_moment(), Moment::min);
        match self.mode {
            Mode::Draining(until) if self.is_idle => next.min(until).min(at + OTHERS),
            Mode::Draining(until) | Mode::Closing(until) => next.min(until),
            _ => next,
        }
    }

    /// Waits until something happens or the moment has come, and acts on it.
    fn turn(&mut self, driver: &mut D, until: Moment) -> io::Result<()> {
        let connections = &mut self.connections;
        if until == NEVER {
            return driver.turn(None, connections).map(drop);
        }
        let left = Duration::from_nanos(until.saturating_sub(self.clock.now()));
        if !connections.are_paced() {
            return driver.turn(Some(left), connections).map(drop);
        }
        // Systems count the time to wait in milliseconds, and give or take some. What is due sooner is waited
        // for awake.
        let whole = left.saturating_sub(SLACK).as_millis();
        let whole = Duration::from_millis(u64::try_from(whole).unwrap_or(u64::MAX));
        if !whole.is_zero() || left.is_zero() {
            return driver.turn(Some(whole), connections).map(drop);
        }
        let begun = CpuTime::whole_of_this_thread();
        if driver.turn(Some(Duration::ZERO), connections)? == 0 {
            std::thread::yield_now();
            let waited = CpuTime::whole_of_this_thread().saturating_sub(begun);
            self.measure.waited(waited);
        }
        Ok(())
    }

    fn change_mode(&mut self, driver: &mut D, at: Moment, times: Times) {
        let stopped = self.clock.is_stopped();
        match self.mode {
            Mode::Connecting if stopped => self.begin_closing(driver, at),
            Mode::Connecting if self.connections.are_settled() => {
                self.mode = Mode::Running;
                self.tell(Report::Settled);
            }
            Mode::Running if stopped || at >= times.to => {
                self.measure.stop();
                self.mode = Mode::Draining(at + nanos(self.plan.patience));
                self.change_mode(driver, at, times);
            }
            // Who interrupts does not want to wait for long.
            Mode::Draining(until) if stopped && until > at + CLOSING => {
                self.mode = Mode::Draining(at + CLOSING);
                self.change_mode(driver, at, times);
            }
            Mode::Draining(until) => {
                if !self.is_idle && self.connections.are_idle() {
                    self.is_idle = true;
                    self.clock.thread_is_idle();
                }
                // What other threads have on the way may be for connections of this one.
                if at >= until || self.clock.is_idle() {
                    self.begin_closing(driver, at);
                }
            }
            Mode::Closing(until) if at >= until || self.connections.are_gone() => {
                self.connections.drop_all(driver);
                self.mode = Mode::Done;
            }
            _ => {}
        }
    }

    fn begin_closing(&mut self, driver: &mut D, at: Moment) {
        self.mode = Mode::Closing(at + CLOSING);
        self.connections.close_all(driver, at);
    }

    fn finish(self) {
        let Self {
            mut connections,
            measure,
            ..
        } = self;
        let last = connections.tally().take_interval(measure.interval());
        self.meter.show(&connections.tally().total);
        let (cpu, waited) = measure.spent();
        let (tally, agreed, scenario) = connections.into_findings();
        let part = Part {
            tally,
            cpu,
            waited,
            agreed,
            scenario,
        };
        let _ = self.reports.send(Report::Interval(last));
        let _ = self.reports.send(Report::Done(Box::new(part)));
    }

    fn tell(&self, report: Report<S>) {
        // A coordinator that has given up does not listen.
        let _ = self.reports.send(report);
    }
}
