//! The buffers that the kernel receives into: a ring of them, from which it takes one when bytes have come.
//!
//! An idle connection so owns no buffer. Each is handed to the kernel by [`give_back`](Buffers::give_back) and belongs to it
//! until a completion names it; then it is ours until it is given back.

use std::io;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;
use rustix::mm::{MapFlags, ProtFlags};

/// How many buffers there are, and how large each is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// A power of two, at most 32,768.
    pub(super) count: u16,
    /// In bytes.
    pub(super) size: usize,
}

/// A ring of buffers, registered with an io_uring.
pub(super) struct Buffers {
    shape: Shape,
    /// What the kernel reads: where the buffers are that it may take.
    entries: Memory,
    /// The buffers, one behind the other, in the order of their numbers.
    bytes: Rc<Memory>,
    /// How many were given to the kernel so far, modulo 2¹⁶.
    tail: u16,
}

/// The number of a ring's only group of buffers.
pub(super) const GROUP: u16 = 0;

impl Buffers {
    /// Makes buffers, registers them, and gives all to the kernel.
    pub(super) fn register(submitter: &Submitter<'_>, shape: Shape) -> io::Result<Self> {
        let entries = Memory::map(size_of::<BufRingEntry>() * usize::from(shape.count))?;
        let bytes = Rc::new(Memory::map(shape.size * usize::from(shape.count))?);
        // SAFETY: `entries` has room for `count` entries and begins on a page, and `Ring` keeps it until the io_uring is gone or
        // uses no buffers any more.
        unsafe {
            submitter.register_buf_ring_with_flags(entries.start.as_ptr() as u64, shape.count, GROUP, 0)?;
        }
        let mut buffers = Self {
            shape,
            entries,
            bytes,
            tail: 0,
        };
        for number in 0..shape.count {
            buffers.put(number);
        }
        buffers.publish();
        Ok(buffers)
    }

    /// Registers others in place of these, which the kernel must not use any more: no operation receives.
    pub(super) fn replace(&mut self, submitter: &Submitter<'_>) -> io::Result<()> {
        submitter.unregister_buf_ring(GROUP)?;
        *self = Self::register(submitter, self.shape)?;
        Ok(())
    }

    /// What the kernel put into buffer `number`: `length` bytes.
    ///
    /// # Safety
    /// A completion named the buffer with this length, and this is called once for it.
    pub(super) unsafe fn filled(&self, number: u16, length: usize) -> Filled {
        assert!(
            number < self.shape.count && length <= self.shape.size,
            "no such buffer"
        );
        Filled {
            memory: Rc::clone(&self.bytes),
            size: self.shape.size,
            first: number,
            last: number,
            length,
        }
    }

    /// Gives buffers to the kernel, which sees them after [`publish`](Self::publish).
    pub(super) fn give_back(&mut self, filled: Filled) {
        // A filled buffer of another ring is no business of this one.
        if Rc::ptr_eq(&filled.memory, &self.bytes) {
            for number in filled.first..=filled.last {
                self.put(number);
            }
        }
    }

    fn put(&mut self, number: u16) {
        debug_assert!(number < self.shape.count);
        let index = usize::from(self.tail & (self.shape.count - 1));
        let start = usize::from(number) * self.shape.size;
        // SAFETY: The index is below `count`, so the entry lies in the mapping, which is aligned to a page and zeroed, a
        // value of an entry. The kernel does not look at it before the tail is beyond it, nor after it took the buffer that
        // was there before; no more than `count` buffers are out at a time.
        let entry = unsafe { self.entries.start.cast::<BufRingEntry>().add(index).as_mut() };
        entry.set_addr(self.bytes.start.as_ptr() as u64 + start as u64);
        entry.set_len(self.shape.size as u32);
        entry.set_bid(number);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Lets the kernel see what was given back.
    pub(super) fn publish(&mut self) {
        let ring = self.entries.start.cast::<BufRingEntry>().as_ptr();
        // SAFETY: The mapping begins with an entry; in it lies the tail, aligned, which only this thread writes and the kernel
        // reads atomically.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(ring).cast_mut()) };
        // Releases the entries written before.
        tail.store(self.tail, Ordering::Release);
    }
}

/// What was received into one buffer, or into several that lie one behind the other. It is given back by
/// [`Buffers::give_back`], or not used again.
pub(super) struct Filled {
    memory: Rc<Memory>,
    /// Of one buffer.
    size: usize,
    first: u16,
    last: u16,
    length: usize,
}

impl Filled {
    /// Whether buffer `number` begins where this ends.
    pub(super) fn is_followed_by(&self, number: u16) -> bool {
        let room = (usize::from(self.last - self.first) + 1) * self.size;
        self.length == room && self.last.checked_add(1) == Some(number)
    }

    /// Takes along what begins where this ends.
    ///
    /// # Panics
    /// If it begins elsewhere.
    pub(super) fn join(&mut self, next: Self) {
        assert!(self.is_followed_by(next.first) && Rc::ptr_eq(&self.memory, &next.memory));
        self.last = next.last;
        self.length += next.length;
    }
}

impl Deref for Filled {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let start = usize::from(self.first) * self.size;
        // SAFETY: The range lies in the mapping, which `memory` keeps. Only this value reads or writes it until it is given
        // back, which ends the borrow; the kernel does not.
        unsafe { std::slice::from_raw_parts(self.memory.start.as_ptr().add(start), self.length) }
    }
}

impl DerefMut for Filled {
    fn deref_mut(&mut self) -> &mut [u8] {
        let start = usize::from(self.first) * self.size;
        // SAFETY: As in `deref`, and this borrow is the only one.
        unsafe { std::slice::from_raw_parts_mut(self.memory.start.as_ptr().add(start), self.length) }
    }
}

/// Zeroed memory that begins on a page. Pages take memory when they are first used.
struct Memory {
    start: NonNull<u8>,
    length: usize,
}

impl Memory {
    fn map(length: usize) -> io::Result<Self> {
        // SAFETY: The system chooses where; no existing memory is touched.
        let start = unsafe {
            rustix::mm::mmap_anonymous(
                std::ptr::null_mut(),
                length,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            )?
        };
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, length })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: It was mapped with this length, and whoever drops it uses it no more; of the kernel's use see `Ring`. It
        // cannot fail for a mapping that exists.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.length) };
    }
}
