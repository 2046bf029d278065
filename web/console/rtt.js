// Round-trip times: finds the sent message that a received one repeats.
//
// The protocol has no message numbers, so an echo is recognised by its content: same kind, same bytes, the oldest first.
// Large messages are recognised by their length, beginning and end, so that nothing large is kept or read twice.

/** Messages still waiting for their echo; a server that never echoes must not make the page grow. */
const MAX_WAITING = 4096;
/** What comes back later than this is not called an echo any more. */
const MAX_AGE_MS = 60_000;
const WHOLE_TEXT = 4096;
/** How many bytes at either end of a binary message go into its key. */
export const KEY_EDGE_BYTES = 32 * 1024;

export class EchoMatcher {
  #waiting = new Map();
  #order = [];
  #head = 0;

  /** Notes a message that goes out now. */
  sent(key, time) {
    const times = this.#waiting.get(key);
    if (times) times.push(time);
    else this.#waiting.set(key, [time]);
    this.#order.push({ key, time });
    if (this.#order.length - this.#head > MAX_WAITING) this.#forgetOldest();
  }

  /** Milliseconds since the oldest equal message was sent, or undefined if none was. */
  received(key, time) {
    while (this.#head < this.#order.length && time - this.#order[this.#head].time > MAX_AGE_MS) this.#forgetOldest();
    const sent = this.#take(key);
    return sent === undefined ? undefined : Math.max(0, time - sent);
  }

  clear() {
    this.#waiting.clear();
    this.#order = [];
    this.#head = 0;
  }

  get waiting() {
    let count = 0;
    for (const times of this.#waiting.values()) count += times.length;
    return count;
  }

  #take(key) {
    const times = this.#waiting.get(key);
    if (times === undefined) return undefined;
    const time = times.shift();
    if (times.length === 0) this.#waiting.delete(key);
    return time;
  }

  #forgetOldest() {
    const { key, time } = this.#order[this.#head];
    // Its echo may have come already: then the first one waiting under this key is a younger message.
    if (this.#waiting.get(key)?.[0] === time) this.#take(key);
    this.#head += 1;
    if (this.#head >= MAX_WAITING) {
      this.#order = this.#order.slice(this.#head);
      this.#head = 0;
    }
  }
}

export function textKey(text) {
  if (text.length <= WHOLE_TEXT) return `t:${text}`;
  const half = WHOLE_TEXT / 2;
  return `t${text.length}:${text.slice(0, half)}${text.slice(-half)}`;
}

/**
 * @param {number} size bytes of the whole message
 * @param {Uint8Array} head its first bytes, KEY_EDGE_BYTES at most (fewer only if it is shorter)
 * @param {Uint8Array} tail its last bytes, likewise
 */
export function binaryKey(size, head, tail) {
  return `b${size}:${hash(head)}:${hash(tail)}`;
}

/** The key of bytes that are at hand. */
export function bytesKey(bytes) {
  return binaryKey(bytes.length, bytes.subarray(0, KEY_EDGE_BYTES), bytes.subarray(-KEY_EDGE_BYTES));
}

/** FNV-1a, 32 bits: enough to tell one message from the next, not meant against an adversary. */
function hash(bytes) {
  let value = 0x811c9dc5;
  for (const byte of bytes) value = Math.imul(value ^ byte, 0x01000193);
  return (value >>> 0).toString(36);
}
