//! Handlers as a worker knows them: without their type, each with the data of its WebSockets.

use std::sync::Arc;

use sockeye_proto::Workspace;

use super::handler::{CloseEvent, Handler};
use super::read::{read, read_in_place};
use super::session::Lent;
use super::socket::Socket;
use crate::MessageRef;
use crate::server::{Accept, Decline, Endpoint, UpgradeRequest};
use crate::session::QueueLimits;

/// Where the data of a WebSocket lies: which route of the worker, and which seat there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seat {
    pub(super) route: u32,
    pub(super) number: u32,
}

/// A handler without its type, shared by all workers.
pub(crate) trait AnyHandler: Send + Sync {
    /// The handler with seats for the WebSockets of one worker.
    fn seats(self: Arc<Self>) -> Box<dyn Seats>;
}

impl<H: Handler> AnyHandler for H {
    fn seats(self: Arc<Self>) -> Box<dyn Seats> {
        Box::new(Table::new(self))
    }
}

/// A handler, and the data of each of its WebSockets on this worker. One call through here for what a read brought is all
/// that not knowing the type costs.
pub(crate) trait Seats {
    /// Asks the handler about a request. If it accepts, there is a seat for the WebSocket to be.
    fn upgrade(&mut self, request: &UpgradeRequest) -> Result<(Accept, u32), Decline>;
    /// Gives a seat back.
    fn leave(&mut self, seat: u32);
    fn open(&mut self, seat: u32, lent: Lent<'_>);
    /// Hands out what was received.
    fn read(&mut self, seat: u32, lent: Lent<'_>, bytes: &mut [u8], workspace: &mut Workspace);
    /// The same, for so many bytes that were received where the message in progress is gathered.
    fn read_in_place(&mut self, seat: u32, lent: Lent<'_>, count: usize, workspace: &mut Workspace);
    fn drain(&mut self, seat: u32, lent: Lent<'_>);
    fn dropped(&mut self, seat: u32, lent: Lent<'_>, message: MessageRef<'_>, topic: Option<&str>);
    fn subscription(&mut self, seat: u32, lent: Lent<'_>, topic: &str, new: usize, old: usize);
    fn close(&mut self, seat: u32, lent: Lent<'_>, end: CloseEvent<'_>);
}

/// The end of the list of vacant seats.
const NONE: u32 = u32::MAX;
const CHUNK: usize = 64;

struct Table<H: Handler> {
    handler: Arc<H>,
    chunks: Vec<Box<[Place<H::Data>]>>,
    vacant: u32,
    /// Data without a size or an end is the same for all.
    nothing: H::Data,
}

enum Place<T> {
    Vacant { next: u32 },
    Taken(T),
}

impl<H: Handler> Table<H> {
    const HAS_DATA: bool = size_of::<H::Data>() > 0 || std::mem::needs_drop::<H::Data>();

    fn new(handler: Arc<H>) -> Self {
        Self {
            handler,
            chunks: Vec::new(),
            vacant: NONE,
            nothing: H::Data::default(),
        }
    }

    fn sit(&mut self, data: H::Data) -> u32 {
        if !Self::HAS_DATA {
            return 0;
        }
        if self.vacant == NONE {
            let first = (self.chunks.len() * CHUNK) as u32;
            let last = first + CHUNK as u32 - 1;
            let place = |seat| Place::Vacant {
                next: if seat == last { NONE } else { seat + 1 },
            };
            self.chunks.push((first..=last).map(place).collect());
            self.vacant = first;
        }
        let seat = self.vacant;
        let place = &mut self.chunks[seat as usize / CHUNK][seat as usize % CHUNK];
        if let Place::Vacant { next } = *place {
            self.vacant = next;
        }
        *place = Place::Taken(data);
        seat
    }

    /// The handler, and the WebSocket with its data.
    #[inline]
    fn with(&mut self, seat: u32, mut lent: Lent<'_>, call: impl FnOnce(&H, &mut Socket<'_, H::Data>)) {
        let data = if Self::HAS_DATA {
            match self
                .chunks
                .get_mut(seat as usize / CHUNK)
                .and_then(|chunk| chunk.get_mut(seat as usize % CHUNK))
            {
                Some(Place::Taken(data)) => data,
                _ => return,
            }
        } else {
            &mut self.nothing
        };
        let lent = lent.reborrow();
        call(&self.handler, &mut Socket { lent, data });
    }
}

impl<H: Handler> Seats for Table<H> {
    fn upgrade(&mut self, request: &UpgradeRequest) -> Result<(Accept, u32), Decline> {
        let mut data = H::Data::default();
        let accept = self.handler.upgrade(request, &mut data)?;
        Ok((accept, self.sit(data)))
    }

    fn leave(&mut self, seat: u32) {
        if !Self::HAS_DATA {
            return;
        }
        let vacant = Place::Vacant { next: self.vacant };
        if let Some(place) = self
            .chunks
            .get_mut(seat as usize / CHUNK)
            .and_then(|chunk| chunk.get_mut(seat as usize % CHUNK))
            && matches!(place, Place::Taken(_))
        {
            let left = std::mem::replace(place, vacant);
            self.vacant = seat;
            // Last, since it is the application's code.
            drop(left);
        }
    }

    fn open(&mut self, seat: u32, lent: Lent<'_>) {
        self.with(seat, lent, |handler, socket| handler.open(socket));
    }

    fn read(&mut self, seat: u32, lent: Lent<'_>, bytes: &mut [u8], workspace: &mut Workspace) {
        self.with(seat, lent, |handler, socket| {
            read(handler, socket, bytes, workspace)
        });
    }

    fn read_in_place(&mut self, seat: u32, lent: Lent<'_>, count: usize, workspace: &mut Workspace) {
        self.with(seat, lent, |handler, socket| {
            read_in_place(handler, socket, count, workspace);
        });
    }

    fn drain(&mut self, seat: u32, lent: Lent<'_>) {
        self.with(seat, lent, |handler, socket| handler.drain(socket));
    }

    fn dropped(&mut self, seat: u32, lent: Lent<'_>, message: MessageRef<'_>, topic: Option<&str>) {
        self.with(seat, lent, |handler, socket| {
            handler.dropped(socket, message, topic);
        });
    }

    fn subscription(&mut self, seat: u32, lent: Lent<'_>, topic: &str, new: usize, old: usize) {
        self.with(seat, lent, |handler, socket| {
            handler.subscription(socket, topic, new, old);
        });
    }

    fn close(&mut self, seat: u32, lent: Lent<'_>, end: CloseEvent<'_>) {
        self.with(seat, lent, |handler, socket| handler.close(socket, end));
    }
}

/// The routes that a worker has had WebSockets of.
#[derive(Default)]
pub(crate) struct Routes {
    entries: Vec<Entry>,
}

/// A route on a worker.
pub(super) struct Entry {
    handler: Arc<dyn AnyHandler>,
    pub(super) seats: Box<dyn Seats>,
    pub(super) queues: QueueLimits,
    /// The pattern of its path.
    pub(super) path: Arc<str>,
}

impl Routes {
    /// The number of this endpoint, whose handler it is.
    pub(super) fn number(&mut self, endpoint: &Endpoint, handler: &Arc<dyn AnyHandler>) -> u32 {
        let (path, queues) = (&endpoint.path, &endpoint.settings.queues);
        let is_same = |entry: &Entry| {
            Arc::ptr_eq(&entry.handler, handler) && entry.path == *path && entry.queues == *queues
        };
        let at = self.entries.iter().position(is_same).unwrap_or_else(|| {
            self.entries.push(Entry {
                handler: Arc::clone(handler),
                seats: Arc::clone(handler).seats(),
                queues: queues.clone(),
                path: Arc::clone(path),
            });
            self.entries.len() - 1
        });
        at as u32
    }

    #[inline]
    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Entry> {
        self.entries.get_mut(number as usize)
    }
}

impl std::fmt::Debug for Routes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Routes")
            .field("entries", &self.entries.len())
            .finish()
    }
}
