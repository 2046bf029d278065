// The record of what happened: a bounded list of entries, and the part of it that passes the filter.

import { BoundedList } from './bounded-list.js';

/** Of one message so much is kept to look at; the rest is counted, not stored. */
export const KEPT_PER_ENTRY = 1024 * 1024;
/** All kept payloads together; beyond it the oldest entries keep their line but lose their payload. */
export const KEPT_IN_ALL = 64 * 1024 * 1024;

export const LIMITS = [1_000, 10_000, 100_000];

/**
 * One line of the log.
 *
 * @typedef {object} Entry
 * @property {number} id rises by one from entry to entry
 * @property {number} time milliseconds since 1970
 * @property {'sent' | 'received' | 'none'} direction
 * @property {'text' | 'binary' | 'open' | 'close' | 'error' | 'info'} kind
 * @property {number} size payload bytes of a message
 * @property {string} [text] payload of a text message, as far as it is kept
 * @property {Uint8Array} [bytes] payload of a binary message, as far as it is kept
 * @property {boolean} [cut] the payload was longer than what is kept
 * @property {boolean} [forgotten] the payload made room for younger ones
 * @property {string} [form] how the browser handed a binary message over: Blob, ArrayBuffer, or the name of a file
 * @property {number} [rtt] milliseconds from sending to its echo
 * @property {object} [facts] what an event tells
 * @property {number} version rises when something about the entry is learned later
 */

export class MessageLog {
  #entries;
  #nextId = 1;
  #kept = 0;
  #forgetFrom = 1;
  dropped = 0;

  constructor(limit = 10_000) {
    this.#entries = new BoundedList(limit);
  }

  get length() {
    return this.#entries.length;
  }

  get limit() {
    return this.#entries.limit;
  }

  get firstId() {
    return this.#nextId - this.#entries.length;
  }

  get nextId() {
    return this.#nextId;
  }

  /** Keeps the newest `limit` entries from now on. */
  setLimit(limit) {
    const entries = new BoundedList(limit);
    const surplus = Math.max(0, this.length - limit);
    let index = 0;
    for (const entry of this.#entries) {
      if (index < surplus) this.#release(entry);
      else entries.push(entry);
      index += 1;
    }
    this.dropped += surplus;
    this.#entries = entries;
  }

  /** @returns {Entry} the entry as stored */
  add(facts) {
    const entry = { size: 0, direction: 'none', ...facts, id: this.#nextId, version: 0 };
    this.#nextId += 1;
    const droppedEntry = this.#entries.push(entry);
    if (droppedEntry) {
      this.dropped += 1;
      this.#release(droppedEntry);
    }
    this.#keep(entry);
    return entry;
  }

  /** Adds what was learned after the entry was made: a Blob's bytes, the round-trip time. */
  amend(entry, facts) {
    if (entry.id < this.firstId) return;
    this.#release(entry);
    Object.assign(entry, facts);
    entry.version += 1;
    this.#keep(entry);
  }

  byId(id) {
    return this.#entries.at(id - this.firstId);
  }

  clear() {
    this.#entries.clear();
    this.#kept = 0;
    this.#forgetFrom = this.#nextId;
    this.dropped = 0;
  }

  [Symbol.iterator]() {
    return this.#entries[Symbol.iterator]();
  }

  #keep(entry) {
    this.#kept += weight(entry);
    while (this.#kept > KEPT_IN_ALL) {
      this.#forgetFrom = Math.max(this.#forgetFrom, this.firstId);
      const oldest = this.byId(this.#forgetFrom);
      if (oldest === undefined || oldest === entry) break;
      this.#forgetFrom += 1;
      if (weight(oldest) === 0) continue;
      this.#release(oldest);
      oldest.text = undefined;
      oldest.bytes = undefined;
      oldest.forgotten = true;
      oldest.version += 1;
    }
  }

  #release(entry) {
    this.#kept -= weight(entry);
  }
}

function weight(entry) {
  return (entry.text?.length ?? 0) + (entry.bytes?.length ?? 0);
}

/** The payload fields of an entry for a text message. */
export function keepText(text) {
  if (text.length <= KEPT_PER_ENTRY) return { text };
  // A slice of a string keeps the whole string alive in the engines; a trip through bytes makes a real copy.
  const copy = new TextDecoder().decode(new TextEncoder().encode(text.slice(0, KEPT_PER_ENTRY)));
  return { text: copy, cut: true };
}

/** The payload fields of an entry for a binary message; always a copy. */
export function keepBytes(bytes) {
  return { bytes: bytes.slice(0, KEPT_PER_ENTRY), ...(bytes.length > KEPT_PER_ENTRY ? { cut: true } : {}) };
}

/** The entries of a log that pass a filter, kept up to date as the log grows and drops. */
export class FilteredLog {
  #log;
  #shown = new BoundedList();
  #seenId = 0;
  #filter = { text: '', direction: 'all', kind: 'all' };
  #heldAt = undefined;
  #describe;

  /**
   * @param {MessageLog} log
   * @param {(entry: Entry) => string} describe the words of an entry that has no payload, for the text filter
   */
  constructor(log, describe) {
    this.#log = log;
    this.#describe = describe;
  }

  get length() {
    return this.#shown.length;
  }

  at(index) {
    return this.#shown.at(index);
  }

  /** Entries that came after the view was held. */
  get waiting() {
    return this.#heldAt === undefined ? 0 : this.#log.nextId - Math.max(this.#heldAt, this.#log.firstId);
  }

  setFilter(filter) {
    this.#filter = { ...filter, text: filter.text.toLowerCase() };
    this.rebuild();
  }

  /** Shows nothing newer until `release`; the log goes on recording. */
  hold() {
    this.#heldAt = this.#log.nextId;
  }

  release() {
    this.#heldAt = undefined;
  }

  /** Filters everything again. */
  rebuild() {
    this.#shown.clear();
    this.#seenId = this.#log.firstId - 1;
    this.update();
  }

  /**
   * Takes in what the log gained and lost.
   *
   * @returns {number} how many entries went away at the front
   */
  update() {
    let gone = 0;
    while (this.#shown.length > 0 && this.#shown.first().id < this.#log.firstId) {
      this.#shown.dropFirst();
      gone += 1;
    }
    const end = this.#heldAt ?? this.#log.nextId;
    for (let id = Math.max(this.#seenId + 1, this.#log.firstId); id < end; id += 1) {
      const entry = this.#log.byId(id);
      if (this.#passes(entry)) this.#shown.push(entry);
    }
    this.#seenId = Math.max(this.#seenId, end - 1);
    return gone;
  }

  /** Position of an entry among those shown, or -1. */
  indexOf(id) {
    let low = 0;
    let high = this.#shown.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const found = this.#shown.at(middle).id;
      if (found === id) return middle;
      if (found < id) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }

  [Symbol.iterator]() {
    return this.#shown[Symbol.iterator]();
  }

  #passes(entry) {
    const { text, direction, kind } = this.#filter;
    if (direction !== 'all' && entry.direction !== direction) return false;
    if (kind === 'event' && (entry.kind === 'text' || entry.kind === 'binary')) return false;
    if (kind !== 'all' && kind !== 'event' && entry.kind !== kind) return false;
    return text === '' || this.#words(entry).toLowerCase().includes(text);
  }

  #words(entry) {
    return entry.text ?? this.#describe(entry);
  }
}
