//! DEFLATE (RFC 1951) by hand: a writer for streams that no compressor makes, and a reader that tells how
//! far a stream refers back.

/// Base length and number of extra bits of the length codes 257 to 285 (RFC 1951 §3.2.5).
#[rustfmt::skip]
const LENGTHS: [(u16, u8); 29] = [
    (3, 0), (4, 0), (5, 0), (6, 0), (7, 0), (8, 0), (9, 0), (10, 0), (11, 1), (13, 1), (15, 1),
    (17, 1), (19, 2), (23, 2), (27, 2), (31, 2), (35, 3), (43, 3), (51, 3), (59, 3), (67, 4),
    (83, 4), (99, 4), (115, 4), (131, 5), (163, 5), (195, 5), (227, 5), (258, 0),
];

/// Base distance and number of extra bits of the distance codes.
#[rustfmt::skip]
const DISTANCES: [(u16, u8); 30] = [
    (1, 0), (2, 0), (3, 0), (4, 0), (5, 1), (7, 1), (9, 2), (13, 2), (17, 3), (25, 3), (33, 4),
    (49, 4), (65, 5), (97, 5), (129, 6), (193, 6), (257, 7), (385, 7), (513, 8), (769, 8),
    (1025, 9), (1537, 9), (2049, 10), (3073, 10), (4097, 11), (6145, 11), (8193, 12), (12289, 12),
    (16385, 13), (24577, 13),
];

/// Writes a stream block by block.
#[derive(Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
    used: u32,
}

impl Writer {
    /// The stream so far, padded with zero bits to a whole byte.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn stored(mut self, last: bool, data: &[u8]) -> Self {
        self.bits(last.into(), 1);
        self.bits(0, 2);
        self.used = 0;
        let length = u16::try_from(data.len()).unwrap();
        self.bytes.extend(length.to_le_bytes());
        self.bytes.extend((!length).to_le_bytes());
        self.bytes.extend(data);
        self
    }

    /// A block with the fixed codes: the literals, then copies of (length, distance).
    pub(crate) fn fixed(mut self, last: bool, literals: &[u8], copies: &[(u16, u16)]) -> Self {
        self.bits(last.into(), 1);
        self.bits(1, 2);
        for &literal in literals {
            self.symbol(literal.into());
        }
        for &(length, distance) in copies {
            let code = LENGTHS.iter().rposition(|&(base, _)| base <= length).unwrap();
            self.symbol(257 + code as u32);
            self.bits((length - LENGTHS[code].0).into(), LENGTHS[code].1.into());
            let code = DISTANCES.iter().rposition(|&(base, _)| base <= distance).unwrap();
            self.code(code as u32, 5);
            self.bits((distance - DISTANCES[code].0).into(), DISTANCES[code].1.into());
        }
        self.symbol(256);
        self
    }

    /// The beginning of a block that describes its codes by the length of each symbol's, written one by one in four bits.
    pub(crate) fn described(self, literals: &[u8], distances: &[u8]) -> Self {
        let counts = [literals.len() as u32 - 257, distances.len() as u32 - 1];
        let mut writer = self.raw(&[(0b100, 3), (counts[0], 5), (counts[1], 5), (15, 4)]);
        for symbol in [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15] {
            writer.bits(if symbol < 16 { 4 } else { 0 }, 3);
        }
        for &length in literals.iter().chain(distances) {
            writer.code(length.into(), 4);
        }
        writer
    }

    /// A symbol of a code that is described by these lengths.
    pub(crate) fn coded(mut self, lengths: &[u8], symbol: usize) -> Self {
        let mut code = 0;
        // RFC 1951 §3.2.2: shorter codes come first, and of the same length those of lower symbols.
        for (other, &of_other) in lengths.iter().enumerate() {
            if of_other > 0 && (of_other, other) < (lengths[symbol], symbol) {
                code += 1_u32 << (15 - of_other);
            }
        }
        let length = u32::from(lengths[symbol]);
        self.code(code >> (15 - length), length);
        self
    }

    /// Numbers of some bits each.
    pub(crate) fn raw(mut self, numbers: &[(u32, u32)]) -> Self {
        for &(value, count) in numbers {
            self.bits(value, count);
        }
        self
    }

    /// A block after a final one starts at a whole byte.
    pub(crate) fn align(mut self) -> Self {
        self.used = 0;
        self
    }

    /// The header of the empty block whose body is the trailer that the receiver appends.
    pub(crate) fn flush(mut self) -> Self {
        self.bits(0, 3);
        self.align()
    }

    /// A symbol of the fixed literal and length code (RFC 1951 §3.2.6).
    fn symbol(&mut self, symbol: u32) {
        match symbol {
            0..=143 => self.code(0x30 + symbol, 8),
            144..=255 => self.code(0x190 + symbol - 144, 9),
            256..=279 => self.code(symbol - 256, 7),
            _ => self.code(0xc0 + symbol - 280, 8),
        }
    }

    /// Huffman codes go out with their most significant bit first.
    fn code(&mut self, code: u32, length: u32) {
        for bit in (0..length).rev() {
            self.bits(code >> bit & 1, 1);
        }
    }

    fn bits(&mut self, value: u32, count: u32) {
        for bit in 0..count {
            if self.used == 0 {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().unwrap() |= ((value >> bit & 1) as u8) << self.used;
            self.used = (self.used + 1) % 8;
        }
    }
}

