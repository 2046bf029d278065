//! The ring itself: operations go in, completions come out, and what the kernel was lent meanwhile is kept here.

use std::fmt;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use io_uring::{EnterFlags, IoUring, Probe, cqueue, opcode, squeue, types};
use rustix::io::Errno;

use super::super::Key;
use super::super::probe::Unavailable;
use super::buffers::{Buffers, Filled, GROUP, Shape};
use super::flight::{Ended, Flights, Number};
use super::token::Token;

/// How large a ring is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Operations that are submitted by one system call.
    pub(super) submissions: u32,
    /// Completions that the kernel puts down before it has to keep them elsewhere.
    pub(super) completions: u32,
    pub(super) buffers: Shape,
}

/// An io_uring with its buffers and its flights.
///
/// It must be used by the thread that made it, which the kernel enforces; it is not `Send`.
pub(super) struct Ring {
    io: IoUring,
    buffers: ManuallyDrop<Buffers>,
    flights: ManuallyDrop<Flights>,
    /// Operations that did not fit into the queue, and could not be submitted for want of the kernel's memory.
    backlog: Vec<squeue::Entry>,
    /// Operations that receive: while there are any, the kernel may write into the buffers.
    receives: usize,
    /// How often the kernel was entered.
    enters: u64,
    /// How many completions the kernel had lost when some were last taken.
    lost: u32,
    /// How many of the next completions are lost on purpose, and how many were.
    #[cfg(test)]
    pub(super) to_lose: u32,
    #[cfg(test)]
    lost_too: u32,
    /// Keeps it on its thread.
    _here: std::marker::PhantomData<*const ()>,
}

/// An operation has completed, or one that goes on has something to tell.
#[derive(Debug)]
pub(super) struct Completion {
    pub(super) token: Token,
    result: i32,
    flags: u32,
    /// The buffer that bytes were received into.
    buffer: Option<u16>,
    /// The connection that was accepted.
    descriptor: Option<OwnedFd>,
}

impl Sizes {
    /// What a worker uses.
    pub(super) const WORKER: Self = Self {
        submissions: 512,
        completions: 4096,
        buffers: Shape {
            count: 64,
            size: 16 * 1024,
        },
    };

    /// Just enough to ask the kernel.
    pub(super) const SMALL: Self = Self {
        submissions: 8,
        completions: 16,
        buffers: Shape { count: 2, size: 4096 },
    };
}

impl Ring {
    pub(super) fn new(sizes: Sizes) -> Result<Self, Unavailable> {
        let mut builder = IoUring::builder();
        builder
            .setup_submit_all()
            .setup_single_issuer()
            .setup_coop_taskrun()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_cqsize(sizes.completions)
            .setup_clamp();
        let io = builder
            .build(sizes.submissions)
            .map_err(|error| Unavailable::new("io_uring_setup", &error))?;
        if !io.params().is_feature_nodrop() || !io.params().is_feature_ext_arg() {
            return Err(Unavailable::new(
                "its features",
                &io::ErrorKind::Unsupported.into(),
            ));
        }
        let buffers = Buffers::register(&io.submitter(), sizes.buffers)
            .map_err(|error| Unavailable::new("registering buffers", &error))?;
        Ok(Self {
            io,
            buffers: ManuallyDrop::new(buffers),
            flights: ManuallyDrop::new(Flights::default()),
            backlog: Vec::new(),
            receives: 0,
            enters: 0,
            lost: 0,
            #[cfg(test)]
            to_lose: 0,
            #[cfg(test)]
            lost_too: 0,
            _here: std::marker::PhantomData,
        })
    }

    /// Which operations the kernel has.
    pub(super) fn operations(&self) -> io::Result<Probe> {
        let mut probe = Probe::new();
        self.io.submitter().register_probe(&mut probe)?;
        Ok(probe)
    }

