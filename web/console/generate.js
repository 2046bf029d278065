// Messages made to a size: a pattern that shows shifts and losses, or random content that does not compress.

/** Beyond this a browser tab runs into trouble before a server does. */
export const MAX_GENERATED_BYTES = 128 * 1024 * 1024;

/** What a text pattern repeats: sixteen characters, so that an offset can be read off. */
export const PATTERN = '0123456789abcdef';
/** Sixty-four characters: six bits of a random byte choose one, all equally likely. */
export const RANDOM_ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
/** getRandomValues fills at most this many bytes a call. */
const RANDOM_CHUNK = 65_536;

/**
 * @param {number} size bytes
 * @param {{type: 'text' | 'binary', fill: 'pattern' | 'random'}} form
 * @returns {string | Uint8Array} text is ASCII, so that one character is one byte
 */
export function generateMessage(size, { type, fill }) {
  if (type === 'text' && fill === 'pattern') {
    return PATTERN.repeat(Math.ceil(size / PATTERN.length)).slice(0, size);
  }
  const bytes = new Uint8Array(size);
  if (fill === 'pattern') {
    // A typed array wraps at 256 by itself: 00 01 … ff 00 01 …
    for (let index = 0; index < size; index += 1) bytes[index] = index;
    return bytes;
  }
  for (let start = 0; start < size; start += RANDOM_CHUNK) {
    crypto.getRandomValues(bytes.subarray(start, start + RANDOM_CHUNK));
  }
  if (type === 'binary') return bytes;
  for (let index = 0; index < size; index += 1) bytes[index] = RANDOM_ALPHABET.charCodeAt(bytes[index] & 63);
  return new TextDecoder().decode(bytes);
}
