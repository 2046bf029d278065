//! What the kernel was lent by operations that are under way: outputs to send, addresses to connect to.
//!
//! [`Ring`](super::ring::Ring) relies on this: what a flight holds is neither changed, moved nor freed from
//! [`launch`](Flights::launch) until it has landed, by [`land`](Flights::land) or [`land_silent`](Flights::land_silent).
//!
//! Mostly the system takes a small output whole, at once, and there is nothing to say about it. Such an output is sent by a
//! *silent* flight: the operation does not wait (`MSG_DONTWAIT`), so it has ended when the kernel has taken it from the queue;
//! anything less than all is a failure (`MSG_WAITALL`); and only failures complete (`IOSQE_CQE_SKIP_SUCCESS`). What is left
//! of a silent flight that failed for want of room goes on as one that waits, and completes.

use std::io::IoSlice;
use std::num::NonZeroU32;
use std::os::fd::{OwnedFd, RawFd};
use std::{mem, ptr};

use io_uring::{opcode, squeue, types};
use socket2::SockAddr;

use super::super::{Key, Output};
use super::token::Token;

/// All flights of a ring.
#[derive(Default)]
pub(super) struct Flights {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// How many are in the air.
    airborne: usize,
    /// Silent flights that were launched, and have not landed unless by a completion.
    silent: Vec<Key>,
    /// Lists of slices that are not in use.
    #[expect(clippy::vec_box, reason = "the kernel reads them in their place")]
    vectors: Vec<Box<Vector>>,
}

struct Slot {
    generation: u32,
    flight: Option<Flight>,
    place: Place,
}

/// Where a flight is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Ground,
    /// In the air until the operation has completed.
    Air,
    /// In the air until the operation has completed, or the kernel has taken it from the queue without that.
    Silence,
}

/// What a socket knows its flight by, which lives no longer than it does. Takes no more than its four bytes when there may
/// be none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number(NonZeroU32);

impl Number {
    /// That of the flight with this key.
    pub(super) fn of(flight: Key) -> Self {
        Self(NonZeroU32::MIN.saturating_add(flight.index() as u32))
    }

    fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// One operation under way, or between two.
pub(super) struct Flight {
    /// The socket's key with its owner.
    pub(super) socket: Key,
    /// Set once the owner has closed the socket: it is closed when the flight is over.
    pub(super) closing: Option<Closing>,
    freight: Freight,
}

/// How a flight ends whose socket was closed by the owner.
pub(super) struct Closing {
    pub(super) descriptor: OwnedFd,
    /// What the system has not taken yet is thrown away.
    pub(super) is_reset: bool,
}

/// What is left of a flight.
pub(super) struct Ended {
    /// Its output, of which the rest will not be sent.
    pub(super) output: Option<Box<Output>>,
    pub(super) closing: Option<Closing>,
}

enum Freight {
    Output {
        output: Box<Output>,
        /// How much of it the operation offers to the system.
        offered: usize,
        /// The system took a part only of what was offered before, so that it has no room now.
        is_full: bool,
        vector: Option<Box<Vector>>,
    },
    Address(Box<SockAddr>),
}

/// A list of slices, and the header that points to it.
struct Vector {
    slices: [libc::iovec; Self::SLICES],
    header: libc::msghdr,
}

impl Vector {
    /// How many pieces are sent at once.
    const SLICES: usize = 64;

    fn new() -> Box<Self> {
        let empty = libc::iovec {
            iov_base: ptr::null_mut(),
            iov_len: 0,
        };
        Box::new(Self {
            slices: [empty; Self::SLICES],
            // SAFETY: It is a structure of C of numbers and pointers, for which zeros are values: no name, no slices, no
            // control data. Its padding differs from system to system, so it cannot be written down.
            header: unsafe { mem::zeroed() },
        })
    }