    /// Lets the kernel signal `notice` when there is something to do, so that the ring can be waited for with other things.
    /// Silent at first.
    pub(super) fn register_notice(&mut self, notice: BorrowedFd<'_>) -> io::Result<()> {
        self.io.completion().disable_eventfd();
        self.io.submitter().register_eventfd(notice.as_raw_fd())
    }

    pub(super) fn set_notices(&mut self, on: bool) {
        let completion = self.io.completion();
        if on {
            completion.enable_eventfd();
            // The kernel puts its work down and then looks whether to signal; this looks for the work after it.
            std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
        } else {
            completion.disable_eventfd();
        }
    }

    /// Receives what comes, until it is cancelled or out of buffers.
    pub(super) fn receive(&mut self, socket: BorrowedFd<'_>, key: Key) {
        let entry = opcode::RecvMulti::new(types::Fd(socket.as_raw_fd()), GROUP).build();
        self.receives += 1;
        self.push(entry.user_data(Token::Receive(key).to_bits()));
    }

    /// Tells each time that bytes have come, or the end. It counts as receiving.
    pub(super) fn await_bytes(&mut self, socket: BorrowedFd<'_>, key: Key) {
        let events = (libc::POLLIN | libc::POLLRDHUP) as u32;
        let entry = opcode::PollAdd::new(types::Fd(socket.as_raw_fd()), events)
            .multi(true)
            .build();
        self.receives += 1;
        self.push(entry.user_data(Token::Receive(key).to_bits()));
    }

    /// Accepts what comes, until it is cancelled or fails.
    pub(super) fn accept(&mut self, listener: BorrowedFd<'_>, key: Key) {
        let entry = opcode::AcceptMulti::new(types::Fd(listener.as_raw_fd()))
            .flags(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC)
            .build();
        self.push(entry.user_data(Token::Accept(key).to_bits()));
    }

    /// Tells each time that `wake` is written to.
    pub(super) fn watch(&mut self, wake: BorrowedFd<'_>) {
        let entry = opcode::PollAdd::new(types::Fd(wake.as_raw_fd()), libc::POLLIN as u32)
            .multi(true)
            .build();
        self.push(entry.user_data(Token::Wake.to_bits()));
    }

    /// Begins the operation of a flight on its socket; it offers at most `limit` bytes.
    pub(super) fn launch(&mut self, flight: Key, socket: RawFd, limit: usize) {
        let entry = self.flights.launch(flight, socket, limit);
        self.push(entry);
    }

