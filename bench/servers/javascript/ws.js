// The peer `ws`, as its README has an echo and a broadcast.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { WebSocketServer } from 'ws';
import { LARGEST_MESSAGE, options } from './options.js';

const { certificate, key, compression } = options();

const server = certificate
  ? createTlsServer({ cert: readFileSync(certificate), key: readFileSync(key) })
  : createServer();

const websockets = new WebSocketServer({
  server,
  maxPayload: LARGEST_MESSAGE,
  perMessageDeflate: compression !== 'off' && {
    threshold: 0,
    serverNoContextTakeover: compression === 'shared',
    clientNoContextTakeover: compression === 'shared',
  },
});

const topics = new Map();

function echo(data, isBinary) {
  this.send(data, { binary: isBinary });
}

websockets.on('connection', (ws, request) => {
  ws.on('error', () => {});
  if (request.url === '/') {
    ws.on('message', echo);
    return;
  }
  if (!topics.has(request.url)) {
    topics.set(request.url, new Set());
  }
  const members = topics.get(request.url);
  members.add(ws);
  ws.on('close', () => members.delete(ws));
  ws.on('message', (data, isBinary) => {
    for (const member of members) {
      member.send(data, { binary: isBinary });
    }
  });
});

server.listen(0, '127.0.0.1', () => console.log(server.address().port));
