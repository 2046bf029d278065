//! A compressor of our own, for messages that refer to no other one.
//!
//! The compression library is made for streams: before each message that stands alone it clears tables which weigh many
//! times what most messages do. This one is made for such messages. Nothing is cleared between them, and it makes few
//! decisions that a processor cannot foretell, of which a short message has nothing but. For a kilobyte of JSON it takes half
//! the library's time at level 6 and some percent more bytes; of 64 KiB of prose and code, a tenth more.
//!
//! A code could also serve for the messages after it, which look alike and would need no description. It does not: how long
//! a message becomes would then depend on what others said, and those may be others' secrets.
//!
//! `search` finds repetitions, greedily but for a look at the next byte; `token` is what it finds; `block` writes that in the
//! shortest form there is; `code` makes Huffman codes and `header` describes them; `bits` puts it all into bytes.

mod bits;
mod block;
mod code;
mod header;
mod search;
mod token;

use bits::Bits;
use block::Block;
use search::Index;

/// Compresses messages of which none refers to another (RFC 1951), each by itself.
pub(super) struct Standalone {
    index: Index,
    block: Block,
}

impl Standalone {
    pub(super) fn new() -> Self {
        Self {
            index: Index::new(),
            block: Block::new(),
        }
    }

    /// Appends `message` in compressed form, as RFC 7692 §7.2.1 has it: blocks none of which is the last one, and of an
    /// empty stored block the header, without its [`TRAILER`](super::TRAILER).
    ///
    /// References reach back at most `window` bytes. What is appended is at most as much longer than the message as
    /// stored blocks are.
    pub(super) fn compress(&mut self, message: &[u8], window: usize, out: &mut Vec<u8>) {
        let mut bits = Bits::default();
        let mut search = self.index.search(message, window);
        loop {
            let plain = search.fill(&mut self.block);
            if plain.is_empty() {
                break;
            }
            self.block.write(plain, &mut bits, out);
        }
        bits.stored(out);
    }
}