    /// Ends an operation early; it completes all the same.
    pub(super) fn cancel(&mut self, token: Token) {
        let entry = opcode::AsyncCancel::new(token.to_bits())
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS);
        self.push(entry.user_data(Token::Ignored.to_bits()));
    }

    /// Closes a descriptor once all operations that were begun on it before are under way.
    pub(super) fn close(&mut self, descriptor: OwnedFd) {
        let entry = opcode::Close::new(types::Fd(descriptor.into_raw_fd()))
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS);
        self.push(entry.user_data(Token::Ignored.to_bits()));
    }

    pub(super) fn flights(&mut self) -> &mut Flights {
        &mut self.flights
    }

    /// How many bytes a flight has still to send.
    pub(super) fn left(&self, flight: Number) -> usize {
        self.flights.len(flight)
    }

    /// Whether a flight ends, if all is well, without a completion: when the kernel was entered.
    pub(super) fn is_silent(&self, flight: Number) -> bool {
        self.flights.is_silent(flight)
    }

    /// Whether the kernel is to be entered for the end of flights.
    pub(super) fn has_silent(&self) -> bool {
        self.flights.are_silent()
    }

    /// What a completion says was received.
    pub(super) fn filled(&mut self, completion: &mut Completion) -> Option<Filled> {
        let number = completion.buffer.take()?;
        let length = usize::try_from(completion.result).unwrap_or(0);
        // SAFETY: The kernel named this buffer, and it is taken out of the completion: this is the only time.
        Some(unsafe { self.buffers.filled(number, length) })
    }

    /// Gives buffers back to the kernel, which may use them from the next time that it is entered.
    pub(super) fn give_back(&mut self, filled: Filled) {
        self.buffers.give_back(filled);
    }

    pub(super) fn enters(&self) -> u64 {
        self.enters
    }

    fn push(&mut self, entry: squeue::Entry) {
        if self.backlog.is_empty() {
            if self.try_push(&entry) {
                return;
            }
            // The kernel takes the queue, if it has memory. If not, the next turn tries again, and tells of errors.
            let _ = self.enter_kernel(0, EnterFlags::empty(), None);
            if self.try_push(&entry) {
                return;
            }
        }
        self.backlog.push(entry);
    }

    fn try_push(&mut self, entry: &squeue::Entry) -> bool {
        // SAFETY: What operations point to lives until they complete. Those of flights: `Flights` keeps what they hold as it is
        // until they have landed, of which `take` tells it. Receiving uses the registered buffers. The others
        // point to nothing. All of it is kept by this struct, which on drop waits for their end or leaks it.
        unsafe { self.io.submission().push(entry).is_ok() }
    }

    /// Submits what was begun, and waits until something has completed, at most for `timeout` (`None`: as long as it takes).
    ///
    /// Without time to wait and without anything to do, there is no system call.
    pub(super) fn enter(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        if !self.backlog.is_empty() {
            self.enter_kernel(0, EnterFlags::empty(), None)?;
            let backlog = std::mem::take(&mut self.backlog);
            for entry in backlog {
                self.push(entry);
            }
        }
        let has_completions = !self.io.completion().is_empty();
        if has_completions || !self.backlog.is_empty() || timeout == Some(Duration::ZERO) {
            let submissions = self.io.submission();
            let idle = submissions.is_empty() && !submissions.taskrun() && !submissions.cq_overflow();
            drop(submissions);
            return if idle { Ok(()) } else { self.look() };
        }
        self.enter_kernel(1, EnterFlags::GETEVENTS, timeout)
    }

    /// Whether the kernel has more to put down, of which it will tell when it is entered.
    pub(super) fn has_more(&mut self) -> bool {
        let submissions = self.io.submission();
        submissions.taskrun() || submissions.cq_overflow()
    }

    /// Submits what was begun, and lets the kernel put down what has completed.
    pub(super) fn look(&mut self) -> io::Result<()> {
        self.enter_kernel(0, EnterFlags::GETEVENTS, None)
    }

    fn enter_kernel(&mut self, least: u32, flags: EnterFlags, timeout: Option<Duration>) -> io::Result<()> {
        self.enters += 1;
        self.buffers.publish();
        let count = self.io.submission().len() as u32;
        let time = timeout.map(|timeout| types::Timespec::from(timeout.min(Self::LONGEST)));
        let mut arguments = types::SubmitArgs::new();
        if let Some(time) = &time {
            arguments = arguments.timespec(time);
        }
        let flags = (flags | EnterFlags::EXT_ARG).bits();
        // SAFETY: The argument is the one that `EXT_ARG` announces, and it and the time live during the call.
        match unsafe { self.io.submitter().enter(count, least, flags, Some(&arguments)) } {
            Ok(_) => Ok(()),
            Err(error) => match Errno::from_io_error(&error) {
                // Time is over; a signal; completions must be taken before more is submitted; no memory just now; a completion
                // was lost, which `take` sees by the count.
                Some(Errno::TIME | Errno::INTR | Errno::BUSY | Errno::AGAIN | Errno::BADR) => Ok(()),
                _ => Err(error),
            },
        }
    }

    /// Takes what has completed, and the silent flights that have ended without that: they were sent whole. Gives whether the
    /// kernel has lost completions, for want of memory. Then theirs may be among them, and those taken may have come behind some
    /// that were lost.
    pub(super) fn take(&mut self, completed: &mut Vec<Completion>, sent: &mut Vec<Key>) -> bool {
        for entry in self.io.completion() {
            let completion = Completion::new(&entry);
            #[cfg(test)]
            if self.to_lose > 0 {
                self.to_lose -= 1;
                self.lost_too += 1;
                continue;
            }
            if !completion.goes_on() {
                match completion.token {
                    Token::Receive(_) => self.receives = self.receives.saturating_sub(1),
                    Token::Flight(key) => self.flights.land(key),
                    _ => {}
                }
            }
            completed.push(completion);
        }
        let lost = self.io.completion().overflow();
        #[cfg(test)]
        let lost = lost + self.lost_too;
        // Who is still in the queue has not begun; and completions that found no room in theirs are still to come.
        let submissions = self.io.submission();
        let is_all_told = submissions.is_empty() && !submissions.cq_overflow();
        drop(submissions);
        if is_all_told && self.backlog.is_empty() {
            self.flights.land_silent(sent);
        }
        std::mem::replace(&mut self.lost, lost) != lost
    }

    /// Ends all operations after the kernel has lost completions, with which the count of what is under way was lost. Gives
    /// the flights that were, and appends to `last` what else had completed. The ring is as if it were new.
    pub(super) fn begin_anew(&mut self, last: &mut Vec<Completion>) -> io::Result<Vec<Ended>> {
        if !self.end_uncounted(last) {
            return Err(io::Error::other("operations of an io_uring do not end"));
        }
        self.receives = 0;
        // Nobody knows which of the buffers were named by what was lost.
        self.buffers.replace(&self.io.submitter())?;
        Ok(self.flights.end_all())
    }

    /// Cancels all operations until there is nothing left to cancel and nothing left to tell; gives whether that came to pass.
    fn end_uncounted(&mut self, last: &mut Vec<Completion>) -> bool {
        let (mut completions, mut sent) = (Vec::new(), Vec::new());
        let begun = Instant::now();
        while begun.elapsed() < Self::ENDS_WITHIN {
            self.cancel_all();
            // What waits outside of the ring goes in first.
            if self.enter(Some(Duration::ZERO)).is_err() {
                return false;
            }
            self.take(&mut completions, &mut sent);
            // It tells how many operations it has found, none of which waits outside of the ring.
            let found_none = completions.iter().all(|completion| {
                completion.token == Token::End && matches!(completion.moved(), Ok(0) | Err(Errno::NOENT))
            });
            let submissions = self.io.submission();
            let is_done = submissions.is_empty() && !submissions.taskrun() && !submissions.cq_overflow();
            drop(submissions);
            if found_none && !completions.is_empty() && is_done && self.backlog.is_empty() {
                return true;
            }
            if completions
                .iter()
                .all(|completion| completion.token == Token::End)
            {
                // Nothing has ended since, or the kernel has no memory to tell. It may get some.
                std::thread::sleep(Self::PAUSE);
            }
            last.append(&mut completions);
        }
        false
    }

    fn cancel_all(&mut self) {
        let everything = types::CancelBuilder::any().all();
        let entry = opcode::AsyncCancel2::new(everything).build();
        self.push(entry.user_data(Token::End.to_bits()));
    }

    /// Cancels all operations and waits for their end; gives whether the kernel uses nothing any more.
    fn end_all(&mut self) -> bool {
        self.cancel_all();
        let (mut completions, mut sent) = (Vec::new(), Vec::new());
        let mut idle = 0;
        while idle < Self::IDLE_ENTERS {
            self.take(&mut completions, &mut sent);
            idle = if completions.is_empty() { idle + 1 } else { 0 };
            // Connections that were accepted are closed.
            completions.clear();
            if self.receives == 0 && self.flights.airborne() == 0 && self.backlog.is_empty() {
                // What was closed before is to be closed when the driver is gone.
                return self.look().is_ok();
            }
            if self.enter(Some(Duration::from_millis(10))).is_err() {
                return false;
            }
        }
        false
    }

    /// More than it makes sense to wait, and less than the kernel refuses.
    const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

    /// How often in a row the kernel may have nothing to tell, each time for 10 ms, before a dropped ring gives up on what is
    /// still under way.
    const IDLE_ENTERS: usize = 100;

    /// How long all operations may take to end after completions were lost. Without their end the driver fails.
    const ENDS_WITHIN: Duration = Duration::from_secs(5);

    /// How long to wait meanwhile when nothing has ended.
    const PAUSE: Duration = Duration::from_millis(2);
}

