//! Workers without threads, and sockets without a system.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use sockeye_proto::deflate::{Compressor, Decompressor, Deflate, Parameters, Pool};
use sockeye_proto::{Compress, Config, Connection, Event, Message, MessageKind, Role, Workspace};

use crate::driver::{Outbox, Output, OutputPool};
use crate::hub::{
    Change, Hub, HubConfig, Local, Outlet, Post, Pressure, PublishError, Publisher, Recipient, Recipients,
    SubscribeError,
};
use crate::session::QueueLimits;

/// A server of some workers.
pub(super) struct World {
    pub(super) workers: Vec<Worker>,
    pub(super) publisher: Publisher,
}

pub(super) struct Worker {
    pub(super) local: Local,
    pub(super) sockets: Sockets,
    mail: Arc<Mail>,
}

#[derive(Default)]
pub(super) struct Mail {
    posts: Mutex<Vec<Arc<Post>>>,
}

impl Outlet for Mail {
    fn post(&self, posts: &mut Vec<Arc<Post>>) {
        self.posts.lock().unwrap().append(posts);
    }
}

#[derive(Default)]
pub(super) struct Sockets {
    slots: Vec<Option<Socket>>,
    pool: OutputPool,
    /// Slots that were touched since the last time they were sent, in order, each once.
    pub(super) touched: Vec<u32>,
}

pub(super) struct Socket {
    connection: Connection,
    outbox: Outbox,
    pub(super) limits: Pressure,
    /// How many more bytes the system takes.
    pub(super) window: usize,
    is_blocked: bool,
    is_touched: bool,
    pub(super) is_overflowed: bool,
    /// What the system has taken.
    pub(super) wire: Vec<u8>,
    pub(super) writes: usize,
    client: Connection,
}

impl World {
    pub(super) fn new(workers: usize) -> Self {
        Self::with(workers, HubConfig::default())
    }

    pub(super) fn with(workers: usize, config: HubConfig) -> Self {
        let hub = Hub::new(config, workers).unwrap();
        let workers: Vec<_> = (0..workers)
            .map(|number| Worker {
                local: Local::new(Arc::clone(&hub), number),
                sockets: Sockets::default(),
                mail: Arc::default(),
            })
            .collect();
        for worker in &workers {
            worker.local.attach(Arc::clone(&worker.mail) as Arc<dyn Outlet>);
        }
        Self {
            workers,
            publisher: Publisher::of(hub),
        }
    }

    /// The only worker.
    pub(super) fn one() -> Worker {
        Self::new(1).workers.remove(0)
    }

    /// Lets all workers take turns until nothing is on its way.
    pub(super) fn settle(&mut self) {
        loop {
            for worker in &mut self.workers {
                worker.turn();
            }
            if self
                .workers
                .iter()
                .all(|worker| worker.mail.posts.lock().unwrap().is_empty())
            {
                return;
            }
        }
    }
}

impl Worker {
    /// Adds a socket without compression; gives its slot.
    pub(super) fn open(&mut self) -> u32 {
        self.open_with(None)
    }

    pub(super) fn open_with(&mut self, deflate: Option<(&Deflate, Parameters)>) -> u32 {
        let pool = Arc::new(Pool::default());
        let codec = |role: Role| {
            deflate.map(|(options, parameters)| {
                let compressor = Compressor::new(role, parameters, options, Arc::clone(&pool));
                (compressor, Decompressor::new(role, parameters, Arc::clone(&pool)))
            })
        };
        let now = Instant::now();
        let config = Arc::new(Config {
            max_message_size: u64::MAX,
            ..Config::client()
        });
        let socket = Socket {
            connection: Connection::server(Arc::new(Config::server()), codec(Role::Server), now),
            client: Connection::client(config, Box::new(|| [0; 4]), codec(Role::Client), now),
            outbox: Outbox::default(),
            limits: Pressure::of(&QueueLimits::default()),
            window: usize::MAX,
            is_blocked: false,
            is_touched: false,
            is_overflowed: false,
            wire: Vec::new(),
            writes: 0,
        };
        let slots = &mut self.sockets.slots;
        let free = slots.iter().position(Option::is_none);
        let slot = free.unwrap_or_else(|| {
            slots.push(None);
            slots.len() - 1
        });
        slots[slot] = Some(socket);
        slot as u32
    }

