// A first-in, first-out list with cheap removal at the front.
//
// The log and its filtered view push at the end and drop at the front thousands of times a second;
// Array.shift would move every element each time.

const COMPACT_AT = 4096;

export class BoundedList {
  #items = [];
  #head = 0;
  #limit;

  /** @param {number} limit most items kept; Infinity for none */
  constructor(limit = Infinity) {
    this.#limit = limit;
  }

  get length() {
    return this.#items.length - this.#head;
  }

  get limit() {
    return this.#limit;
  }

  at(index) {
    return index < 0 ? undefined : this.#items[this.#head + index];
  }

  first() {
    return this.at(0);
  }

  last() {
    return this.length > 0 ? this.#items[this.#items.length - 1] : undefined;
  }

  /** Adds an item; returns the one that had to make room, if any. */
  push(item) {
    this.#items.push(item);
    return this.length > this.#limit ? this.dropFirst() : undefined;
  }

  dropFirst() {
    if (this.length === 0) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head] = undefined;
    this.#head += 1;
    if (this.#head >= COMPACT_AT && this.#head * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  clear() {
    this.#items = [];
    this.#head = 0;
  }

  *[Symbol.iterator]() {
    for (let index = this.#head; index < this.#items.length; index += 1) yield this.#items[index];
  }
}