impl Drop for Ring {
    fn drop(&mut self) {
        if self.end_all() {
            // SAFETY: They are not used after this, neither here nor, as all operations have ended, by the kernel.
            unsafe {
                ManuallyDrop::drop(&mut self.buffers);
                ManuallyDrop::drop(&mut self.flights);
            }
        } else {
            // What is leaked may still be written or read by the kernel.
            tracing::warn!("operations of an io_uring did not end; their memory is not given back");
        }
    }
}

impl Completion {
    fn new(entry: &cqueue::Entry) -> Self {
        let token = Token::from_bits(entry.user_data());
        let result = entry.result();
        let accepted = matches!(token, Token::Accept(_)) && result >= 0;
        Self {
            token,
            result,
            flags: entry.flags(),
            buffer: cqueue::buffer_select(entry.flags()),
            // SAFETY: The result of accepting is a new descriptor, which nobody owns yet; an entry is taken once.
            descriptor: accepted.then(|| unsafe { OwnedFd::from_raw_fd(result) }),
        }
    }

    /// Whether the operation goes on and will tell more.
    pub(super) fn goes_on(&self) -> bool {
        cqueue::more(self.flags)
    }

    /// How many bytes it moved, or why none.
    pub(super) fn moved(&self) -> Result<usize, Errno> {
        usize::try_from(self.result).map_err(|_| Errno::from_raw_os_error(-self.result))
    }

