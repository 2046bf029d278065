//! Huffman codes.

/// How often each symbol of an alphabet occurs, and the code that follows from it.
///
/// The alphabet has `SYMBOLS` symbols. `N` is a power of two above that, so that an index needs no check beyond a mask.
pub(super) struct Code<const SYMBOLS: usize, const N: usize> {
    pub(super) counts: [u32; N],
    /// The length of each symbol's code in bits, 0 for those that have none.
    pub(super) lengths: [u8; N],
    /// Of the symbols that have a code.
    pub(super) words: Words<N>,
    /// The symbols that have a code, in their order.
    used: [u16; N],
    used_len: usize,
    tree: Tree<N>,
}

/// The longest code of a literal, a length or a distance (RFC 1951 §3.2.7).
pub(super) const MAX_LENGTH: usize = 15;

/// For each symbol that has a code what [`word`] makes of it. What the others have is of no use.
pub(super) type Words<const N: usize> = [u32; N];

/// A symbol's code as it is written: the bits, their number from bit 16 on, and from bit 24 on the number of bits with the
/// `extra` ones that follow the code.
pub(super) const fn word(code: u16, length: u32, extra: u32) -> u32 {
    // RFC 1951 §3.1.1: Huffman codes begin with their highest bit.
    (code.reverse_bits() as u32 >> (16 - length)) | length << 16 | (length + extra) << 24
}

impl<const SYMBOLS: usize, const N: usize> Code<SYMBOLS, N> {
    const MASK: usize = N - 1;

    pub(super) const fn new() -> Self {
        Self {
            counts: [0; N],
            lengths: [0; N],
            words: [0; N],
            used: [0; N],
            used_len: 0,
            tree: Tree::new(),
        }
    }

    #[inline]
    pub(super) fn count(&mut self, symbol: usize) {
        self.counts[symbol & Self::MASK] += 1;
    }

    /// Forgets what was counted.
    pub(super) fn clear(&mut self) {
        self.counts[..SYMBOLS].fill(0);
    }

    /// The greatest symbol that has a code, and one.
    pub(super) fn end(&self) -> usize {
        self.used[..self.used_len]
            .last()
            .map_or(0, |&symbol| usize::from(symbol) + 1)
    }

    /// How many bits the codes of all that was counted take, if they are as long as that.
    pub(super) fn cost(&self, lengths: &[u8]) -> usize {
        let bits = self.counts[..SYMBOLS]
            .iter()
            .zip(lengths)
            .map(|(&count, &length)| count * u32::from(length));
        bits.sum::<u32>() as usize
    }

    /// Makes the lengths of the best code whose codes have at most `limit` bits.
    ///
    /// Some decoders refuse a code with less than two symbols, so there are two at least.
    pub(super) fn make_lengths(&mut self, limit: usize) {
        self.collect();
        self.sort();
        let mut per_length = self.tree.depths(self.used_len);
        shorten(&mut per_length, limit);
        self.lengths[..SYMBOLS].fill(0);
        let mut rarest_last = self.tree.sorted[..self.used_len].iter().rev();
        for (length, &count) in per_length.iter().enumerate() {
            for key in rarest_last.by_ref().take(count as usize) {
                self.lengths[*key as usize & Self::MASK] = length as u8;
            }
        }
    }

    /// Collects the symbols that occur, and if they are less than two, others that do not.
    fn collect(&mut self) {
        const { assert!(SYMBOLS < N && N <= 1 << SYMBOL_BITS && N.is_power_of_two()) };
        let mut len = 0;
        for (group, counts) in self.counts[..SYMBOLS].chunks(GROUP).enumerate() {
            // Of most messages, half of the groups are empty.
            if counts.iter().fold(0, |all, count| all | count) == 0 {
                continue;
            }
            for (place, &count) in counts.iter().enumerate() {
                // Written in any case, rather than with a branch that nobody can foretell.
                self.used[len & Self::MASK] = (group * GROUP + place) as u16;
                len += usize::from(count > 0);
            }
        }
        if len < 2 {
            for symbol in 0..2 {
                if len < 2 && !self.used[..len].contains(&symbol) {
                    self.used[len] = symbol;
                    len += 1;
                }
            }
            self.used[..len].sort_unstable();
        }
        self.used_len = len;
    }

