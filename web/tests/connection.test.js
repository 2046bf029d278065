import assert from 'node:assert/strict';
import test from 'node:test';
import { reconnectDelay } from '../console/backoff.js';
import { CLOSED, CLOSING, CONNECTING, Connection, OPEN, initialLink } from '../console/connection.js';
import { MessageLog } from '../console/log.js';
import { Counters } from '../console/statistics.js';
import { createStore } from '../console/store.js';

/** A browser's WebSocket whose server is the test. */
class FakeSocket extends EventTarget {
  static made = [];
  readyState = CONNECTING;
  bufferedAmount = 0;
  protocol = '';
  extensions = '';
  sent = [];

  constructor(url, protocols) {
    super();
    if (url.includes('#')) throw new DOMException('no fragments', 'SyntaxError');
    this.url = url;
    this.protocols = protocols;
    FakeSocket.made.push(this);
  }
  open(protocol = '') {
    this.readyState = OPEN;
    this.protocol = protocol;
    this.dispatchEvent(new Event('open'));
  }
  receive(data) {
    this.dispatchEvent(Object.assign(new Event('message'), { data }));
  }
  send(data) {
    this.sent.push(data);
  }
  close(...parameters) {
    this.closedWith = parameters;
    this.readyState = CLOSING;
  }
  end(code, reason = '', wasClean = true) {
    this.readyState = CLOSED;
    if (!wasClean) this.dispatchEvent(new Event('error'));
    this.dispatchEvent(Object.assign(new Event('close'), { code, reason, wasClean }));
  }
}

function start({ reconnect = { on: false }, url = 'ws://test/echo', protocols = [] } = {}) {
  FakeSocket.made = [];
  let time = 1000;
  const timers = [];
  const counters = new Counters();
  const log = new MessageLog();
  const store = createStore({ link: initialLink(), counters, log, target: {} }, () => {});
  const connection = new Connection(
    { store, log, counters },
    {
      WebSocket: FakeSocket,
      now: () => time,
      clock: () => time,
      setTimeout: (callback, delay) => timers.push({ callback, delay }),
      clearTimeout: (timer) => timer && (timers[timer - 1].cancelled = true),
      random: () => 1,
    },
  );
  connection.connect({ url, protocols, binaryType: 'arraybuffer', reconnect });
  return {
    connection,
    counters,
    log,
    timers,
    link: store.state.link,
    get socket() {
      return FakeSocket.made.at(-1);
    },
    pass: (milliseconds) => (time += milliseconds),
    events: () => [...log].map((entry) => entry.facts?.key ?? `${entry.direction} ${entry.kind}`),
  };
}

test('states_follow_the_socket', () => {
  const page = start({ protocols: ['chat'] });
  assert.equal(page.link.state, CONNECTING);
  assert.deepEqual(page.socket.protocols, ['chat']);
  page.pass(12);
  page.socket.open('chat');
  assert.deepEqual([page.link.state, page.link.protocol, page.link.openedAt], [OPEN, 'chat', 1012]);
  page.connection.disconnect([3001, 'bye']);
  assert.deepEqual(page.socket.closedWith, [3001, 'bye']);
  assert.equal(page.link.state, CLOSING);
  page.socket.end(3001, 'bye');
  assert.equal(page.link.state, CLOSED);
  assert.deepEqual(page.link.ended, { code: 3001, reason: 'bye', clean: true, opened: true, cancelled: false });
  assert.deepEqual(page.events(), ['event.connecting', 'event.open', 'event.close']);
});

test('without_subprotocols_the_constructor_gets_no_second_argument', () => {
  assert.equal(start().socket.protocols, undefined);
});

test('an_echo_is_timed_and_counted', async () => {
  const page = start();
  page.socket.open();
  page.connection.send('héllo');
  page.connection.send(Uint8Array.of(1, 2, 3));
  page.pass(5);
  page.socket.receive('héllo');
  page.pass(5);
  page.socket.receive(Uint8Array.of(1, 2, 3).buffer);
  page.socket.receive('greeting');
  const received = [...page.log].filter((entry) => entry.direction === 'received');
  assert.deepEqual(
    received.map(({ kind, size, rtt }) => ({ kind, size, rtt })),
    [
      { kind: 'text', size: 6, rtt: 5 },
      { kind: 'binary', size: 3, rtt: 10 },
      { kind: 'text', size: 8, rtt: undefined },
    ],
  );
  assert.deepEqual([page.counters.sent.messages, page.counters.sent.bytes], [2, 9]);
  assert.deepEqual([page.counters.received.messages, page.counters.received.bytes], [3, 17]);
  const { min, median, max } = page.counters.roundTrips;
  assert.deepEqual([min, median, max], [5, 7.5, 10]);
});

