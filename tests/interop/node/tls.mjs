// A TLS client, that of Node, which is OpenSSL's; with as much of WebSocket as it takes to talk to an echo server.

import assert from 'node:assert';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import tls from 'node:tls';
import { parseArgs } from 'node:util';
import { report } from './options.mjs';

const { values: options } = parseArgs({
  options: {
    act: { type: 'string' },
    port: { type: 'string' },
    version: { type: 'string' },
    authority: { type: 'string' },
    certificate: { type: 'string' },
    key: { type: 'string' },
  },
});

const file = (name) => (name === undefined ? undefined : readFileSync(name));

function start(more = {}) {
  return tls.connect({
    host: '127.0.0.1',
    port: Number(options.port),
    servername: 'localhost',
    minVersion: options.version,
    maxVersion: options.version,
    ca: file(options.authority),
    cert: file(options.certificate),
    key: file(options.key),
    allowHalfOpen: true,
    ...more,
  });
}

/** Opens a WebSocket. */
async function open(socket = start()) {
  socket.received = Buffer.alloc(0);
  socket.on('data', (bytes) => {
    socket.received = Buffer.concat([socket.received, bytes]);
  });
  await once(socket, 'secureConnect');
  report('secured', { version: socket.getProtocol(), resumed: socket.isSessionReused() });
  socket.write(
    'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
  );
  let head = '';
  while (!head.endsWith('\r\n\r\n')) head += await take(socket, 1);
  assert.match(head, /^HTTP\/1\.1 101 /u);
  return socket;
}

/** The next bytes, so many of them. */
async function take(socket, length) {
  while (socket.received.length < length) {
    await once(socket, 'data');
  }
  const bytes = socket.received.subarray(0, length);
  socket.received = socket.received.subarray(length);
  return bytes;
}

/** A binary message in one frame, under a masking key of zeros. */
function frame(payload) {
  let head;
  if (payload.length < 126) {
    head = Buffer.from([0x82, 0x80 | payload.length]);
  } else if (payload.length < 1 << 16) {
    head = Buffer.from([0x82, 0xfe, 0, 0]);
    head.writeUInt16BE(payload.length, 2);
  } else {
    head = Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
    head.writeBigUInt64BE(BigInt(payload.length), 2);
  }
  return Buffer.concat([head, Buffer.alloc(4), payload]);
}

async function message(socket) {
  const head = await take(socket, 2);
  assert.strictEqual(head[0], 0x82);
  let length = head[1];
  if (length === 126) length = (await take(socket, 2)).readUInt16BE();
  else if (length === 127) length = Number((await take(socket, 8)).readBigUInt64BE());
  return take(socket, length);
}

async function echoes(socket, ...lengths) {
  const payloads = lengths.map((length) => Buffer.alloc(length, `${length} red salmon `));
  socket.write(Buffer.concat(payloads.map(frame)));
  for (const payload of payloads) assert((await message(socket)).equals(payload));
}

/** Reports why the connection failed. */
function failure(socket) {
  return new Promise((resolve) => {
    socket.on('error', (error) => {
      report('error', { message: error.code });
      socket.destroy();
      resolve();
    });
  });
}

const acts = {
  async messages() {
    const socket = await open();
    await echoes(socket, 0, 1, 125, 126, 1000);
    await echoes(socket, 16_384, 65_535, 65_536);
    await echoes(socket, 1_000_000);
    await echoes(socket, ...Array.from({ length: 500 }, (_, i) => i));
    socket.destroy();
  },

  /** Comes back twice with what the server gave it. */
  async resume() {
    let session;
    for (let i = 0; i < 3; i += 1) {
      const socket = start({ session });
      socket.on('session', (given) => {
        session = given;
      });
      await open(socket);
      await echoes(socket, 10);
      socket.destroy();
    }
  },

  /** Ends its direction with its last message. */
  async end() {
    const socket = await open();
    const ended = once(socket, 'end');
    socket.write(frame(Buffer.from('the last one')));
    socket.end();
    assert.strictEqual((await message(socket)).toString(), 'the last one');
    await ended;
  },

  /** Wishes to renegotiate. */
  async renegotiate() {
    const socket = await open();
    const over = failure(socket);
    socket.renegotiate({}, () => {});
    await over;
  },

  /** Is not let in. */
  async refused() {
    const socket = start();
    socket.resume();
    await failure(socket);
  },
};

await acts[options.act]();