    /// Puts the symbols that have a code into the tree: by how often they occur, and then by symbol.
    fn sort(&mut self) {
        let keys = self.used[..self.used_len].iter().map(|&symbol| {
            let count = self.counts[usize::from(symbol) & Self::MASK];
            (place(count), count << SYMBOL_BITS | u32::from(symbol))
        });
        let mut starts = [0; PLACES + 1];
        for (place, _) in keys.clone() {
            starts[place + 1] += 1;
        }
        for at in 1..=PLACES {
            starts[at] += starts[at - 1];
        }
        let often = starts[PLACES - 1];
        let sorted = &mut self.tree.sorted;
        for (place, key) in keys {
            let at: &mut usize = &mut starts[place];
            sorted[*at & Self::MASK] = key;
            *at += 1;
        }
        sorted[often..self.used_len].sort_unstable();
    }

    /// Makes the codes that follow from the lengths (RFC 1951 §3.2.2). `extra` says how many bits follow a symbol's code.
    pub(super) fn make_words(&mut self, extra: impl Fn(usize) -> u32) {
        let mut per_length = [0; MAX_LENGTH + 1];
        let used = &self.used[..self.used_len];
        for &symbol in used {
            per_length[usize::from(self.lengths[usize::from(symbol)]) & MAX_LENGTH] += 1;
        }
        let (mut next, mut code) = ([0; MAX_LENGTH + 1], 0);
        for length in 1..=MAX_LENGTH {
            next[length] = code;
            code = (code + per_length[length]) << 1;
        }
        for &symbol in used {
            let symbol = usize::from(symbol);
            let length = self.lengths[symbol];
            let code = &mut next[usize::from(length) & MAX_LENGTH];
            self.words[symbol] = word(*code, length.into(), extra(symbol));
            *code = code.wrapping_add(1);
        }
    }
}

/// How many symbols are asked at once whether any of them occurs.
const GROUP: usize = 16;

/// How many bits of a key tell the symbol.
const SYMBOL_BITS: u32 = 9;

/// How many places there are for symbols that are sorted by counting.
const PLACES: usize = 16;

/// Where a symbol goes that occurs so often. Those of the last place, which are few, are sorted by comparing.
fn place(count: u32) -> usize {
    (count as usize).min(PLACES - 1)
}

/// How many bits a code can have before it is shortened: with that many, the rarest of its symbols occurs once among more
/// than there can be in a block.
const MAX_DEPTH: usize = 32;

/// The tree that a code is made of. Its memory serves one code after the other.
struct Tree<const N: usize> {
    /// How often the symbols occur, above [`SYMBOL_BITS`] that tell them, the rarest first.
    sorted: [u32; N],
    /// How often what is below each inner node occurs, later its depth. Nodes come after those below them.
    nodes: [u32; N],
    /// The node above each inner node.
    parents: [u16; N],
}

impl<const N: usize> Tree<N> {
    const MASK: usize = N - 1;

    const fn new() -> Self {
        Self {
            sorted: [0; N],
            nodes: [0; N],
            parents: [0; N],
        }
    }

    /// How many codes of each length the best code of the first `len` leaves has, which are two at least.
    fn depths(&mut self, len: usize) -> [u32; MAX_DEPTH] {
        // What is not there is never the rarest.
        self.sorted[len] = u32::MAX;
        self.nodes[..len].fill(u32::MAX);
        // Huffman's algorithm: the two rarest become one node. As leaves are sorted and so are nodes, the rarest is the
        // first of the ones or the first of the others. Which one nobody can foretell, so there is no branch.
        let (mut leaf, mut node) = (0, 0);
        for next in 0..len - 1 {
            let mut sum = 0;
            for _ in 0..2 {
                let of_leaf = self.sorted[leaf & Self::MASK] >> SYMBOL_BITS;
                let of_node = self.nodes[node & Self::MASK];
                let is_node = of_node < of_leaf;
                sum += of_node.min(of_leaf);
                // If it is a leaf, this is overwritten when the node's turn comes.
                self.parents[node & Self::MASK] = next as u16;
                node += usize::from(is_node);
                leaf += usize::from(!is_node);
            }
            self.nodes[next & Self::MASK] = sum;
        }
        let mut inner = [0; MAX_DEPTH];
        let root = len - 2;
        self.nodes[root] = 0;
        inner[0] = 1;
        for node in (0..root).rev() {
            let parent = usize::from(self.parents[node]);
            let depth = self.nodes[parent & Self::MASK] + 1;
            self.nodes[node] = depth;
            inner[depth as usize % MAX_DEPTH] += 1;
        }
        // What is not an inner node at its depth is a leaf.
        let mut per_length = [0; MAX_DEPTH];
        for depth in 1..MAX_DEPTH {
            per_length[depth] = 2 * inner[depth - 1] - inner[depth];
        }
        per_length
    }
}

