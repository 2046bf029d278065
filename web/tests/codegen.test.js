import assert from 'node:assert/strict';
import test from 'node:test';
import { programCode, stepCode } from '../console/codegen.js';
import { generateMessage } from '../console/generate.js';

const RECONNECT_OFF = { on: false, first: 1000, longest: 30_000, attempts: 0 };
const CONNECT = {
  type: 'connect',
  url: 'ws://localhost:3000/echo',
  protocols: [],
  binaryType: 'blob',
  reconnect: RECONNECT_OFF,
};

/** Runs generated code against a socket that records what is done with it and opens at once. */
function run(code, { file, timers = [] } = {}) {
  const sockets = [];
  class Socket {
    constructor(...parameters) {
      this.parameters = parameters;
      this.sent = [];
      this.listeners = {};
      sockets.push(this);
    }
    addEventListener(name, listener) {
      (this.listeners[name] ??= []).push(listener);
    }
    send(data) {
      this.sent.push(data);
    }
    close(...parameters) {
      this.closed = parameters;
    }
    fire(name, event = {}) {
      for (const listener of this.listeners[name] ?? []) listener(event);
    }
  }
  const document = { querySelector: () => ({ files: [file] }) };
  const setInterval = (callback, delay) => timers.push({ callback, delay });
  const clearInterval = (timer) => (timers[timer - 1].cleared = true);
  const setTimeout = (callback, delay) => timers.push({ callback, delay });
  const body = `${code}\nif (typeof socket !== 'undefined') socket.fire('open');`;
  const parameters = { WebSocket: Socket, document, setInterval, clearInterval, setTimeout, console: { log() {} } };
  new Function(...Object.keys(parameters), `"use strict";${body}`)(...Object.values(parameters));
  return { sockets, timers };
}

const program = (...actions) => run(programCode([CONNECT, ...actions])).sockets[0];
const send = (source, repeat) => ({ type: 'send', source, ...(repeat ? { repeat } : {}) });

test('a_program_connects_with_url_protocols_and_binary_type', () => {
  assert.deepEqual(run(programCode([CONNECT])).sockets[0].parameters, ['ws://localhost:3000/echo']);
  const { sockets } = run(programCode([{ ...CONNECT, protocols: ['chat'], binaryType: 'arraybuffer' }]));
  assert.deepEqual(sockets[0].parameters, ['ws://localhost:3000/echo', 'chat']);
  assert.equal(sockets[0].binaryType, 'arraybuffer');
  assert.deepEqual(run(programCode([{ ...CONNECT, protocols: ['a', 'b'] }])).sockets[0].parameters[1], ['a', 'b']);
});

test('a_program_listens_to_all_four_events', () => {
  assert.deepEqual(Object.keys(program().listeners).sort(), ['close', 'error', 'message', 'open']);
});

test('the_step_of_a_connect_is_a_whole_program', () => {
  assert.equal(stepCode(CONNECT), programCode([CONNECT]));
});

test('a_program_sends_what_was_sent', () => {
  const bytes = Uint8Array.of(0, 1, 255);
  const text = 'quote " backslash \\ newline \n </script> ${x} `y` \u2028';
  const socket = program(
    send({ kind: 'text', text }),
    send({ kind: 'hex', bytes }),
    send({ kind: 'json', text: '{"a": [1, true]}' }),
  );
  assert.deepEqual(socket.sent, [text, bytes, '{"a":[1,true]}']);
});

test('typed_text_stays_data', () => {
  const text = '"); globalThis.broken = true; ("';
  const { sockets } = run(programCode([{ ...CONNECT, url: `ws://x/${text}` }, send({ kind: 'text', text })]));
  assert.equal(globalThis.broken, undefined);
  assert.deepEqual(sockets[0].sent, [text]);
});

test('json_is_written_as_an_object_only_if_that_sends_the_same', () => {
  const sentFor = (text) => program(send({ kind: 'json', text })).sent[0];
  assert.equal(sentFor('{\n  "a": 1\n}'), '{\n  "a": 1\n}');
  assert.equal(sentFor('{"a": "x  y"}'), '{"a":"x  y"}');
  assert.equal(sentFor('{"a b": {"ok": ["\\n\\"c\\": 1"]}, "2x": 0}'), '{"a b":{"ok":["\\n\\"c\\": 1"]},"2x":0}');
  for (const text of ['{"a":1e2}', '{"a":1,"a":2}', '{"__proto__":{"x":1}}', '[1.0]'])
    assert.equal(sentFor(text), text);
});

