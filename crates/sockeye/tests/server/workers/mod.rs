//! Routes whose handler has callbacks, over sockets. Their workers have the driver that `SOCKEYE_TEST_DRIVER` names.

mod crowd;
mod ending;
mod events;
mod flow;
mod hand_back;
mod handles;
mod limits;
mod part;
mod reaching;
mod scarcity;
mod spread;
mod terms;

use sockeye::MessageRef;
use sockeye::server::{CloseEvent, Handler, Socket};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::peer::soon;

/// What must come from a thread.
pub(crate) fn got<T>(from: &std::sync::mpsc::Receiver<T>) -> T {
    from.recv_timeout(std::time::Duration::from_secs(20))
        .expect("it never came")
}

/// A task that fails.
pub(crate) async fn failing() {
    panic!("on purpose");
}

/// Answers each message by what this function does with it.
pub(crate) struct Does<F>(pub(crate) F);

impl<F: Fn(&mut Socket<'_, ()>, MessageRef<'_>) + Send + Sync + 'static> Handler for Does<F> {
    type Data = ();

    fn message(&self, socket: &mut Socket<'_, ()>, message: MessageRef<'_>) {
        (self.0)(socket, message);
    }
}

pub(crate) fn echo() -> impl Handler {
    Does(|socket: &mut Socket<'_, ()>, message: MessageRef<'_>| {
        socket.send(message);
    })
}

/// Answers with the name of the worker's thread.
pub(crate) fn whereabouts() -> impl Handler {
    Does(|socket: &mut Socket<'_, ()>, _: MessageRef<'_>| {
        socket.send(std::thread::current().name().unwrap());
    })
}

/// Echoes, and tells what it is called for.
#[derive(Clone)]
pub(crate) struct Teller(UnboundedSender<String>);

/// What a [`Teller`] has told, each callback in a line.
pub(crate) struct Told(UnboundedReceiver<String>);

pub(crate) fn teller() -> (Teller, Told) {
    let (tell, told) = unbounded_channel();
    (Teller(tell), Told(told))
}

impl Told {
    pub(crate) async fn next(&mut self) -> String {
        soon(self.0.recv()).await.unwrap()
    }

    /// What was told and not looked at yet.
    pub(crate) fn rest(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.0.try_recv().ok()).collect()
    }
}

impl Teller {
    fn tell(&self, line: impl Into<String>) {
        // A test that has seen enough has let go of the other end.
        let _ = self.0.send(line.into());
    }
}

impl Handler for Teller {
    type Data = ();

    fn open(&self, socket: &mut Socket<'_, ()>) {
        self.tell(format!("open {}", socket.subprotocol().unwrap_or_default()).trim_end());
    }

    fn message(&self, socket: &mut Socket<'_, ()>, message: MessageRef<'_>) {
        self.tell(format!("message {}", String::from_utf8_lossy(message.as_bytes())));
        socket.send(message);
    }

    fn ping(&self, _: &mut Socket<'_, ()>, payload: &[u8]) {
        self.tell(format!("ping {}", String::from_utf8_lossy(payload)));
    }

    fn pong(&self, _: &mut Socket<'_, ()>, _: &[u8]) {
        self.tell("pong");
    }

    fn close(&self, _: &mut Socket<'_, ()>, end: CloseEvent<'_>) {
        self.tell(format!("close {} {:?} {}", end.code, end.reason, end.was_clean));
    }
}