    /// Lists at most `limit` bytes of `output`; gives how many they are.
    fn list(&mut self, output: &Output, limit: usize) -> usize {
        let mut parts = [IoSlice::new(&[]); Self::SLICES];
        let parts = output.slices(&mut parts);
        let mut room = limit;
        for (slice, part) in self.slices.iter_mut().zip(parts) {
            let length = part.len().min(room);
            *slice = libc::iovec {
                iov_base: part.as_ptr().cast_mut().cast(),
                iov_len: length,
            };
            room -= length;
        }
        self.header.msg_iov = self.slices.as_mut_ptr();
        self.header.msg_iovlen = parts.len() as _;
        limit - room
    }
}

/// `IORING_RECVSEND_POLL_FIRST`, which the crate does not name.
const POLL_FIRST: u16 = 1;

/// More than any output has: everything may be offered.
pub(super) const ALL: usize = usize::MAX;

impl Flights {
    /// Lists that are kept for the next flight.
    const KEPT_VECTORS: usize = 64;

    /// A flight that will send `output`, on a socket that has room for it or is full.
    pub(super) fn output(&mut self, socket: Key, output: Box<Output>, is_full: bool) -> Key {
        self.insert(Flight {
            socket,
            closing: None,
            freight: Freight::Output {
                output,
                offered: 0,
                is_full,
                vector: None,
            },
        })
    }

    /// A flight that will connect to `address`.
    pub(super) fn address(&mut self, socket: Key, address: SockAddr) -> Key {
        self.insert(Flight {
            socket,
            closing: None,
            freight: Freight::Address(Box::new(address)),
        })
    }

