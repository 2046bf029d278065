//! The queue of tasks in which everything observable happens (HTML Standard §8.1.7).

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::Notify;

/// How many tasks run at once before other tasks of the tokio runtime get their turn.
const TASKS_AT_ONCE: usize = 32;

type Task = Box<dyn FnOnce() + Send>;

/// Runs the tasks of WebSockets one after the other: a change of state together with its events is one task.
///
/// Every [`WebSocket`](super::WebSocket) has one. It is either run by tokio ([`spawned`](Self::spawned), which each
/// WebSocket without an [`Environment`](super::Environment) gets for itself), or by the program that made it
/// ([`new`](Self::new)), which then decides on which thread listeners run and when. WebSockets that share a loop never
/// run listeners at the same time.
///
/// Cheap to clone; clones are the same loop.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), sockeye::web::DomException> {
/// use sockeye::web::{Environment, EventLoop, WebSocket};
///
/// let event_loop = EventLoop::new();
/// let environment = Environment::builder().event_loop(event_loop.clone()).build()?;
/// let ws = WebSocket::new_in(&environment, "ws://127.0.0.1:9/", ())?;
/// while ws.ready_state() != WebSocket::CLOSED {
///     event_loop.turn().await;
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Other engines
///
/// A program whose listeners are not `Send`, for instance functions of a JavaScript engine, drives the loop on the
/// thread of that engine and registers listeners that carry an identifier only: they find the function in a
/// `thread_local!` of that thread.
#[derive(Clone)]
pub struct EventLoop(Arc<Inner>);

struct Inner {
    queue: Mutex<Queue>,
    /// There is a task to run, and nobody at it.
    arrived: Notify,
    /// Where the loop runs by itself.
    runtime: Option<Handle>,
}

#[derive(Default)]
struct Queue {
    tasks: VecDeque<Task>,
    /// A task is running, or tokio is about to run them.
    running: bool,
}

impl EventLoop {
    /// A loop that the program drives, by [`turn`](Self::turn), [`run_one`](Self::run_one) or
    /// [`run_until_idle`](Self::run_until_idle). As long as it does not, nothing happens that can be observed, and
    /// servers are held back.
    #[must_use]
    pub fn new() -> Self {
        Self::on(None)
    }

    /// A loop that runs its tasks by itself, on the current tokio runtime.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn spawned() -> Self {
        Self::on(Some(Handle::current()))
    }

    pub(crate) fn on(runtime: Option<Handle>) -> Self {
        Self(Arc::new(Inner {
            queue: Mutex::default(),
            arrived: Notify::new(),
            runtime,
        }))
    }

    /// Appends a task. Tasks that a program adds run in order with those of its WebSockets.
    pub fn queue(&self, task: impl FnOnce() + Send + 'static) {
        let mut queue = self.0.lock();
        queue.tasks.push_back(Box::new(task));
        match &self.0.runtime {
            Some(_) if queue.running => {}
            Some(runtime) => {
                queue.running = true;
                drop(queue);
                runtime.spawn(run_by_itself(self.0.clone()));
            }
            None => self.0.arrived.notify_one(),
        }
    }

    /// Runs the oldest task on this thread; gives whether there was one to run.
    ///
    /// There is none, too, while another one of this loop is running: tasks do not nest.
    pub fn run_one(&self) -> bool {
        let task = {
            let mut queue = self.0.lock();
            if queue.running {
                return false;
            }
            let Some(task) = queue.tasks.pop_front() else {
                return false;
            };
            queue.running = true;
            task
        };
        run(task);
        let mut queue = self.0.lock();
        queue.running = false;
        if !queue.tasks.is_empty() {
            self.0.arrived.notify_one();
        }
        true
    }

    /// Runs tasks on this thread until there is none left; gives how many there were.
    pub fn run_until_idle(&self) -> usize {
        std::iter::repeat_with(|| self.run_one())
            .take_while(|&ran| ran)
            .count()
    }

    /// Waits for a task and runs it on this thread. On a loop that runs by itself this waits for ever.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a task that has begun runs to its end within one poll.
    pub async fn turn(&self) {
        while !self.run_one() {
            self.0.arrived.notified().await;
        }
    }

    /// How many tasks wait.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.0.lock().tasks.len()
    }
}

impl Default for EventLoop {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoop")
            .field("pending", &self.pending())
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next task; none ends the run.
    fn next(&self) -> Option<Task> {
        let mut queue = self.lock();
        let task = queue.tasks.pop_front();
        queue.running = task.is_some();
        task
    }
}

async fn run_by_itself(inner: Arc<Inner>) {
    loop {
        for _ in 0..TASKS_AT_ONCE {
            let Some(task) = inner.next() else { return };
            run(task);
        }
        tokio::task::yield_now().await;
    }
}

/// A task that panics is reported; the loop goes on. Listeners are guarded by themselves, so this is about tasks that
/// the program queued.
fn run(task: Task) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(task)) {
        tracing::error!(
            panic = super::exception::message(&*panic),
            "a task of the event loop panicked"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn tasks_run_in_order_and_do_not_nest() {
        let (sender, receiver) = mpsc::channel();
        let event_loop = EventLoop::new();
        let (inner, first) = (event_loop.clone(), sender.clone());
        event_loop.queue(move || {
            let later = first.clone();
            inner.queue(move || later.send("third").unwrap());
            assert!(!inner.run_one());
            first.send("first").unwrap();
        });
        event_loop.queue(move || sender.send("second").unwrap());
        assert_eq!(event_loop.pending(), 2);
        assert!(event_loop.run_one());
        assert_eq!(event_loop.run_until_idle(), 2);
        assert!(!event_loop.run_one());
        drop(event_loop);
        assert_eq!(receiver.iter().collect::<Vec<_>>(), ["first", "second", "third"]);
    }

    #[tokio::test]
    async fn a_task_that_panics_does_not_stop_the_loop() {
        for event_loop in [EventLoop::new(), EventLoop::spawned()] {
            let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
            event_loop.queue(|| panic!("on purpose"));
            event_loop.queue(move || sender.send(()).unwrap());
            event_loop.run_until_idle();
            assert_eq!(receiver.recv().await, Some(()));
        }
    }

    #[tokio::test]
    async fn a_loop_on_tokio_runs_by_itself_and_lets_others_run() {
        let event_loop = EventLoop::spawned();
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        for number in 0..3 * TASKS_AT_ONCE {
            let sender = sender.clone();
            event_loop.queue(move || sender.send(number).unwrap());
        }
        let mut most = 0;
        for number in 0..3 * TASKS_AT_ONCE {
            assert_eq!(receiver.recv().await, Some(number));
            most = most.max(receiver.len() + 1);
        }
        assert_eq!(most, TASKS_AT_ONCE);
    }

    #[tokio::test]
    async fn a_turn_waits_for_a_task() {
        let event_loop = EventLoop::new();
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let other = event_loop.clone();
        tokio::spawn(async move {
            for number in 0..2 {
                let sender = sender.clone();
                other.queue(move || sender.send(number).unwrap());
            }
        });
        event_loop.turn().await;
        event_loop.turn().await;
        assert_eq!((receiver.recv().await, receiver.recv().await), (Some(0), Some(1)));
    }
}