/// Changes how many codes there are of each length so that none is longer than `limit`.
fn shorten(per_length: &mut [u32; MAX_DEPTH], limit: usize) {
    let (within, beyond) = per_length.split_at_mut(limit + 1);
    let too_long: u32 = beyond.iter().sum();
    if too_long == 0 {
        return;
    }
    beyond.fill(0);
    within[limit] += too_long;
    // What the codes take of all there are of the greatest length, which may be too much now (Kraft's inequality).
    let taken = within
        .iter()
        .enumerate()
        .map(|(length, &count)| count << (limit - length));
    let mut excess = taken.sum::<u32>() - (1 << limit);
    while excess > 0 {
        // A code of the greatest length goes where a shorter one was, which becomes longer by a bit to make room.
        let Some(shorter) = (1..limit).rev().find(|&length| within[length] > 0) else {
            return;
        };
        within[shorter] -= 1;
        within[shorter + 1] += 2;
        within[limit] -= 1;
        excess -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Small = Code<30, 32>;

    fn code_of(counts: &[u32], limit: usize) -> Small {
        let mut code = Small::new();
        code.counts[..counts.len()].copy_from_slice(counts);
        code.make_lengths(limit);
        code
    }

    /// How much of all codes of `limit` bits those of a code take.
    fn taken(code: &Small, limit: usize) -> u32 {
        let lengths = code.lengths.iter().filter(|&&length| length > 0);
        lengths.map(|&length| 1 << (limit - usize::from(length))).sum()
    }

    #[test]
    fn a_code_that_would_be_too_long_is_shortened_to_a_whole_one() {
        // Each symbol as rare as the two before it together: the best code has one of every length.
        let counts: Vec<u32> = std::iter::successors(Some((1, 1)), |&(a, b)| Some((b, a + b)))
            .map(|(count, _)| count)
            .take(22)
            .collect();
        for limit in [5, 7, 15] {
            let code = code_of(&counts, limit);
            let lengths = &code.lengths[..counts.len()];
            assert!(lengths.is_sorted_by(|rarer, other| rarer >= other), "{lengths:?}");
            assert_eq!(usize::from(lengths[0]), limit);
            assert_eq!(taken(&code, limit), 1 << limit);
        }
    }

    #[test]
    fn there_are_two_symbols_at_least() {
        for counts in [&[][..], &[3], &[0, 3], &[0, 0, 0, 3]] {
            let code = code_of(counts, MAX_LENGTH);
            assert_eq!(
                code.lengths.iter().filter(|&&length| length == 1).count(),
                2,
                "{counts:?}"
            );
            assert_eq!(taken(&code, MAX_LENGTH), 1 << MAX_LENGTH);
            // What does not occur takes nothing.
            assert_eq!(code.cost(&code.lengths), counts.iter().sum::<u32>() as usize);
        }
    }

    proptest! {
        #[test]
        fn codes_are_whole_and_within_a_bit_of_the_entropy(
            counts in prop::collection::vec(prop_oneof![Just(0), 1..50_u32, 1..3000_u32], 2..30),
        ) {
            prop_assume!(counts.iter().filter(|&&count| count > 0).count() >= 2);
            let code = code_of(&counts, MAX_LENGTH);
            prop_assert_eq!(taken(&code, MAX_LENGTH), 1 << MAX_LENGTH);
            let total = f64::from(counts.iter().sum::<u32>());
            let used = counts.iter().filter(|&&count| count > 0).map(|&count| f64::from(count));
            let entropy: f64 = used.map(|count| count * (total / count).log2()).sum();
            let cost = code.cost(&code.lengths) as f64;
            prop_assert!(entropy <= cost + 0.001 && cost <= entropy + total, "{} {}", entropy, cost);
        }
    }
}
