//! `sockeye connect`: a line client for a terminal, and a filter for a pipe.

mod command;
mod editor;
mod end;
mod goal;
mod history;
mod interactive;
mod json;
mod link;
mod options;
mod outgoing;
mod pipe;
mod render;

use std::io::IsTerminal;
use std::process::ExitCode;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::error::Failure;
use end::End;
pub(crate) use end::closed;
use goal::Goal;
use link::Link;

pub(crate) use options::{ConnectOptions, parse_regex};
pub(crate) use render::Render;

/// Connects, talks, and gives the exit status.
pub(crate) fn run(options: &ConnectOptions) -> Result<ExitCode, Failure> {
    crate::run_async(async {
        let mut goal = Goal::of(options);
        let end = converse(options, &mut goal).await?;
        Ok(end::report(
            &end,
            &goal,
            options.client.verbose || (options.talks() && !options.client.quiet),
        ))
    })
}

impl ConnectOptions {
    /// Whether a person types and reads.
    fn talks(&self) -> bool {
        let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        terminal && self.reads_input()
    }

    /// Whether standard input is read. A terminal is not when there is something to send and an end to wait for.
    fn reads_input(&self) -> bool {
        !(std::io::stdin().is_terminal() && self.sends_at_once() && self.ends_by_itself())
    }
}

/// What can end a conversation from the outside.
struct Interruptions {
    ctrl_c: mpsc::Receiver<()>,
    /// When `--timeout` runs out.
    deadline: Option<Instant>,
}

async fn converse(options: &ConnectOptions, goal: &mut Goal) -> Result<End, Failure> {
    let mut interruptions = Interruptions {
        ctrl_c: interrupts(),
        deadline: options.timeout.duration().map(|timeout| Instant::now() + timeout),
    };
    let link = tokio::select! {
        link = Link::open(options) => link?,
        Some(()) = interruptions.ctrl_c.recv() => return Ok(End::Interrupted),
        () = until(interruptions.deadline) => return Ok(End::TimedOut),
    };
    if options.talks()
        && let Some(editor) = editor::editor(options)
    {
        interactive::run(link, options, goal, editor, &mut interruptions).await
    } else {
        pipe::run(link, options, goal, &mut interruptions).await
    }
}

/// One for each Ctrl-C.
pub(crate) fn interrupts() -> mpsc::Receiver<()> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            if sender.send(()).await.is_err() {
                return;
            }
        }
    });
    receiver
}

/// Waits for a moment, or for ever.
pub(crate) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
