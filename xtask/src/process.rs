//! Child processes of a task.
//!
//! Each child leads a process group of its own and is ended by that group's id: when its time is up, when its
//! guard is dropped (a failed step, a panic), or when the task itself is interrupted. Nothing is ever ended by name.

use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// How long a child may take to end by itself once it was asked to.
const GRACE: Duration = Duration::from_secs(5);

/// How many of a child's last lines an error quotes.
const TAIL_LINES: usize = 25;

/// The process groups that are alive, for the interrupt handler.
static GROUPS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Ends every child when the task is interrupted, then the task itself.
///
/// Children lead groups of their own, so a Ctrl-C on the terminal reaches only the task.
pub(crate) fn end_children_on_interrupt() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot listen for signals")?;
    thread::spawn(move || {
        let Some(signal) = signals.forever().next() else {
            return;
        };
        // The guard stays locked until the process is gone: no child is started behind our back.
        let groups = GROUPS.lock().unwrap_or_else(PoisonError::into_inner);
        let pids: Vec<Pid> = groups.iter().filter_map(|raw| Pid::from_raw(*raw)).collect();
        for pid in &pids {
            let _ = kill_process_group(*pid, Signal::TERM);
        }
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline && pids.iter().any(|pid| test_kill_process_group(*pid).is_ok()) {
            thread::sleep(Duration::from_millis(50));
        }
        for pid in &pids {
            let _ = kill_process_group(*pid, Signal::KILL);
        }
        eprintln!("interrupted");
        std::process::exit(128 + signal);
    });
    Ok(())
}

/// Runs a command whose output goes straight to the terminal, and waits for it.
///
/// # Errors
///
/// The command cannot be started, exits with a failure, or is still running after `limit`.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<()> {
    command.stdin(Stdio::null());
    Running::spawn(command)?.finish(limit)
}

/// Runs a command silently and returns what it wrote to standard output.
///
/// # Errors
///
/// As [`run`]; the error quotes the command's last lines.
pub(crate) fn run_quiet(command: &mut Command, limit: Duration) -> Result<String> {
    let mut running = Running::start(command, None)?;
    let deadline = Instant::now() + limit;
    let mut output = String::new();
    while let Some(line) = running.next_line(deadline)? {
        if line.source == Source::Stdout {
            output.push_str(&line.text);
            output.push('\n');
        }
    }
    running.finish(deadline.saturating_duration_since(Instant::now()))?;
    Ok(output)
}

/// Whether a command can be started and exits with success; its output is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    run_quiet(command, Duration::from_secs(60)).is_ok()
}

/// Where a program of this name is on the search path.
pub(crate) fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// Which stream a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Stdout,
    Stderr,
}

/// One line that a child wrote.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) source: Source,
    pub(crate) text: String,
}

enum Event {
    Line(Line),
    StreamEnded,
    Exited(std::io::Result<ExitStatus>),
}

/// A child process that ends when this guard is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    what: String,
    group: Pid,
    events: Receiver<Event>,
    open_streams: usize,
    exit: Option<ExitStatus>,
    tail: VecDeque<String>,
    log: Option<File>,
}

