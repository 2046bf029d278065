//! `sockeye replay`: plays a recording to a server again.

mod check;
mod options;
mod plain;
mod speed;

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use sockeye::{CloseCode, Sender};
use tokio::time::Instant;

use crate::error::Failure;
use crate::record::{Event, Recording};
use crate::status;
pub(crate) use options::ReplayOptions;
use speed::Speed;

/// Connects, plays, and gives the exit status.
pub(crate) fn run(options: &ReplayOptions) -> Result<ExitCode, Failure> {
    let recording = Recording::open(&options.file)?;
    crate::run_async(async {
        let mut interrupts = crate::connect::interrupts();
        let open = Open::default();
        tokio::select! {
            status = play(options, recording, &open) => return status.map(ExitCode::from),
            Some(()) = interrupts.recv() => {}
        }
        // What was being played is gone; its connection says good-bye.
        tokio::select! {
            () = open.leave() => {}
            Some(()) = interrupts.recv() => {}
        }
        Ok(ExitCode::from(status::INTERRUPTED))
    })
}

/// The connection that is open.
#[derive(Debug, Clone, Default)]
struct Open(Arc<Mutex<Option<Sender>>>);

impl Open {
    fn set(&self, sender: Sender) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
    }

    async fn leave(&self) {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = sender {
            // Whatever comes of it, the program ends.
            let _ = sender.start_close(CloseCode::GOING_AWAY, "");
            let _ = sender.closed().await;
        }
    }
}

/// How a connection of the recording ended.
enum Played {
    /// The recording goes on with another one.
    OpenAgain(Next),
    /// That was the last, and this is the exit status.
    Done(u8),
}

/// The next connection of a recording.
#[derive(Debug, Default)]
struct Next {
    /// When it was open, in microseconds after the first.
    at_us: u64,
    /// What the client sent while there was none, and this one took.
    first: Vec<Event>,
}

async fn play(options: &ReplayOptions, mut recording: Recording, open: &Open) -> Result<u8, Failure> {
    let url = options.url.clone().unwrap_or_else(|| recording.head.url.clone());
    let mut dialer = options.client.dialer()?;
    let mut checker = options.check.then(|| check::Checker::new(options));
    let mut clock = None;
    let mut next = Next::default();
    loop {
        let socket = dialer.connect(&url).await?;
        open.set(socket.sender());
        // The time of the recording begins when its first connection is open.
        let clock = *clock.get_or_insert_with(|| Clock::start(options.speed));
        let played = match &mut checker {
            Some(checker) => checker.play(socket, next.first, &mut recording, clock).await?,
            None => plain::play(socket, next.first, &mut recording, clock, options).await?,
        };
        match played {
            Played::OpenAgain(again) => next = again,
            Played::Done(status) => return Ok(status),
        }
        clock.wait_for(next.at_us).await;
    }
}

/// Turns moments of the recording into moments of now.
#[derive(Debug, Clone, Copy)]
struct Clock {
    started: Instant,
    speed: Speed,
}

impl Clock {
    fn start(speed: Speed) -> Self {
        Self {
            started: Instant::now(),
            speed,
        }
    }

    /// Waits until something is due that was recorded at this moment.
    async fn wait_for(self, at_us: u64) {
        if let Some(offset) = self.speed.scale(at_us) {
            tokio::time::sleep_until(self.started + offset).await;
        }
    }
}

/// Does what the client of the recording did.
async fn act(sender: &Sender, event: &Event, recording: &Recording) -> Result<(), Failure> {
    let bad = |complaint: String| recording.bad(complaint);
    if let Some(message) = event.to_message().map_err(bad)? {
        // When the connection has ended, receiving tells why.
        let _ = sender.send(message).await;
        return Ok(());
    }
    match event {
        Event::Ping { base64 } => {
            let payload = crate::payload::from_base64(base64).map_err(bad)?;
            let _ = sender.start_ping(&payload).await;
        }
        Event::Close { code, reason } => {
            // One without a code (1005) cannot be asked for; 1000 means the same.
            let code = CloseCode::new(*code).unwrap_or(CloseCode::NORMAL);
            sender
                .start_close(code, reason)
                .map_err(|error| recording.bad(error))?;
        }
        _ => {}
    }
    Ok(())
}
