//! A compressor of our own, made for messages.
//!
//! The compression library is made for streams: before each message that refers to no other one it clears tables which weigh
//! many times what most messages do, and to remember what a connection sent it takes ten times as much memory as that was. This
//! one keeps of a connection the bytes that may be referred to and where to look in them (`context`), or nothing, and
//! borrows the rest for the time of a call. Nothing is cleared between messages, and it makes few decisions that a processor
//! cannot foretell, of which a short message has nothing but. For a kilobyte of JSON it takes half the library's time at
//! level 6 and some percent more bytes; of 64 KiB of prose and code, a tenth more.
//!
//! A code could also serve for the messages after it, which look alike and would need no description. It does not: how long
//! a message becomes would then depend on what others said, and those may be others' secrets.
//!
//! `search` finds repetitions, greedily but for a look at the next byte; `token` is what it finds; `block` writes that in the
//! shortest form there is; `code` makes Huffman codes and `header` describes them; `bits` puts it all into bytes.

mod bits;
mod block;
mod code;
mod context;
mod header;
mod search;
mod token;

use bits::Bits;
use block::Block;
pub(super) use context::Context;
use search::Index;

use super::TRAILER;

/// What it takes to compress messages (RFC 1951), whoever's they are. Nothing of them stays here.
pub(super) struct Encoder {
    index: Index,
    block: Block,
}

impl Encoder {
    pub(super) fn new() -> Self {
        Self {
            index: Index::new(),
            block: Block::new(),
        }
    }

    /// Appends a whole message in compressed form that refers to no other one.
    ///
    /// References reach back at most `window` bytes. What is appended is at most as much longer than the message as
    /// stored blocks are.
    pub(super) fn compress(&mut self, message: &[u8], window: usize, out: &mut Vec<u8>) {
        let Self { index, block } = self;
        let mut search = index.search(message, window);
        append(block, message, true, out, |block, _| {
            search.fill::<false>(block, message.len())
        });
    }

    /// Appends the next part of what was compressed in this context. `fin` says that a message ends with it.
    pub(super) fn compress_in(&mut self, context: &mut Context, part: &[u8], fin: bool, out: &mut Vec<u8>) {
        append(&mut self.block, part, fin, out, |block, at| {
            context.fill(block, &part[at..])
        });
    }
}

/// Appends a part of a message as RFC 7692 §7.2.1 has it: blocks none of which is the last one, and an empty stored block, of
/// which the end of a message has the header only, without its [`TRAILER`].
///
/// `fill` puts what comes from a position on into the block, and says how many bytes that were.
fn append(
    block: &mut Block,
    part: &[u8],
    fin: bool,
    out: &mut Vec<u8>,
    mut fill: impl FnMut(&mut Block, usize) -> usize,
) {
    let mut bits = Bits::default();
    let (mut start, mut at) = (0, 0);
    while at < part.len() {
        at += fill(block, at);
        if at == part.len() || !block.has_room() {
            block.write(&part[start..at], &mut bits, out);
            start = at;
        }
    }
    bits.stored(out);
    if !fin {
        out.extend_from_slice(&TRAILER);
    }
}
