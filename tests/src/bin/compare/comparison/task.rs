//! The client process: sends messages over its connections, checks their echoes, and says what the middle of that took.

use std::cell::{Cell, RefCell};
use std::io::{Read, stdin};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use nix::sys::resource::{UsageWho, getrusage};
use nix::time::ClockId;
use tokio::sync::Barrier;
use tokio::task::{JoinSet, LocalSet};

use super::kind::Kind;
use super::library::Library;
use super::links::{Fastwebsockets, Link, Sockeye, TokioTungstenite, TokioWebsockets, Yawc};
use super::plan::{Plan, Taken};

/// While warming up, the clock is looked at each time so many messages came back.
const BETWEEN_LOOKS: u64 = 16;

/// Carries out a plan and prints what it took.
pub(super) fn connect(plan: &str) -> Result<()> {
    let plan: Plan = serde_json::from_str(plan).context("a plan that cannot be read")?;
    let mut bytes = Vec::new();
    stdin().lock().read_to_end(&mut bytes)?;
    let bytes = Bytes::from(bytes);
    let mut runtime = if plan.multi_thread {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    let taken = runtime.enable_all().build()?.block_on(async {
        match plan.library {
            Library::Sockeye => run::<Sockeye>(plan, bytes).await,
            Library::TokioTungstenite | Library::TokioTungstenite4k => {
                run::<TokioTungstenite>(plan, bytes).await
            }
            Library::TokioWebsockets => run::<TokioWebsockets>(plan, bytes).await,
            Library::Fastwebsockets => run::<Fastwebsockets>(plan, bytes).await,
            Library::Yawc => run::<Yawc>(plan, bytes).await,
            Library::Ws => anyhow::bail!("that is a library for Node.js"),
        }
    })?;
    println!("{}", serde_json::to_string(&taken)?);
    Ok(())
}

/// A message that must come back.
#[derive(Debug)]
pub(super) struct Wanted {
    kind: Kind,
    payload: Bytes,
}

impl Wanted {
    /// Compares what came back, all of it or only its length and ends, which costs nothing beside the rest.
    pub(super) fn check(&self, kind: Kind, payload: &[u8], whole: bool) -> Result<()> {
        const END: usize = 8;
        let wanted = &self.payload[..];
        let same = kind == self.kind
            && payload.len() == wanted.len()
            && if whole {
                payload == wanted
            } else {
                let end = END.min(wanted.len());
                payload[..end] == wanted[..end]
                    && payload[payload.len() - end..] == wanted[wanted.len() - end..]
            };
        ensure!(same, "something else came back than was sent");
        Ok(())
    }
}

/// What all connections of the process share.
struct Shared<L: Link> {
    plan: Plan,
    /// In the library's own form, and what must come back for each.
    messages: Vec<(L::Message, Wanted)>,
    pace: Pace,
}

async fn run<L: Link + 'static>(plan: Plan, bytes: Bytes) -> Result<Taken> {
    let kind = plan.scenario.kind;
    let len = plan.scenario.payload_len;
    ensure!(
        !bytes.is_empty() && bytes.len().is_multiple_of(len),
        "no whole messages"
    );
    let messages = (0..bytes.len())
        .step_by(len)
        .map(|at| {
            let payload = bytes.slice(at..at + len);
            Ok((L::message(kind, &payload)?, Wanted { kind, payload }))
        })
        .collect::<Result<_>>()?;
    let shared = Rc::new(Shared::<L> {
        plan,
        messages,
        pace: Pace::new(plan.connections),
    });
    if plan.connections == 1 {
        exchange(&shared).await?;
    } else {
        let mut connections = JoinSet::new();
        let tasks = LocalSet::new();
        for _ in 0..plan.connections {
            let shared = shared.clone();
            connections.spawn_local_on(async move { exchange(&shared).await }, &tasks);
        }
        tasks
            .run_until(async {
                while let Some(ended) = connections.join_next().await {
                    ended??;
                }
                anyhow::Ok(())
            })
            .await?;
    }
    shared.pace.taken()
}

