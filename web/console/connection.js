// The one WebSocket of the page: opens, sends, receives, closes, comes back; writes down each step.

import { STABLE_AFTER_MS, reconnectDelay } from './backoff.js';
import { utf8Length } from './format.js';
import { keepBytes, keepText, KEPT_PER_ENTRY } from './log.js';
import { EchoMatcher, KEY_EDGE_BYTES, binaryKey, bytesKey, textKey } from './rtt.js';

/** readyState, in the words of the standard. */
export const STATES = ['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED'];
export const [CONNECTING, OPEN, CLOSING, CLOSED] = [0, 1, 2, 3];

/** The store slice that this module owns. */
export function initialLink() {
  return {
    state: CLOSED,
    url: '',
    protocol: '',
    extensions: '',
    buffered: 0,
    startedAt: undefined,
    openedAt: undefined,
    /** How the last connection ended: {code, reason, clean, opened, cancelled}. */
    ended: undefined,
    /** A reconnection that is waited for: {attempt, at}. */
    retry: undefined,
    /** Name and message of the exception that the constructor threw. */
    refused: undefined,
  };
}

export class Connection {
  #store;
  #log;
  #counters;
  #echoes = new EchoMatcher();
  #socket;
  #target;
  #attempt = 0;
  #cancelled = false;
  #retryTimer;
  #environment;