test('a_blob_is_logged_at_once_and_read_later', async () => {
  const page = start();
  page.socket.open();
  page.connection.send(Uint8Array.of(9, 8));
  page.pass(3);
  page.socket.receive(new Blob([Uint8Array.of(9, 8)]));
  const entry = page.log.byId(page.log.nextId - 1);
  assert.deepEqual([entry.form, entry.bytes], ['Blob', undefined]);
  page.pass(50);
  while (entry.bytes === undefined) await new Promise(setImmediate);
  assert.deepEqual([...entry.bytes], [9, 8]);
  assert.equal(entry.rtt, 3);
});

test('nothing_is_sent_while_not_open', async () => {
  const page = start();
  await page.connection.send('too early');
  assert.deepEqual(page.socket.sent, []);
  assert.equal(page.counters.sent.messages, 0);
});

test('an_address_that_the_browser_refuses_is_reported', () => {
  const page = start({ url: 'ws://test/#x' });
  assert.equal(page.link.state, CLOSED);
  assert.deepEqual(page.link.refused, { name: 'SyntaxError', message: 'no fragments' });
  assert.deepEqual(page.events(), ['event.refused']);
});

test('a_connection_that_never_opened_says_so', () => {
  const page = start();
  page.socket.end(1006, '', false);
  assert.deepEqual(page.link.ended, { code: 1006, reason: '', clean: false, opened: false, cancelled: false });
  assert.deepEqual(page.events(), ['event.connecting', 'event.error', 'event.close']);
});

test('a_connection_that_was_cancelled_says_so', () => {
  const page = start();
  page.connection.disconnect([]);
  page.socket.end(1006, '', false);
  assert.equal(page.link.ended.cancelled, true);
});

test('bytes_that_were_not_sent_stay_counted_after_the_close', () => {
  const page = start();
  page.socket.open();
  page.socket.bufferedAmount = 5000;
  page.connection.refresh();
  page.socket.end(1006, '', false);
  page.connection.refresh();
  assert.equal(page.link.buffered, 5000);
});

const RECONNECT = { on: true, first: 1000, longest: 4000, attempts: 0 };

test('it_reconnects_with_growing_waits', () => {
  const page = start({ reconnect: RECONNECT });
  for (let attempt = 0; attempt < 4; attempt += 1) {
    page.socket.end(1006, '', false);
    assert.equal(page.link.retry.attempt, attempt + 1);
    page.timers.at(-1).callback();
  }
  assert.deepEqual(
    page.timers.map(({ delay }) => delay),
    [1000, 2000, 4000, 4000],
  );
  assert.equal(FakeSocket.made.length, 5);
});

test('a_connection_that_lasted_starts_the_waits_over', () => {
  const page = start({ reconnect: RECONNECT });
  page.socket.end(1006, '', false);
  page.timers.at(-1).callback();
  page.socket.open();
  page.pass(5000);
  page.socket.end(1012);
  assert.equal(page.timers.at(-1).delay, 1000);
});

test('a_server_that_accepts_and_closes_does_not_start_the_waits_over', () => {
  const page = start({ reconnect: RECONNECT });
  page.socket.open();
  page.socket.end(1011);
  page.timers.at(-1).callback();
  page.socket.open();
  page.socket.end(1011);
  assert.deepEqual(
    page.timers.map(({ delay }) => delay),
    [1000, 2000],
  );
});

test('it_gives_up_after_the_last_attempt', () => {
  const page = start({ reconnect: { ...RECONNECT, attempts: 1 } });
  page.socket.end(1006, '', false);
  page.timers.at(-1).callback();
  page.socket.end(1006, '', false);
  assert.equal(page.link.retry, undefined);
  assert.equal(page.events().at(-1), 'event.retriesOver');
});

test('disconnecting_ends_reconnecting', () => {
  const page = start({ reconnect: RECONNECT });
  page.socket.open();
  page.connection.disconnect([]);
  page.socket.end(1005);
  assert.equal(page.link.retry, undefined);
  assert.equal(page.timers.length, 0);

  const waiting = start({ reconnect: RECONNECT });
  waiting.socket.end(1006, '', false);
  waiting.connection.disconnect([]);
  assert.equal(waiting.link.retry, undefined);
  assert.equal(waiting.timers[0].cancelled, true);
});

test('switching_reconnection_off_ends_the_wait', () => {
  const page = start({ reconnect: RECONNECT });
  page.socket.end(1006, '', false);
  page.connection.setReconnect({ ...RECONNECT, on: false });
  assert.equal(page.link.retry, undefined);
  assert.equal(page.timers[0].cancelled, true);
});

test('waits_double_up_to_the_longest_and_vary', () => {
  const limits = { first: 500, longest: 30_000 };
  assert.deepEqual(
    [0, 1, 2, 10, 1000].map((attempt) => reconnectDelay(attempt, limits, () => 1)),
    [500, 1000, 2000, 30_000, 30_000],
  );
  assert.equal(
    reconnectDelay(2, limits, () => 0),
    1000,
  );
});
