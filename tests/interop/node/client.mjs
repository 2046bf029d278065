// Clients on Node's WebSocket packages; see the README beside this folder.

import assert from 'node:assert/strict';

import {
  LARGEST_MESSAGE, deflateOptions, fragments, messages, readOptions, refuse, report, require,
} from './options.mjs';

const options = readOptions();
const libraries = { ws: connectWs, websocket: connectWebSocketNode, builtin: connectBuiltin };

// A connection that never closes would keep the event loop busy: without one, the process just ends.
process.exitCode = 1;
const peer = await libraries[options.library]();
await converse(peer);

/**
 * Sends every message, each after the echo of the one before, and closes.
 *
 * A peer is `{ send(message), close(code, reason), received() }`; `received` resolves to the next message, or to
 * `{ code, reason }` once the connection is closed.
 */
async function converse({ send, close, received }) {
  for (const message of messages()) {
    send(message);
    const echo = await received();
    assert.deepEqual(echo, message, 'the echo differs from what was sent');
    const text = typeof message === 'string';
    report('echo', { kind: text ? 'text' : 'binary', length: Buffer.byteLength(message) });
  }
  if (options.ask) send(`close ${options.close} ${options.reason}`);
  else close(options.close, options.reason);
  report('closed', await received());
  process.exitCode = 0;
}

/** A queue between callbacks and `await`. */
function inbox() {
  const items = [];
  let wake;
  return {
    put(item) {
      items.push(item);
      wake?.();
    },
    async take() {
      while (items.length === 0) await new Promise((resolve) => { wake = resolve; });
      return items.shift();
    },
  };
}

function connectWs() {
  const { WebSocket } = require('ws');
  const socket = new WebSocket(options.url, options.subprotocols, {
    perMessageDeflate: deflateOptions(options),
    maxPayload: LARGEST_MESSAGE,
    maxFragments: 0,
    maxBufferedChunks: 0,
  });
  const { put, take } = inbox();
  let extensions = '';
  socket.on('upgrade', (response) => { extensions = response.headers['sec-websocket-extensions'] ?? ''; });
  socket.on('message', (data, binary) => put(binary ? data : data.toString()));
  socket.on('close', (code, reason) => put({ code, reason: reason.toString() }));
  const send = (message) => {
    const binary = typeof message !== 'string';
    const parts = options.fragment ? fragments(Buffer.from(message), options.fragment) : [message];
    parts.forEach((part, index) => socket.send(part, { binary, fin: index === parts.length - 1 }));
  };
  return new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.on('open', () => {
      report('open', { subprotocol: socket.protocol, extensions });
      resolve({ send, close: (code, reason) => socket.close(code, reason), received: take });
    });
  });
}

function connectWebSocketNode() {
  refuse(options, ['compression']);
  const WebSocketClient = require('websocket').client;
  const client = new WebSocketClient({
    maxReceivedFrameSize: LARGEST_MESSAGE,
    maxReceivedMessageSize: LARGEST_MESSAGE,
    fragmentOutgoingMessages: options.fragment !== undefined,
    fragmentationThreshold: options.fragment ?? LARGEST_MESSAGE,
  });
  return new Promise((resolve, reject) => {
    client.on('connectFailed', reject);
    client.on('connect', (connection) => {
      const { put, take } = inbox();
      connection.on('error', reject);
      connection.on('message', (message) => put(message.utf8Data ?? message.binaryData));
      connection.on('close', (code, reason) => put({ code, reason }));
      report('open', { subprotocol: connection.protocol ?? '', extensions: '' });
      resolve({
        send: (message) => (typeof message === 'string' ? connection.sendUTF(message) : connection.sendBytes(message)),
        close: (code, reason) => connection.close(code, reason),
        received: take,
      });
    });
    client.connect(options.url, options.subprotocols);
  });
}

/** Node 20 has it behind `--experimental-websocket`. It always offers compression, and never fragments. */
function connectBuiltin() {
  refuse(options, ['fragment', 'serverMaxWindowBits', 'clientMaxWindowBits']);
  const socket = new WebSocket(options.url, options.subprotocols);
  socket.binaryType = 'arraybuffer';
  const { put, take } = inbox();
  socket.onmessage = ({ data }) => put(typeof data === 'string' ? data : Buffer.from(data));
  socket.onclose = ({ code, reason }) => put({ code, reason });
  return new Promise((resolve, reject) => {
    socket.onerror = ({ error }) => reject(error ?? new Error('the connection failed'));
    socket.onopen = () => {
      report('open', { subprotocol: socket.protocol, extensions: socket.extensions });
      resolve({
        send: (message) => socket.send(message),
        close: (code, reason) => socket.close(code, reason),
        received: take,
      });
    };
  });
}