/// Reads a whole stream of well-formed blocks and tells the greatest distance in it, 0 if there is none.
pub(crate) fn greatest_distance(stream: &[u8]) -> u16 {
    let mut reader = Reader { stream, position: 0 };
    let mut greatest = 0;
    while reader.position + 8 <= stream.len() * 8 {
        assert_eq!(reader.bits(1), 0, "a compressor should not set BFINAL");
        match reader.bits(2) {
            0 => reader.skip_stored(),
            1 => {
                let literals: Vec<u8> = (0..288)
                    .map(|symbol| match symbol {
                        0..=143 => 8,
                        144..=255 => 9,
                        256..=279 => 7,
                        _ => 8,
                    })
                    .collect();
                greatest = greatest.max(reader.block(&Code::new(&literals), &Code::new(&[5; 30])));
            }
            2 => {
                let (literals, distances) = reader.codes();
                greatest = greatest.max(reader.block(&literals, &distances));
            }
            _ => panic!("reserved block type"),
        }
    }
    greatest
}

/// A canonical Huffman code: its symbols in the order of their codes, and how many codes have each length.
struct Code {
    symbols: Vec<usize>,
    counts: [usize; 16],
}

impl Code {
    fn new(lengths: &[u8]) -> Self {
        let mut code = Self {
            symbols: Vec::new(),
            counts: [0; 16],
        };
        for length in 1..=15 {
            let symbols = (0..lengths.len()).filter(|&symbol| usize::from(lengths[symbol]) == length);
            code.symbols.extend(symbols);
            code.counts[length] = code.symbols.len() - code.counts[1..length].iter().sum::<usize>();
        }
        code
    }
}

struct Reader<'a> {
    stream: &'a [u8],
    position: usize,
}

impl Reader<'_> {
    fn bits(&mut self, count: u8) -> usize {
        let mut value = 0;
        for bit in 0..count {
            value |= usize::from(self.stream[self.position / 8] >> (self.position % 8) & 1) << bit;
            self.position += 1;
        }
        value
    }

    fn symbol(&mut self, code: &Code) -> usize {
        // The first code of the current length, and where its symbol is.
        let (mut first, mut index) = (0, 0);
        let mut bits = 0;
        for count in &code.counts[1..] {
            bits |= self.bits(1);
            if bits < first + count {
                return code.symbols[index + bits - first];
            }
            index += count;
            first = (first + count) << 1;
            bits <<= 1;
        }
        panic!("no symbol has this code")
    }

    fn skip_stored(&mut self) {
        self.position = self.position.next_multiple_of(8);
        let length = self.bits(16);
        assert_eq!(self.bits(16), length ^ 0xffff);
        self.position += length * 8;
    }

    /// The codes of a dynamic block (RFC 1951 §3.2.7).
    fn codes(&mut self) -> (Code, Code) {
        const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
        let (literals, distances) = (self.bits(5) + 257, self.bits(5) + 1);
        let count = self.bits(4) + 4;
        let mut code_lengths = [0; 19];
        for &symbol in &ORDER[..count] {
            code_lengths[symbol] = self.bits(3) as u8;
        }
        let code = Code::new(&code_lengths);
        let mut lengths = Vec::new();
        while lengths.len() < literals + distances {
            let (length, repeat) = match self.symbol(&code) {
                16 => (*lengths.last().unwrap(), 3 + self.bits(2)),
                17 => (0, 3 + self.bits(3)),
                18 => (0, 11 + self.bits(7)),
                length => (length as u8, 1),
            };
            lengths.extend(std::iter::repeat_n(length, repeat));
        }
        (Code::new(&lengths[..literals]), Code::new(&lengths[literals..]))
    }

    fn block(&mut self, literals: &Code, distances: &Code) -> u16 {
        let mut greatest = 0;
        loop {
            match self.symbol(literals) {
                0..=255 => {}
                256 => return greatest,
                symbol => {
                    self.bits(LENGTHS[symbol - 257].1);
                    let (base, extra) = DISTANCES[self.symbol(distances)];
                    greatest = greatest.max(base + self.bits(extra) as u16);
                }
            }
        }
    }
}