    /// Drops a socket.
    pub(super) fn close(&mut self, slot: u32) -> Vec<Change> {
        let changes = std::iter::from_fn(|| self.local.leave(slot)).collect();
        self.sockets.slots[slot as usize] = None;
        self.sockets.touched.retain(|touched| *touched != slot);
        changes
    }

    pub(super) fn socket(&mut self, slot: u32) -> &mut Socket {
        self.sockets.slots[slot as usize].as_mut().unwrap()
    }

    pub(super) fn subscribe(&mut self, slot: u32, topic: &str) -> Option<Change> {
        self.subscribe_with(slot, topic, 0).unwrap()
    }

    pub(super) fn subscribe_with(
        &mut self,
        slot: u32,
        topic: &str,
        history: usize,
    ) -> Result<Option<Change>, SubscribeError> {
        let mut socket = self.sockets.recipient(slot).unwrap();
        self.local.subscribe(slot, topic, history, &mut socket)
    }

    pub(super) fn unsubscribe(&mut self, slot: u32, topic: &str) -> Option<Change> {
        let mut socket = self.sockets.recipient(slot).unwrap();
        self.local.unsubscribe(slot, topic, &mut socket)
    }

    pub(super) fn publish(&mut self, topic: &str, text: &str) {
        self.try_publish(None, topic, text).unwrap();
    }

    pub(super) fn publish_from(&mut self, slot: u32, topic: &str, text: &str) {
        self.try_publish(Some(slot), topic, text).unwrap();
    }

    pub(super) fn try_publish(
        &mut self,
        from: Option<u32>,
        topic: &str,
        text: &str,
    ) -> Result<(), PublishError> {
        let message = Message::Text(text);
        self.local.publish(from, topic, message, None, Compress::Auto)
    }

    /// What a socket's own handler sends.
    pub(super) fn send(&mut self, slot: u32, text: &str) {
        let mut socket = self.sockets.recipient(slot).unwrap();
        self.local.settle(slot, &mut socket);
        let mut tail = Vec::new();
        socket.connection().send(Message::Text(text), &mut tail).unwrap();
        socket.output().tail().extend_from_slice(&tail);
        socket.touched(MessageKind::Text, 1, text.len());
    }

    pub(super) fn send_fragment(&mut self, slot: u32, text: &str, fin: bool) {
        let mut socket = self.sockets.recipient(slot).unwrap();
        self.local.settle(slot, &mut socket);
        let (message, mut tail) = (Message::Text(text), Vec::new());
        let connection = socket.connection();
        connection
            .send_fragment(message, fin, Compress::Auto, &mut tail)
            .unwrap();
        socket.output().tail().extend_from_slice(&tail);
        socket.touched(MessageKind::Text, 1, text.len());
    }

    /// Ends the turn: mail, what was published, and one write for each socket.
    pub(super) fn turn(&mut self) {
        self.take_mail();
        self.local.flush(&mut self.sockets);
        self.write();
    }

    pub(super) fn take_mail(&mut self) {
        self.local.begin_mail();
        let posts = std::mem::take(&mut *self.mail.posts.lock().unwrap());
        for post in posts {
            self.local.receive(&post);
        }
        self.local.end_mail();
    }

    pub(super) fn write(&mut self) {
        for slot in std::mem::take(&mut self.sockets.touched) {
            let socket = self.socket(slot);
            socket.is_touched = false;
            socket.write();
        }
    }