    fn insert(&mut self, flight: Flight) -> Key {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                flight: None,
                place: Place::Ground,
            });
            u32::try_from(self.slots.len() - 1).unwrap_or(Key::MAX_INDEX)
        });
        let slot = &mut self.slots[index as usize];
        slot.flight = Some(flight);
        Key::new(index, slot.generation)
    }

    fn slot(&mut self, key: Key) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(key.index())?;
        (slot.generation == key.generation()).then_some(slot)
    }

    /// The operation of this flight on `descriptor`, which offers at most `limit` bytes. From now on the kernel may use what the flight
    /// holds.
    ///
    /// # Panics
    /// If there is no such flight, or it is in the air.
    pub(super) fn launch(&mut self, key: Key, descriptor: RawFd, limit: usize) -> squeue::Entry {
        let spare = &mut self.vectors;
        let slot = &mut self.slots[key.index()];
        assert!(
            slot.place == Place::Ground && slot.generation == key.generation(),
            "no such flight on the ground"
        );
        let flight = slot.flight.as_mut().expect("a slot of this generation is in use");
        slot.place = Place::Air;
        self.airborne += 1;
        let descriptor = types::Fd(descriptor);
        let entry = match &mut flight.freight {
            Freight::Address(address) => {
                opcode::Connect::new(descriptor, address.as_ptr().cast(), address.len()).build()
            }
            Freight::Output {
                output,
                offered,
                is_full,
                vector,
            } => {
                let (is_full, all) = (*is_full, output.len());
                // To wait for room first, in place of finding none.
                let priority = if is_full { POLL_FIRST } else { 0 };
                let is_silent = |offered| !is_full && offered == all;
                let flags = |offered| {
                    let silent = libc::MSG_DONTWAIT | libc::MSG_WAITALL;
                    libc::MSG_NOSIGNAL | if is_silent(offered) { silent } else { 0 }
                };
                let entry = if let Some(only) = output.only() {
                    // Whatever is beyond 4 GiB is sent by the next operation.
                    let length = u32::try_from(only.len().min(limit)).unwrap_or(u32::MAX);
                    *offered = length as usize;
                    opcode::Send::new(descriptor, only.as_ptr(), length)
                        .ioprio(priority)
                        .flags(flags(*offered))
                        .build()
                } else {
                    let vector = vector.get_or_insert_with(|| spare.pop().unwrap_or_else(Vector::new));
                    *offered = vector.list(output, limit);
                    opcode::SendMsg::new(descriptor, &raw const vector.header)
                        .ioprio(priority)
                        .flags(flags(*offered) as u32)
                        .build()
                };
                if is_silent(*offered) {
                    slot.place = Place::Silence;
                    self.silent.push(key);
                    entry.flags(squeue::Flags::SKIP_SUCCESS)
                } else {
                    entry
                }
            }
        };
        entry.user_data(Token::Flight(key).to_bits())
    }

    /// Notes that the operation of this flight has completed: the kernel uses nothing of it any more.
    pub(super) fn land(&mut self, key: Key) {
        if let Some(slot) = self.slot(key)
            && mem::replace(&mut slot.place, Place::Ground) != Place::Ground
        {
            self.airborne -= 1;
        }
    }

    /// Notes that the kernel has taken all operations from the queue, and that all flights with a completion have landed: the
    /// silent ones that have none were sent whole. Appends those to `sent`.
    pub(super) fn land_silent(&mut self, sent: &mut Vec<Key>) {
        for index in 0..self.silent.len() {
            let key = self.silent[index];
            if self.slot(key).is_some_and(|slot| slot.place == Place::Silence) {
                self.land(key);
                sent.push(key);
            }
        }
        self.silent.clear();
    }

    /// Whether there may be silent flights in the air.
    pub(super) fn are_silent(&self) -> bool {
        !self.silent.is_empty()
    }

    /// Whether the flight that a socket has ends, if all is well, without a completion.
    pub(super) fn is_silent(&self, number: Number) -> bool {
        self.slots[number.index()].place == Place::Silence
    }

    /// How many are in the air.
    pub(super) fn airborne(&self) -> usize {
        self.airborne
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Flight> {
        self.slot(key)?.flight.as_mut()
    }

    /// Lets a flight end with its socket.
    pub(super) fn close(&mut self, key: Key, closing: Closing) {
        if let Some(flight) = self.get_mut(key) {
            flight.closing = Some(closing);
        }
    }

    /// How a flight ends whose socket was closed.
    pub(super) fn closing(&mut self, key: Key) -> Option<&Closing> {
        self.get_mut(key)?.closing.as_ref()
    }

    /// The key of the flight that a socket has.
    pub(super) fn key_of(&self, number: Number) -> Key {
        let index = number.index();
        Key::new(index as u32, self.slots[index].generation)
    }

    /// How many bytes the flight that a socket has is still to send.
    pub(super) fn len(&self, number: Number) -> usize {
        let flight = self.slots[number.index()].flight.as_ref();
        flight.map_or(0, Flight::len)
    }

    /// Notes that the system took `count` bytes of a flight that has landed; gives how many were offered, and how many are left.
    pub(super) fn advance(&mut self, key: Key, count: usize) -> (usize, usize) {
        match self.slot(key) {
            Some(Slot {
                place: Place::Ground,
                flight:
                    Some(Flight {
                        freight:
                            Freight::Output {
                                output,
                                offered,
                                is_full,
                                ..
                            },
                        ..
                    }),
                ..
            }) => {
                output.advance(count);
                *is_full = count < *offered;
                (*offered, output.len())
            }
            _ => (0, 0),
        }
    }

    /// Ends all flights, when the kernel uses nothing of them any more.
    pub(super) fn end_all(&mut self) -> Vec<Ended> {
        self.silent.clear();
        self.airborne = 0;
        let mut all = Vec::new();
        for index in 0..self.slots.len() {
            let slot = &mut self.slots[index];
            slot.place = Place::Ground;
            let key = Key::new(index as u32, slot.generation);
            all.extend(self.end(key));
        }
        all
    }

    /// Ends a flight that has landed.
    pub(super) fn end(&mut self, key: Key) -> Option<Ended> {
        let slot = self.slot(key).filter(|slot| slot.place == Place::Ground)?;
        let flight = slot.flight.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key.index() as u32);
        let output = match flight.freight {
            Freight::Address(_) => None,
            Freight::Output { output, vector, .. } => {
                if let Some(vector) = vector
                    && self.vectors.len() < Self::KEPT_VECTORS
                {
                    self.vectors.push(vector);
                }
                Some(output)
            }
        };
        Some(Ended {
            output,
            closing: flight.closing,
        })
    }
}

impl Flight {
    fn len(&self) -> usize {
        match &self.freight {
            Freight::Output { output, .. } => output.len(),
            Freight::Address(_) => 0,
        }
    }

    /// Whether it connects.
    pub(super) fn connects(&self) -> bool {
        matches!(self.freight, Freight::Address(_))
    }
}
