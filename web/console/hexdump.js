// Bytes as people write and read them: parsing typed hexadecimal, and the classic dump with offsets and characters.

import { lineAndColumn } from './text-position.js';

const SEPARATOR = /[\s,:;_-]/;
const DIGIT = /[0-9a-f]/i;

/**
 * Parses bytes typed as hexadecimal pairs: `48 65 6c`, `48656c`, `0x48, 0x65`, `\x48\x65`, `48:65`.
 *
 * @returns {{bytes: Uint8Array} | {error: 'hex.error.character' | 'hex.error.half', position: number, line: number, column: number, found: string}}
 */
export function parseHex(text) {
  const bytes = new Uint8Array(Math.ceil(text.length / 2));
  let length = 0;
  let position = 0;
  while (position < text.length) {
    if (SEPARATOR.test(text[position])) {
      position += 1;
      continue;
    }
    if (/^(0x|\\x)/i.test(text.slice(position, position + 2)) && DIGIT.test(text[position + 2] ?? '')) {
      position += 2;
    }
    const high = text[position];
    if (!DIGIT.test(high)) return hexError('hex.error.character', text, position);
    const low = text[position + 1];
    if (low === undefined || SEPARATOR.test(low)) return hexError('hex.error.half', text, position);
    if (!DIGIT.test(low)) return hexError('hex.error.character', text, position + 1);
    bytes[length] = parseInt(high + low, 16);
    length += 1;
    position += 2;
  }
  return { bytes: bytes.slice(0, length) };
}

function hexError(error, text, position) {
  const found = String.fromCodePoint(text.codePointAt(position));
  return { error, position, found, ...lineAndColumn(text, position) };
}

/** `48 65 6c`: the form that `parseHex` reads back. */
export function formatHex(bytes, separator = ' ') {
  return Array.from(bytes, hexPair).join(separator);
}

/**
 * The classic dump: offset, bytes in groups of eight, printable ASCII.
 *
 * @param {Uint8Array} bytes
 * @param {{width?: number, start?: number}} options bytes per line, offset of the first byte
 */
export function formatHexdump(bytes, { width = 16, start = 0 } = {}) {
  const lines = [];
  // Two digits and a space per byte, one more space between groups of eight.
  const column = width * 3 - 1 + Math.floor((width - 1) / 8);
  for (let offset = 0; offset < bytes.length; offset += width) {
    const row = bytes.subarray(offset, offset + width);
    let pairs = '';
    let characters = '';
    row.forEach((byte, index) => {
      if (index > 0) pairs += index % 8 === 0 ? '  ' : ' ';
      pairs += hexPair(byte);
      characters += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.';
    });
    const address = (start + offset).toString(16).padStart(8, '0');
    lines.push(`${address}  ${pairs.padEnd(column)}  |${characters}|`);
  }
  return lines.join('\n');
}

function hexPair(byte) {
  return byte.toString(16).padStart(2, '0');
}