    /// The system takes so many bytes more of this socket.
    pub(super) fn unblock(&mut self, slot: u32, window: usize) {
        let socket = self.socket(slot);
        socket.window = window;
        socket.write();
        let mut socket = self.sockets.recipient(slot).unwrap();
        if !socket.is_blocked() {
            self.local.drain(slot, &mut socket);
        }
        self.write();
    }

    /// The topics and texts of what was dropped, and whose it was.
    pub(super) fn dropped(&mut self) -> Vec<(u32, String, String)> {
        let next = || self.local.next_dropped();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        std::iter::from_fn(next)
            .map(|dropped| {
                let (topic, message) = (
                    dropped.topic.unwrap().to_string(),
                    text(dropped.message.as_bytes()),
                );
                (dropped.slot, topic, message)
            })
            .collect()
    }

    /// What the client of this socket has received since the last time.
    pub(super) fn heard(&mut self, slot: u32) -> Vec<String> {
        self.socket(slot).heard()
    }
}

impl Socket {
    fn write(&mut self) {
        self.writes += 1;
        let Some(output) = self.outbox.get_mut() else {
            return;
        };
        let count = output.len().min(self.window);
        self.window -= count;
        let mut left = count;
        let mut slices = [std::io::IoSlice::new(&[]); 256];
        while left > 0 {
            let mut taken = 0;
            for slice in output.slices(&mut slices) {
                let part = slice.len().min(left - taken);
                self.wire.extend_from_slice(&slice[..part]);
                taken += part;
            }
            output.advance(taken);
            left -= taken;
            slices = [std::io::IoSlice::new(&[]); 256];
        }
        self.is_blocked = !output.is_empty();
    }

    pub(super) fn waiting(&self) -> usize {
        self.outbox.len()
    }

    pub(super) fn heard(&mut self) -> Vec<String> {
        let (now, mut workspace) = (Instant::now(), Workspace::new());
        let mut heard = Vec::new();
        let mut consumed = 0;
        loop {
            let wire = &mut self.wire[consumed..];
            let received = self.client.receive(wire, &mut workspace, now).unwrap();
            let (is_idle, count) = (received.event.is_none(), received.consumed);
            if let Some(Event::Message(message)) = received.event {
                heard.push(String::from_utf8_lossy(message.as_bytes()).into_owned());
            }
            consumed += count;
            if count == 0 && is_idle {
                break;
            }
        }
        self.wire.drain(..consumed);
        heard
    }
}

/// A socket, lent to the hub.
pub(super) struct Lent<'l> {
    slot: u32,
    socket: &'l mut Socket,
    pool: &'l mut OutputPool,
    touched: &'l mut Vec<u32>,
}

impl Sockets {
    pub(super) fn forget_output(&mut self) {
        self.touched.clear();
        for slot in self.slots.iter_mut().flatten() {
            slot.is_touched = false;
            slot.outbox.discard(&mut self.pool);
        }
    }
}

impl Recipients for Sockets {
    type Recipient<'r> = Lent<'r>;

    fn recipient(&mut self, slot: u32) -> Option<Lent<'_>> {
        let socket = self.slots.get_mut(slot as usize)?.as_mut()?;
        Some(Lent {
            slot,
            socket,
            pool: &mut self.pool,
            touched: &mut self.touched,
        })
    }
}

impl Recipient for Lent<'_> {
    fn connection(&mut self) -> &mut Connection {
        &mut self.socket.connection
    }

    fn output(&mut self) -> &mut Output {
        self.socket.outbox.open(self.pool)
    }

    fn waiting(&self) -> usize {
        self.socket.outbox.len()
    }

    fn is_blocked(&self) -> bool {
        self.socket.is_blocked
    }

    fn pressure(&self) -> Pressure {
        self.socket.limits
    }

    fn relieve(&mut self) {
        self.socket.write();
    }

    fn touched(&mut self, _: MessageKind, _: usize, _: usize) {
        if !std::mem::replace(&mut self.socket.is_touched, true) {
            self.touched.push(self.slot);
        }
    }

    fn overflowed(&mut self) {
        self.socket.is_overflowed = true;
    }
}
