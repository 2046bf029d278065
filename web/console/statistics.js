// Counters of one console session: messages and bytes each way, round-trip times, messages per second.

/** The median is taken over this many newest round trips; minimum and maximum are over all. */
export const RTT_WINDOW = 512;

export class RoundTrips {
  count = 0;
  min = undefined;
  max = undefined;
  #recent = [];
  #next = 0;

  add(milliseconds) {
    this.count += 1;
    this.min = this.min === undefined ? milliseconds : Math.min(this.min, milliseconds);
    this.max = this.max === undefined ? milliseconds : Math.max(this.max, milliseconds);
    this.#recent[this.#next] = milliseconds;
    this.#next = (this.#next + 1) % RTT_WINDOW;
  }

  get median() {
    if (this.count === 0) return undefined;
    const sorted = [...this.#recent].sort((a, b) => a - b);
    const middle = sorted.length >> 1;
    return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }

  /** The newest `count` values, oldest first. */
  newest(count) {
    const ordered =
      this.#recent.length < RTT_WINDOW
        ? this.#recent
        : [...this.#recent.slice(this.#next), ...this.#recent.slice(0, this.#next)];
    return ordered.slice(-count);
  }
}

export class Counters {
  constructor() {
    this.reset();
  }

  reset() {
    this.sent = { messages: 0, bytes: 0, perSecond: 0 };
    this.received = { messages: 0, bytes: 0, perSecond: 0 };
    this.roundTrips = new RoundTrips();
    this.#mark = undefined;
  }

  /** @param {'sent' | 'received'} direction */
  count(direction, bytes) {
    this[direction].messages += 1;
    this[direction].bytes += bytes;
  }

  /** Works out the rates since the last call; true if they changed. Meant to be called about once a second. */
  tick(now) {
    const mark = this.#mark;
    this.#mark = { now, sent: this.sent.messages, received: this.received.messages };
    if (mark === undefined || now <= mark.now) return false;
    const seconds = (now - mark.now) / 1000;
    const sent = Math.round((this.sent.messages - mark.sent) / seconds);
    const received = Math.round((this.received.messages - mark.received) / seconds);
    const changed = sent !== this.sent.perSecond || received !== this.received.perSecond;
    this.sent.perSecond = sent;
    this.received.perSecond = received;
    return changed;
  }

  #mark;
}
