// Echo servers on Node's WebSocket packages; see the README beside this folder.

import http from 'node:http';

import {
  LARGEST_MESSAGE, closeRequest, deflateOptions, fragments, readOptions, refuse, report, require,
} from './options.mjs';

const options = readOptions();
const libraries = { ws: serveWs, websocket: serveWebSocketNode };
libraries[options.library]();

/** Listens on a free port and says which. */
function listen(server) {
  server.listen(0, '127.0.0.1', () => report('ready', { port: server.address().port }));
}

function serveWs() {
  const { WebSocketServer } = require('ws');
  const server = http.createServer();
  const sockets = new WebSocketServer({
    server,
    perMessageDeflate: deflateOptions(options),
    maxPayload: LARGEST_MESSAGE,
    maxFragments: 0,
    maxBufferedChunks: 0,
    handleProtocols: (offered) => options.subprotocols.find((name) => offered.has(name)) ?? false,
  });
  let extensions = '';
  sockets.on('headers', (lines) => {
    const name = 'sec-websocket-extensions: ';
    const line = lines.find((text) => text.toLowerCase().startsWith(name)) ?? '';
    extensions = line.slice(name.length);
  });
  sockets.on('connection', (socket) => {
    report('open', { subprotocol: socket.protocol, extensions });
    socket.on('error', (error) => report('error', { message: error.message }));
    socket.on('close', (code, reason) => report('closed', { code, reason: reason.toString() }));
    socket.on('message', (data, binary) => {
      const request = !binary && closeRequest(data.toString());
      if (request) socket.close(request.code, request.reason);
      else if (options.fragment) sendInFragments(socket, data, binary);
      else socket.send(data, { binary });
    });
  });
  listen(server);
}

function sendInFragments(socket, data, binary) {
  const parts = fragments(data, options.fragment);
  parts.forEach((part, index) => socket.send(part, { binary, fin: index === parts.length - 1 }));
}

function serveWebSocketNode() {
  refuse(options, ['compression']);
  const WebSocketServer = require('websocket').server;
  const server = http.createServer((_, response) => response.writeHead(404).end());
  const sockets = new WebSocketServer({
    httpServer: server,
    autoAcceptConnections: false,
    maxReceivedFrameSize: LARGEST_MESSAGE,
    maxReceivedMessageSize: LARGEST_MESSAGE,
    fragmentOutgoingMessages: options.fragment !== undefined,
    fragmentationThreshold: options.fragment ?? LARGEST_MESSAGE,
  });
  sockets.on('request', (request) => {
    const subprotocol = options.subprotocols.find((name) => request.requestedProtocols.includes(name));
    const connection = request.accept(subprotocol, request.origin);
    report('open', { subprotocol: subprotocol ?? '', extensions: '' });
    connection.on('error', (error) => report('error', { message: error.message }));
    connection.on('close', (code, reason) => report('closed', { code, reason }));
    connection.on('message', (message) => {
      if (message.type === 'binary') {
        connection.sendBytes(message.binaryData);
        return;
      }
      const wanted = closeRequest(message.utf8Data);
      if (wanted) connection.close(wanted.code, wanted.reason);
      else connection.sendUTF(message.utf8Data);
    });
  });
  listen(server);
}
