import assert from 'node:assert/strict';
import test from 'node:test';
import { formatHex, formatHexdump, parseHex } from '../console/hexdump.js';

test('parse_hex_reads_every_common_notation', () => {
  const hello = [0x48, 0x65, 0x6c];
  for (const text of [
    '48 65 6c',
    '48656c',
    '48656C',
    '0x48, 0x65, 0x6c',
    '\\x48\\x65\\x6c',
    '48:65:6c',
    '48-65_6c',
    ' 48\n65\t6c ',
    '0x48656c',
  ]) {
    assert.deepEqual([...parseHex(text).bytes], hello, text);
  }
});

test('parse_hex_of_nothing_is_no_bytes', () => {
  assert.equal(parseHex('').bytes.length, 0);
  assert.equal(parseHex(' \n').bytes.length, 0);
});

test('parse_hex_tells_where_a_wrong_character_stands', () => {
  const { error, position, line, column, found } = parseHex('48 65\n6c zz');
  assert.deepEqual(
    { error, position, line, column, found },
    { error: 'hex.error.character', position: 9, line: 2, column: 4, found: 'z' },
  );
});

test('parse_hex_refuses_half_a_byte', () => {
  assert.equal(parseHex('48 6').error, 'hex.error.half');
  assert.equal(parseHex('4 8').error, 'hex.error.half');
  assert.equal(parseHex('0x').error, 'hex.error.character');
});

test('what_format_hex_writes_parse_hex_reads', () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
  assert.deepEqual(parseHex(formatHex(bytes)).bytes, bytes);
});

test('hexdump_has_offsets_groups_and_characters', () => {
  const bytes = new TextEncoder().encode('Hello, WebSocket\n!');
  assert.equal(
    formatHexdump(bytes),
    [
      '00000000  48 65 6c 6c 6f 2c 20 57  65 62 53 6f 63 6b 65 74  |Hello, WebSocket|',
      '00000010  0a 21                                             |.!|',
    ].join('\n'),
  );
});

test('hexdump_counts_from_the_given_start', () => {
  assert.equal(
    formatHexdump(Uint8Array.of(0x7f, 0x80), { width: 8, start: 0x4000 }),
    '00004000  7f 80                    |..|',
  );
  assert.equal(formatHexdump(new Uint8Array(0)), '');
});
