// The peer Bun, with the publish/subscribe of its own server.

import { LARGEST_MESSAGE, options } from './options.js';

const { certificate, key, compression } = options();
const compress = compression !== 'off';

const server = Bun.serve({
  hostname: '127.0.0.1',
  port: 0,
  tls: certificate ? { cert: Bun.file(certificate), key: Bun.file(key) } : undefined,
  fetch(request, server) {
    const topic = new URL(request.url).pathname;
    if (!server.upgrade(request, { data: { topic } })) {
      return new Response('a WebSocket is expected', { status: 400 });
    }
  },
  websocket: {
    maxPayloadLength: LARGEST_MESSAGE,
    backpressureLimit: LARGEST_MESSAGE,
    idleTimeout: 960,
    perMessageDeflate: compress && { compress: compression, decompress: compression },
    open(ws) {
      if (ws.data.topic !== '/') {
        ws.subscribe(ws.data.topic);
      }
    },
    message(ws, message) {
      if (ws.data.topic === '/') {
        ws.send(message, compress);
      } else {
        server.publish(ws.data.topic, message, compress);
      }
    },
  },
});

console.log(server.port);