impl Running {
    /// Starts a command and reads its output line by line; `log` receives a copy of every line.
    pub(crate) fn start(command: &mut Command, log: Option<&Path>) -> Result<Self> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut running = Self::spawn(command)?;
        if let Some(path) = log {
            let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
            running.log = Some(file);
        }
        Ok(running)
    }

    fn spawn(command: &mut Command) -> Result<Self> {
        let what = describe(command);
        let mut groups = GROUPS.lock().unwrap_or_else(PoisonError::into_inner);
        let mut child = command
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start `{what}`"))?;
        let group = Pid::from_child(&child);
        groups.insert(group.as_raw_nonzero().get());
        drop(groups);

        let (sender, events) = mpsc::channel();
        let mut open_streams = 0;
        if let Some(stdout) = child.stdout.take() {
            open_streams += 1;
            read_lines(stdout, Source::Stdout, sender.clone());
        }
        if let Some(stderr) = child.stderr.take() {
            open_streams += 1;
            read_lines(stderr, Source::Stderr, sender.clone());
        }
        report_exit(child, sender);
        Ok(Self {
            what,
            group,
            events,
            open_streams,
            exit: None,
            tail: VecDeque::new(),
            log: None,
        })
    }

    /// The next line the child writes, or `None` once both its streams have ended.
    ///
    /// # Errors
    ///
    /// Nothing was written before `deadline`.
    pub(crate) fn next_line(&mut self, deadline: Instant) -> Result<Option<Line>> {
        while self.open_streams > 0 {
            match self
                .events
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(Event::Line(line)) => {
                    self.remember(&line.text);
                    return Ok(Some(line));
                }
                Ok(Event::StreamEnded) => self.open_streams -= 1,
                Ok(Event::Exited(status)) => {
                    self.exited(status)?;
                    // What the child wrote is already in its pipes; a stream that stays open from here on
                    // belongs to a process it left behind.
                    self.end_group(Signal::TERM);
                }
                Err(RecvTimeoutError::Timeout) => {
                    bail!(
                        "`{}` wrote nothing more in its time{}",
                        self.what,
                        self.quoted_tail()
                    )
                }
                Err(RecvTimeoutError::Disconnected) => self.open_streams = 0,
            }
        }
        Ok(None)
    }

    /// Reads lines until `found` makes something of one of them.
    ///
    /// # Errors
    ///
    /// The child ended or `limit` passed before such a line came.
    pub(crate) fn wait_for<T>(
        &mut self,
        limit: Duration,
        mut found: impl FnMut(&Line) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + limit;
        while let Some(line) = self.next_line(deadline)? {
            if let Some(value) = found(&line) {
                return Ok(value);
            }
        }
        bail!("`{}` ended too early{}", self.what, self.quoted_tail())
    }

    /// Waits for the child's end and checks that it was a success.
    ///
    /// # Errors
    ///
    /// The child failed, or is still running after `limit`; then it is ended.
    pub(crate) fn finish(mut self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        self.drain(deadline)?;
        match self.exit {
            None => bail!(
                "`{}` was ended after {} s{}",
                self.what,
                limit.as_secs(),
                self.quoted_tail()
            ),
            Some(status) if !status.success() => {
                bail!("`{}` failed with {status}{}", self.what, self.quoted_tail())
            }
            Some(_) => Ok(()),
        }
    }

    /// The child's last lines, as errors quote them.
    pub(crate) fn quoted_tail(&self) -> String {
        self.tail.iter().map(|line| format!("\n    | {line}")).collect()
    }

    /// Reads on until the child has ended or `deadline` has passed.
    fn drain(&mut self, deadline: Instant) -> Result<()> {
        while let Ok(Some(_)) = self.next_line(deadline) {}
        while self.exit.is_none() {
            match self
                .events
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(Event::Exited(status)) => self.exited(status)?,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        Ok(())
    }

    fn remember(&mut self, line: &str) {
        if let Some(log) = &mut self.log {
            let _ = writeln!(log, "{line}");
        }
        if self.tail.len() == TAIL_LINES {
            self.tail.pop_front();
        }
        self.tail.push_back(line.to_owned());
    }

    fn exited(&mut self, status: std::io::Result<ExitStatus>) -> Result<()> {
        self.exit = Some(status.with_context(|| format!("cannot wait for `{}`", self.what))?);
        Ok(())
    }

    fn end_group(&self, signal: Signal) {
        // The only failure is that nobody is left in the group.
        let _ = kill_process_group(self.group, signal);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.exit.is_none() {
            self.end_group(Signal::TERM);
            let _ = self.drain(Instant::now() + GRACE);
        }
        if self.exit.is_none() {
            self.end_group(Signal::KILL);
            let _ = self.drain(Instant::now() + GRACE);
        }
        // Whoever the leader left behind in its group.
        self.end_group(Signal::KILL);
        GROUPS
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.group.as_raw_nonzero().get());
    }
}

fn read_lines(stream: impl Read + Send + 'static, source: Source, sender: Sender<Event>) {
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut bytes = Vec::new();
        while matches!(reader.read_until(b'\n', &mut bytes), Ok(read) if read > 0) {
            let text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
            if sender.send(Event::Line(Line { source, text })).is_err() {
                return;
            }
            bytes.clear();
        }
        let _ = sender.send(Event::StreamEnded);
    });
}

fn report_exit(mut child: Child, sender: Sender<Event>) {
    thread::spawn(move || {
        let _ = sender.send(Event::Exited(child.wait()));
    });
}

/// The command as a person would type it.
fn describe(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(
        command
            .get_args()
            .map(|argument| argument.to_string_lossy().into_owned()),
    );
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn quiet_run_returns_standard_output_only() {
        let output = run_quiet(&mut shell("echo out; echo err >&2"), LONG).unwrap();
        assert_eq!(output, "out\n");
    }

    #[test]
    fn failure_names_the_command_and_quotes_its_last_lines() {
        let error = run_quiet(&mut shell("echo why >&2; exit 3"), LONG)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("exit 3`") && error.contains("exit status: 3"),
            "{error}"
        );
        assert!(error.contains("| why"), "{error}");
    }

    #[test]
    fn missing_program_is_named() {
        let error = run_quiet(&mut Command::new("no-such-program"), LONG)
            .unwrap_err()
            .to_string();
        assert_eq!(error, "cannot start `no-such-program`");
    }

    #[test]
    fn child_that_overstays_its_time_is_ended() {
        let started = Instant::now();
        let error = run(&mut shell("sleep 600"), Duration::from_millis(50))
            .unwrap_err()
            .to_string();
        assert!(error.contains("was ended after"), "{error}");
        assert!(started.elapsed() < LONG);
    }

    #[test]
    fn dropping_the_guard_ends_grandchildren_too() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut command = shell("sleep 60 & wait");
        let running = Running::spawn(command.stdout(writer)).unwrap();
        drop(command);
        let started = Instant::now();
        drop(running);
        // The pipe ends when its last writer, the grandchild, is gone.
        std::io::copy(&mut reader, &mut std::io::sink()).unwrap();
        assert!(started.elapsed() < LONG);
    }

    #[test]
    fn output_of_a_child_that_leaves_a_process_behind_still_ends() {
        let output = run_quiet(&mut shell("sleep 600 & echo done"), LONG).unwrap();
        assert_eq!(output, "done\n");
    }
}
