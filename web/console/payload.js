// From what stands in the composer to what goes through the socket.

import { formatBytes, parseSize, utf8Length } from './format.js';
import { MAX_GENERATED_BYTES, generateMessage } from './generate.js';
import { parseHex } from './hexdump.js';
import { checkJson } from './json-check.js';

/** In a repeated message: `{{n}}` counts the repetitions from 1, `{{time}}` is the time of sending. */
export const PLACEHOLDER = /\{\{(n|time)\}\}/;

/** The composer's forms, in the order of its tabs. */
export const KINDS = ['text', 'json', 'hex', 'file', 'generate'];

/**
 * Checks the composer without building a large message.
 *
 * @returns {{size: number, note?: object} | {error: string, values: object, position?: number}} bytes that would be sent, or
 *   the key and values of the message that says why not
 */
export function checkComposer(composer) {
  switch (composer.kind) {
    case 'text':
      return { size: utf8Length(composer.text) };
    case 'json': {
      const result = checkJson(composer.json);
      if (!result.ok) return { error: result.error, values: result, position: result.position };
      return { size: utf8Length(composer.json), note: describeJson(result.value) };
    }
    case 'hex': {
      const result = parseHex(composer.hex);
      if (result.error) return { error: result.error, values: result, position: result.position };
      return { size: result.bytes.length };
    }
    case 'file':
      return composer.file ? { size: composer.file.size } : { error: 'file.error.none', values: {} };
    default: {
      const size = parseSize(composer.size);
      if (size === undefined) return { error: 'generate.error.size', values: {} };
      if (size > MAX_GENERATED_BYTES) {
        return { error: 'generate.error.large', values: { limit: formatBytes(MAX_GENERATED_BYTES) } };
      }
      return { size };
    }
  }
}

/**
 * Builds the message of a composer that `checkComposer` passed.
 *
 * @param {object} composer
 * @param {{n: number, time: string} | undefined} values what the placeholders of a repeated message stand for
 * @returns {{data: string | Uint8Array | Blob, source: object}} `source` is what the code panel writes down
 */
export function buildMessage(composer, values) {
  const { kind } = composer;
  if (kind === 'text' || kind === 'json') {
    const data = values === undefined ? composer[kind] : fillIn(composer[kind], values);
    return { data, source: { kind, text: data } };
  }
  if (kind === 'hex') {
    const { bytes } = parseHex(composer.hex);
    return { data: bytes, source: { kind, bytes } };
  }
  if (kind === 'file') return { data: composer.file, source: { kind, name: composer.file.name } };
  const size = parseSize(composer.size);
  const { type, fill } = composer;
  return { data: generateMessage(size, { type, fill }), source: { kind, size, type, fill } };
}

function fillIn(text, values) {
  return text.replace(new RegExp(PLACEHOLDER, 'g'), (_, name) => String(values[name]));
}

function describeJson(value) {
  if (Array.isArray(value)) return { key: 'json.note.array', count: value.length };
  if (value !== null && typeof value === 'object') return { key: 'json.note.object', count: Object.keys(value).length };
  return { key: 'json.note.scalar', count: 1 };
}