test('generated_messages_have_their_size_and_pattern', () => {
  for (const type of ['text', 'binary']) {
    const source = { kind: 'generate', size: 300, type, fill: 'pattern' };
    assert.deepEqual(program(send(source)).sent, [generateMessage(300, source)]);
    const [random] = program(send({ ...source, size: 70_000, fill: 'random' })).sent;
    assert.equal(random.length, 70_000);
    assert.equal(typeof random, type === 'text' ? 'string' : 'object');
  }
});

test('a_file_is_taken_from_the_page', () => {
  const file = { name: 'x' };
  const code = programCode([CONNECT, send({ kind: 'file', name: 'x' }), send({ kind: 'file', name: 'x' })]);
  assert.deepEqual(run(code, { file }).sockets[0].sent, [file, file]);
});

test('repetitions_are_counted_and_stop', () => {
  const repeated = send({ kind: 'text', text: 'x' }, { interval: 250, count: 2 });
  const { sockets, timers } = run(programCode([CONNECT, repeated, repeated]));
  assert.deepEqual(
    timers.map(({ delay }) => delay),
    [250, 250],
  );
  timers[0].callback();
  assert.equal(timers[0].cleared, undefined);
  timers[0].callback();
  assert.equal(timers[0].cleared, true);
  assert.equal(timers[1].cleared, undefined);
  assert.deepEqual(sockets[0].sent, ['x', 'x']);
});

test('placeholders_are_filled_in_at_each_repetition', () => {
  const text = 'tick {{n}} `${x}` "q" \\ {{other}} {{n}}';
  const { sockets, timers } = run(programCode([CONNECT, send({ kind: 'text', text }, { interval: 5, count: 0 })]));
  timers[0].callback();
  timers[0].callback();
  assert.deepEqual(
    sockets[0].sent,
    [1, 2].map((n) => text.replaceAll('{{n}}', n)),
  );
  const timed = run(
    stepCode(send({ kind: 'text', text: '{{time}}' }, { interval: 5, count: 0 })).replace(
      /^/,
      'const socket = new WebSocket("ws://x");',
    ),
  );
  timed.timers[0].callback();
  assert.match(timed.sockets[0].sent[0], /^\d{4}-\d\d-\d\dT/);
});

test('close_is_written_with_its_arguments', () => {
  assert.equal(stepCode({ type: 'close', arguments: [] }), 'socket.close();\n');
  assert.equal(stepCode({ type: 'close', arguments: [3001, 'a "b"'] }), 'socket.close(3001, "a \\"b\\"");\n');
  assert.deepEqual(program({ type: 'close', arguments: [4000] }).closed, [4000]);
});

test('a_later_binary_type_wins', () => {
  assert.equal(program({ type: 'binaryType', value: 'arraybuffer' }).binaryType, 'arraybuffer');
});

test('reconnecting_waits_longer_each_time_and_gives_up', () => {
  const action = { ...CONNECT, reconnect: { on: true, first: 1000, longest: 3000, attempts: 3 } };
  const { sockets, timers } = run(programCode([action]));
  for (let attempt = 0; attempt < 3; attempt += 1) {
    sockets.at(-1).fire('close');
    timers.at(-1).callback();
  }
  sockets.at(-1).fire('close');
  assert.equal(sockets.length, 4);
  assert.equal(timers.length, 3);
  const full = [1000, 2000, 3000];
  timers.forEach(({ delay }, index) => assert.ok(delay >= full[index] / 2 && delay <= full[index], `${delay}`));
});

test('long_payloads_are_cut_with_a_comment', () => {
  const code = stepCode(send({ kind: 'text', text: 'x'.repeat(5000) }));
  assert.ok(code.length < 2200);
  assert.match(code, /3000 more characters/);
  assert.match(stepCode(send({ kind: 'hex', bytes: new Uint8Array(100) })), /36 more bytes/);
});
