// The log as a file: JSON for programs, text for people.

import { formatHexdump } from './hexdump.js';
import { entryWords } from './entry-words.js';

/** @returns {string[]} pieces of a JSON document; binary payloads in Base64 */
export function logAsJson(entries, savedAt) {
  const pieces = [`{\n"savedAt": ${JSON.stringify(savedAt.toISOString())},\n"entries": [`];
  let separator = '\n';
  for (const entry of entries) {
    pieces.push(separator, JSON.stringify(record(entry)));
    separator = ',\n';
  }
  pieces.push('\n]}\n');
  return pieces;
}

function record({ time, direction, kind, size, text, bytes, cut, forgotten, rtt, facts }) {
  const message = kind === 'text' || kind === 'binary';
  const { key, ...details } = facts ?? {};
  return {
    time: new Date(time).toISOString(),
    direction,
    kind,
    ...(message ? { size } : { event: key?.replace(/^event\./, ''), ...details }),
    ...(rtt === undefined ? {} : { rttMilliseconds: Number(rtt.toFixed(3)) }),
    ...(text === undefined ? {} : { text }),
    ...(bytes === undefined ? {} : { base64: base64(bytes) }),
    ...(cut || forgotten ? { payload: cut ? 'cut' : 'forgotten' } : {}),
  };
}

function base64(bytes) {
  let binary = '';
  // String.fromCharCode takes its bytes as arguments, and engines limit how many.
  for (let start = 0; start < bytes.length; start += 8192) {
    binary += String.fromCharCode(...bytes.subarray(start, start + 8192));
  }
  return btoa(binary);
}

const ARROWS = { sent: '>>', received: '<<', none: '--' };

/** @returns {string[]} pieces of a text: one headline per entry, payloads indented below */
export function logAsText(entries, words) {
  const pieces = [];
  for (const entry of entries) {
    const { time, direction, kind, size, rtt, text, bytes } = entry;
    const facts = kind === 'text' || kind === 'binary' ? `${kind} ${size} B` : entryWords(entry, words);
    const echo = rtt === undefined ? '' : ` rtt ${rtt.toFixed(2)} ms`;
    pieces.push(`${new Date(time).toISOString()} ${ARROWS[direction]} ${facts}${echo}\n`);
    const payload = text ?? (bytes && formatHexdump(bytes));
    if (payload) pieces.push(payload.replace(/^/gm, '    '), '\n');
  }
  return pieces;
}