/// One connection: always a window of messages on the way, through warm-up and measurement.
async fn exchange<L: Link>(shared: &Shared<L>) -> Result<()> {
    let Shared { plan, messages, pace } = shared;
    let mut link = L::connect(plan).await.context("connect")?;
    let mut sent = messages.iter().cycle();
    let mut due = messages.iter().cycle();
    pace.meet().await;

    let begin = Instant::now();
    for (message, _) in sent.by_ref().take(plan.scenario.window) {
        link.send(message).await?;
    }
    let mut received = 0;
    for ((message, _), (_, wanted)) in sent.by_ref().zip(due.by_ref()) {
        link.receive(wanted, true).await?;
        link.send(message).await?;
        received += 1;
        if received % BETWEEN_LOOKS == 0 && begin.elapsed() >= plan.warm_up {
            break;
        }
    }
    let count = pace.begin(received, begin.elapsed(), plan.run).await?;
    for ((message, _), (_, wanted)) in sent.zip(due.by_ref()).take(count) {
        link.receive(wanted, false).await?;
        link.send(message).await?;
    }
    pace.end(count as u64).await?;
    link.flush().await?;
    for (_, wanted) in due.take(plan.scenario.window) {
        link.receive(wanted, true).await?;
    }
    Ok(())
}

/// Lets all connections begin and end together, and reads the clocks when they do.
struct Pace {
    barrier: Barrier,
    connections: usize,
    /// Messages that came back: first while warming up, then measured.
    warmed_up: Cell<u64>,
    messages: Cell<u64>,
    marks: RefCell<Vec<Mark>>,
}

impl Pace {
    fn new(connections: usize) -> Self {
        Self {
            barrier: Barrier::new(connections),
            connections,
            warmed_up: Cell::new(0),
            messages: Cell::new(0),
            marks: RefCell::new(Vec::new()),
        }
    }

    async fn meet(&self) -> bool {
        self.barrier.wait().await.is_leader()
    }

    /// Begins the measurement, after `received` messages in `elapsed`; gives how many more make up a `run`, so that no
    /// clock has to be looked at meanwhile.
    async fn begin(&self, received: u64, elapsed: Duration, run: Duration) -> Result<usize> {
        self.warmed_up.set(self.warmed_up.get() + received);
        if self.meet().await {
            self.marks.borrow_mut().push(Mark::now()?);
        }
        self.meet().await;
        let share = self.warmed_up.get() as f64 / self.connections as f64;
        Ok((share * run.as_secs_f64() / elapsed.as_secs_f64()).max(1.0) as usize)
    }

    async fn end(&self, messages: u64) -> Result<()> {
        self.messages.set(self.messages.get() + messages);
        if self.meet().await {
            self.marks.borrow_mut().push(Mark::now()?);
        }
        self.meet().await;
        Ok(())
    }

    fn taken(&self) -> Result<Taken> {
        let marks = self.marks.borrow();
        let [begin, end] = marks.as_slice() else {
            anyhow::bail!("the measurement did not begin and end once");
        };
        let between = |clock: fn(&Mark) -> Duration| clock(end).saturating_sub(clock(begin)).as_secs_f64();
        Ok(Taken {
            messages: self.messages.get(),
            elapsed: (end.wall - begin.wall).as_secs_f64(),
            cpu: between(|mark| mark.cpu),
            user: between(|mark| mark.user),
            system: between(|mark| mark.system),
        })
    }
}

/// The clocks of this process at one moment.
struct Mark {
    wall: Instant,
    cpu: Duration,
    user: Duration,
    system: Duration,
}

impl Mark {
    fn now() -> Result<Self> {
        let usage = getrusage(UsageWho::RUSAGE_SELF)?;
        let duration =
            |time: nix::sys::time::TimeVal| Duration::new(time.tv_sec() as u64, time.tv_usec() as u32 * 1000);
        Ok(Self {
            wall: Instant::now(),
            cpu: ClockId::CLOCK_PROCESS_CPUTIME_ID.now()?.into(),
            user: duration(usage.user_time()),
            system: duration(usage.system_time()),
        })
    }
}
