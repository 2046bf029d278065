// Sends the composed message again and again, and waits while the connection is slower than the interval.

import { CLOSED } from './connection.js';

/** No repetition goes out while more than this lies in the browser. */
export const WAIT_ABOVE_BYTES = 8 * 1024 * 1024;

export function initialRepeat() {
  return { running: false, sent: 0, waiting: false };
}

export class Repeater {
  #store;
  #connection;
  #send;
  #timer;

  /** @param {(values: {n: number, time: string}) => void} send builds and sends one repetition */
  constructor({ store, connection }, send) {
    this.#store = store;
    this.#connection = connection;
    this.#send = send;
  }

  /** @param {{interval: number, count: number}} plan milliseconds; 0 repetitions for no end */
  start({ interval, count }) {
    this.stop();
    this.#store.change('repeat', { running: true, sent: 0, waiting: false });
    this.#timer = setInterval(() => this.#tick(count), interval);
    this.#tick(count);
  }

  stop() {
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (this.#store.state.repeat.running) this.#store.change('repeat', { running: false, waiting: false });
  }

  #tick(count) {
    const { repeat, link, target } = this.#store.state;
    if (!this.#connection.isOpen) {
      // A connection that comes back by itself takes its repetitions with it.
      const comingBack = target.reconnect.on && (link.retry !== undefined || link.state !== CLOSED);
      if (!comingBack) this.stop();
      return;
    }
    const waiting = this.#connection.bufferedAmount > WAIT_ABOVE_BYTES;
    if (waiting !== repeat.waiting) this.#store.change('repeat', { waiting });
    if (waiting) return;
    const n = repeat.sent + 1;
    this.#send({ n, time: new Date().toISOString() });
    this.#store.change('repeat', { sent: n });
    if (count > 0 && n >= count) this.stop();
  }
}