    /// Whether it received into a buffer that was not taken yet.
    pub(super) fn is_filled(&self) -> bool {
        self.buffer.is_some()
    }

    /// Whether it received into the buffer behind `filled`.
    pub(super) fn follows(&self, filled: &Filled) -> bool {
        self.result > 0 && self.buffer.is_some_and(|number| filled.is_followed_by(number))
    }

    /// The connection that was accepted.
    pub(super) fn accepted(self) -> Result<OwnedFd, Errno> {
        self.descriptor
            .ok_or_else(|| Errno::from_raw_os_error(self.result.saturating_neg()))
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("receives", &self.receives)
            .field("airborne", &self.flights.airborne())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::super::super::Output;
    use super::super::flight::ALL;
    use super::*;

    /// More than the kernel has room to tell at once: what it could not tell yet is not taken for sent.
    #[test]
    fn silent_flights_of_which_there_is_no_room_to_tell_do_not_count_as_sent() {
        const COUNT: usize = 100;
        let Ok(mut ring) = Ring::new(Sizes::SMALL).map_err(|reason| eprintln!("not tested: {reason}")) else {
            return;
        };
        let (socket, peer) = UnixStream::pair().unwrap();
        drop(peer);
        for _ in 0..COUNT {
            let mut output = Box::new(Output::new());
            output.tail().push(7);
            let flight = ring.flights.output(Key::new(0, 0), output, false);
            ring.launch(flight, socket.as_raw_fd(), ALL);
        }
        let (mut completions, mut sent) = (Vec::new(), Vec::new());
        while completions.len() < COUNT {
            ring.look().unwrap();
            ring.take(&mut completions, &mut sent);
            assert!(sent.is_empty(), "nothing was sent");
        }
        assert_eq!(ring.flights.airborne(), 0);
        assert!(!ring.has_silent());
    }
}
