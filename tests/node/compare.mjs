// The client on Node's `ws` for `compare client`: carries out a plan, prints what it took.
// ../src/bin/compare/comparison/client/ has the plan and does the same in Rust.

import assert from 'node:assert/strict';
import { readFileSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';

// Where `cargo xtask setup` installs packages.
const require = createRequire(new URL('../../.tools/node/package.json', import.meta.url));
const { WebSocket } = require('ws');

/** While warming up, the clock is looked at each time so many messages came back. */
const BETWEEN_LOOKS = 16;

const plan = JSON.parse(process.argv[2]);
const binary = plan.kind === 'binary';
const messages = cut(readFileSync(0), plan.payloadLen);

const connections = await Promise.all(Array.from({ length: plan.connections }, open));
const begun = process.hrtime.bigint();
const warmedUp = await all((connection) => connection.warmUp());
const share = warmedUp.reduce((sum, count) => sum + count, 0) / connections.length;
const count = Math.max(1, Math.floor((share * plan.run) / millisSince(begun)));
const before = mark();
await all((connection) => connection.exchange(count));
const taken = since(before);
await all((connection) => connection.drain());
writeSync(1, `${JSON.stringify({ messages: count * connections.length, ...taken })}\n`);
process.exit(0);

function all(act) {
  return Promise.all(connections.map(act));
}

/** One connection, always with a window of messages on the way. */
async function open() {
  const socket = new WebSocket(`ws://127.0.0.1:${plan.port}/`, { perMessageDeflate: deflate() });
  await new Promise((resolve, reject) => {
    socket.on('open', resolve);
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the connection ended')));
  });
  let sent = 0;
  let received = 0;
  // Called for each message that came back; gives whether another is to be sent.
  let onEcho;
  socket.on('message', (data, isBinary) => {
    check(data, isBinary, messages[received % messages.length]);
    received += 1;
    if (onEcho()) send();
  });
  function send() {
    socket.send(messages[sent % messages.length]);
    sent += 1;
  }
  /** Goes on until `isDone` says so after a message; what came after that is seen by the next phase. */
  function phase(isDone, refill) {
    return new Promise((resolve) => {
      onEcho = () => {
        if (isDone()) {
          // The next phase begins before anything else arrives, or finds a count that has run on.
          onEcho = () => refill;
          resolve();
        }
        return refill;
      };
    });
  }
  return {
    async warmUp() {
      const end = process.hrtime.bigint() + BigInt(plan.warmUp) * 1_000_000n;
      const warm = phase(() => received % BETWEEN_LOOKS === 0 && process.hrtime.bigint() >= end, true);
      for (let i = 0; i < plan.window; i += 1) send();
      await warm;
      return received;
    },
    exchange(wanted) {
      const last = received + wanted;
      return phase(() => received >= last, true);
    },
    drain() {
      return received === sent ? undefined : phase(() => received === sent, false);
    },
  };
}

/** The `perMessageDeflate` option: each message is compressed, at zlib's own default level like the others. */
function deflate() {
  if (plan.compression === 'off') return false;
  const single = plan.compression === 'single';
  return {
    threshold: 0,
    ...(single && { serverNoContextTakeover: true, clientNoContextTakeover: true }),
  };
}

/** Text as strings, since that is what a program has; binary as it is. */
function cut(bytes, length) {
  assert(bytes.length > 0 && bytes.length % length === 0, 'no whole messages');
  const parts = [];
  for (let from = 0; from < bytes.length; from += length) {
    const part = bytes.subarray(from, from + length);
    parts.push(binary ? part : part.toString());
  }
  return parts;
}

/** Compares length and ends, which costs little beside the rest. */
function check(data, isBinary, wanted) {
  const message = isBinary ? data : data.toString();
  const end = Math.min(8, wanted.length);
  const tail = wanted.length - end;
  let same = isBinary === binary && message.length === wanted.length;
  if (same && isBinary) {
    for (let i = 0; i < end; i += 1) same &&= message[i] === wanted[i] && message[tail + i] === wanted[tail + i];
  } else if (same) {
    same = message.startsWith(wanted.slice(0, end)) && message.endsWith(wanted.slice(tail));
  }
  if (!same) throw new Error('something else came back than was sent');
}

function mark() {
  return { wall: process.hrtime.bigint(), cpu: process.cpuUsage() };
}

/** In seconds. */
function since({ wall, cpu }) {
  const { user, system } = process.cpuUsage(cpu);
  return {
    elapsed: millisSince(wall) / 1e3,
    cpu: (user + system) / 1e6,
    user: user / 1e6,
    system: system / 1e6,
  };
}

function millisSince(wall) {
  return Number(process.hrtime.bigint() - wall) / 1e6;
}