  /**
   * @param {{store: object, log: import('./log.js').MessageLog, counters: import('./statistics.js').Counters}} page
   * @param {object} environment the browser's parts, replaceable in tests
   */
  constructor({ store, log, counters }, environment = {}) {
    this.#store = store;
    this.#log = log;
    this.#counters = counters;
    this.#environment = {
      WebSocket: globalThis.WebSocket,
      now: () => performance.now(),
      clock: () => Date.now(),
      setTimeout: (callback, delay) => setTimeout(callback, delay),
      clearTimeout: (timer) => clearTimeout(timer),
      random: Math.random,
      ...environment,
    };
  }

  /** @param {{url: string, protocols: string[], binaryType: 'blob' | 'arraybuffer', reconnect: object}} target */
  connect(target) {
    this.#dropRetry();
    this.#attempt = 0;
    this.#target = target;
    this.#open();
  }

  /** Calls close with these arguments; ends the waiting for a reconnection, too. */
  disconnect(closeArguments) {
    this.#target = undefined;
    if (this.#store.state.link.retry !== undefined) {
      this.#dropRetry();
      this.#note('info', { key: 'event.retryCancelled' });
    }
    if (this.#socket === undefined) return;
    this.#cancelled = this.#socket.readyState === CONNECTING;
    this.#socket.close(...closeArguments);
    this.refresh();
  }

  retryNow() {
    if (this.#store.state.link.retry === undefined) return;
    this.#dropRetry();
    this.#open();
  }

  /** Takes effect at once, and for later attempts to reconnect. */
  setBinaryType(binaryType) {
    if (this.#target) this.#target = { ...this.#target, binaryType };
    if (this.#socket) this.#socket.binaryType = binaryType;
  }

  setReconnect(reconnect) {
    if (this.#target) this.#target = { ...this.#target, reconnect };
    if (!reconnect.on) this.#dropRetry();
  }

  get isOpen() {
    return this.#socket?.readyState === OPEN;
  }

  get bufferedAmount() {
    return this.#socket?.bufferedAmount ?? 0;
  }

  /**
   * Sends one message and logs it.
   *
   * @param {string | Uint8Array | File} data
   */
  async send(data) {
    if (data instanceof Blob) return this.#sendFile(data);
    if (!this.isOpen) return;
    const text = typeof data === 'string';
    const key = text ? textKey(data) : bytesKey(data);
    const size = text ? utf8Length(data) : data.length;
    this.#transmit(data, key, size, text ? keepText(data) : keepBytes(data), text ? 'text' : 'binary');
  }

  /** Reads the socket's changing attributes into the store; called after each step and a few times a second. */
  refresh() {
    const { link } = this.#store.state;
    if (this.#socket === undefined) return;
    const { readyState: state, bufferedAmount: buffered } = this.#socket;
    if (state !== link.state || buffered !== link.buffered) this.#store.change('link', { state, buffered });
  }

  async #sendFile(file) {
    const socket = this.#socket;
    // The browser reads the file while sending; its ends are read before, so that the echo can be told.
    const [head, tail, kept] = await readBlob(file);
    if (socket !== this.#socket || !this.isOpen) return;
    const form = file.name ? `File ${file.name}` : 'Blob';
    const payload = { bytes: kept, form, ...(file.size > kept.length ? { cut: true } : {}) };
    this.#transmit(file, binaryKey(file.size, head, tail), file.size, payload, 'binary');
  }

  #transmit(data, key, size, payload, kind) {
    const { now, clock } = this.#environment;
    const time = clock();
    this.#echoes.sent(key, now());
    this.#socket.send(data);
    this.#counters.count('sent', size);
    this.#log.add({ time, direction: 'sent', kind, size, ...payload });
    this.#store.touch('counters');
    this.#store.touch('log');
    this.refresh();
  }

  #open() {
    const { url, protocols, binaryType } = this.#target;
    const { WebSocket, now } = this.#environment;
    this.#echoes.clear();
    this.#cancelled = false;
    this.#store.change('link', { ...initialLink(), url, ended: this.#store.state.link.ended, startedAt: now() });
    let socket;
    try {
      socket = protocols.length > 0 ? new WebSocket(url, protocols) : new WebSocket(url);
    } catch (exception) {
      this.#target = undefined;
      this.#store.change('link', { refused: { name: exception.name, message: exception.message } });
      this.#note('error', { key: 'event.refused', name: exception.name, message: exception.message });
      return;
    }
    socket.binaryType = binaryType;
    this.#socket = socket;
    this.#note('info', { key: 'event.connecting', url, protocols });
    this.refresh();
    // A socket that was replaced may still speak; its events are not this connection's.
    const current = (handler) => (event) => socket === this.#socket && handler(event);
    socket.addEventListener(
      'open',
      current(() => this.#opened(socket)),
    );
    socket.addEventListener(
      'message',
      current((event) => this.#received(event)),
    );
    socket.addEventListener(
      'error',
      current(() => this.#note('error', { key: 'event.error' })),
    );
    socket.addEventListener(
      'close',
      current((event) => this.#closed(event)),
    );
  }

  #opened(socket) {
    const { now } = this.#environment;
    const { startedAt } = this.#store.state.link;
    const { url, protocol, extensions } = socket;
    const openedAt = now();
    this.#store.change('link', { url, protocol, extensions, openedAt });
    this.#note('open', { key: 'event.open', url, protocol, extensions, took: openedAt - startedAt });
    this.refresh();
  }

  #received({ data }) {
    const arrived = this.#environment.now();
    const time = this.#environment.clock();
    if (typeof data === 'string') {
      const size = utf8Length(data);
      this.#arrived({ time, kind: 'text', size, rtt: this.#echoTime(textKey(data), arrived), ...keepText(data) });
    } else if (data instanceof ArrayBuffer) {
      const bytes = new Uint8Array(data);
      const rtt = this.#echoTime(bytesKey(bytes), arrived);
      this.#arrived({ time, kind: 'binary', size: bytes.length, form: 'ArrayBuffer', rtt, ...keepBytes(bytes) });
    } else {
      const entry = this.#arrived({ time, kind: 'binary', size: data.size, form: 'Blob' });
      this.#readLater(entry, data, arrived);
    }
  }

  #arrived(facts) {
    this.#counters.count('received', facts.size);
    const entry = this.#log.add({ direction: 'received', ...facts });
    this.#store.touch('counters');
    this.#store.touch('log');
    return entry;
  }

  async #readLater(entry, blob, arrived) {
    const [head, tail, bytes] = await readBlob(blob);
    const rtt = this.#echoTime(binaryKey(blob.size, head, tail), arrived);
    this.#log.amend(entry, { bytes, rtt, ...(blob.size > bytes.length ? { cut: true } : {}) });
    this.#store.touch('log');
    this.#store.touch('counters');
  }

  #echoTime(key, arrived) {
    const rtt = this.#echoes.received(key, arrived);
    if (rtt !== undefined) this.#counters.roundTrips.add(rtt);
    return rtt;
  }

  #closed({ code, reason, wasClean }) {
    const { now } = this.#environment;
    const { openedAt } = this.#store.state.link;
    const opened = openedAt !== undefined;
    const lasted = opened ? now() - openedAt : undefined;
    const cancelled = this.#cancelled;
    // The standard never sets bufferedAmount back: what stands here now was not sent.
    const buffered = this.bufferedAmount;
    this.#socket = undefined;
    this.#store.change('link', {
      state: CLOSED,
      buffered,
      openedAt: undefined,
      protocol: '',
      extensions: '',
      ended: { code, reason, clean: wasClean, opened, cancelled },
    });
    this.#note('close', { key: 'event.close', code, reason, clean: wasClean, opened, cancelled, lasted });
    if (this.#target?.reconnect.on) this.#scheduleRetry(lasted);
    else this.#target = undefined;
  }

  #scheduleRetry(lasted) {
    const { reconnect } = this.#target;
    if (lasted !== undefined && lasted >= STABLE_AFTER_MS) this.#attempt = 0;
    if (reconnect.attempts > 0 && this.#attempt >= reconnect.attempts) {
      this.#note('info', { key: 'event.retriesOver', count: reconnect.attempts });
      this.#target = undefined;
      return;
    }
    const { now, setTimeout, random } = this.#environment;
    const delay = reconnectDelay(this.#attempt, reconnect, random);
    this.#attempt += 1;
    this.#store.change('link', { retry: { attempt: this.#attempt, at: now() + delay } });
    this.#note('info', { key: 'event.retry', attempt: this.#attempt, delay });
    this.#retryTimer = setTimeout(() => {
      this.#dropRetry();
      this.#open();
    }, delay);
  }

  #dropRetry() {
    this.#environment.clearTimeout(this.#retryTimer);
    this.#retryTimer = undefined;
    if (this.#store.state.link.retry !== undefined) this.#store.change('link', { retry: undefined });
  }

  #note(kind, facts) {
    this.#log.add({ time: this.#environment.clock(), kind, facts });
    this.#store.touch('log');
  }
}

/** First and last bytes of a Blob for its key, and the part that the log keeps, without reading what lies between. */
async function readBlob(blob) {
  const kept = new Uint8Array(await blob.slice(0, KEPT_PER_ENTRY).arrayBuffer());
  const head = kept.subarray(0, KEY_EDGE_BYTES);
  const tail =
    blob.size <= kept.length
      ? kept.subarray(-KEY_EDGE_BYTES)
      : new Uint8Array(await blob.slice(-KEY_EDGE_BYTES).arrayBuffer());
  return [head, tail, kept];
}
