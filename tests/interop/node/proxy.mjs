// Proxies, of packages that people use; see the README beside this folder.

import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

import { report, require } from './options.mjs';

const { values: options } = parseArgs({
  options: {
    package: { type: 'string' },
    user: { type: 'string' },
    password: { type: 'string' },
    certificate: { type: 'string' },
    key: { type: 'string' },
  },
});
const packages = { 'proxy-chain': serveProxyChain, '@pondwader/socks5-server': serveSocks5Server };
await packages[options.package]();

/** HTTP CONNECT, over TLS with a certificate. */
async function serveProxyChain() {
  const { Server } = await import(pathToFileURL(require.resolve('proxy-chain')));
  const server = new Server({
    host: '127.0.0.1',
    port: 0,
    prepareRequestFunction: ({ hostname, port, username, password }) => {
      report('proxied', { to: `${hostname}:${port}` });
      const right = username === options.user && password === options.password;
      return { requestAuthentication: options.user !== undefined && !right };
    },
    ...(options.certificate && {
      serverType: 'https',
      httpsOptions: { cert: readFileSync(options.certificate), key: readFileSync(options.key) },
    }),
  });
  await server.listen();
  report('ready', { port: server.port });
}

/** SOCKS5. */
function serveSocks5Server() {
  const { createServer } = require('@pondwader/socks5-server');
  const server = createServer(
    options.user === undefined ? {} : { auth: { username: options.user, password: options.password } },
  );
  server.setRulesetValidator((connection) => {
    report('proxied', { to: `${connection.destAddress}:${connection.destPort}` });
    return true;
  });
  server.listen(0, '127.0.0.1', () => report('ready', { port: server.server.address().port }));
}
