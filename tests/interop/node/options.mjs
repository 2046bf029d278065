// What the peers have in common: their options, their output, the messages that clients send.

import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';

/** Loads a package of `.tools/node`, where `cargo xtask setup` installs them. */
export const require = createRequire(new URL('../../../.tools/node/package.json', import.meta.url));

/** Large enough for every message of these tests. */
export const LARGEST_MESSAGE = 16 << 20;

/** Reads the command line; see the README beside this folder. */
export function readOptions() {
  const { values } = parseArgs({
    options: {
      library: { type: 'string' },
      url: { type: 'string' },
      compression: { type: 'boolean', default: false },
      'server-max-window-bits': { type: 'string' },
      'client-max-window-bits': { type: 'string' },
      'server-no-context-takeover': { type: 'boolean', default: false },
      'client-no-context-takeover': { type: 'boolean', default: false },
      subprotocols: { type: 'string', default: '' },
      fragment: { type: 'string' },
      close: { type: 'string', default: '1000' },
      reason: { type: 'string', default: '' },
      ask: { type: 'boolean', default: false },
    },
  });
  const number = (name) => (values[name] === undefined ? undefined : Number(values[name]));
  return {
    ...values,
    serverMaxWindowBits: number('server-max-window-bits'),
    clientMaxWindowBits: number('client-max-window-bits'),
    subprotocols: values.subprotocols.split(',').filter(Boolean),
    fragment: number('fragment'),
    close: number('close'),
  };
}

/** Fails when an option was given that the library has nothing for. */
export function refuse(options, names) {
  for (const name of names) {
    if (options[name]) throw new Error(`${options.library} has no --${name}`);
  }
}

/** The `perMessageDeflate` option of `ws`. */
export function deflateOptions(options) {
  if (!options.compression) return false;
  return {
    threshold: 0,
    // `false` would refuse the parameter, not just go without it.
    ...(options['server-no-context-takeover'] && { serverNoContextTakeover: true }),
    ...(options['client-no-context-takeover'] && { clientNoContextTakeover: true }),
    ...(options.serverMaxWindowBits && { serverMaxWindowBits: options.serverMaxWindowBits }),
    ...(options.clientMaxWindowBits && { clientMaxWindowBits: options.clientMaxWindowBits }),
  };
}

/** Prints one event for the test to read. */
export function report(event, facts) {
  process.stdout.write(`${JSON.stringify({ event, ...facts })}\n`);
}

/** Understands `close CODE REASON`. */
export function closeRequest(text) {
  const match = /^close (\d+) ?(.*)$/su.exec(text);
  return match && { code: Number(match[1]), reason: match[2] };
}

/** Cuts bytes into fragments of `size`; nothing is still one fragment. */
export function fragments(bytes, size) {
  const parts = [];
  for (let from = 0; from < bytes.length; from += size) parts.push(bytes.subarray(from, from + size));
  return parts.length === 0 ? [bytes] : parts;
}

/**
 * What a client sends: strings as text, Buffers as binary messages.
 *
 * The long ones repeat themselves at distances from a few bytes to more than 32 KiB, so that a compressor or
 * decompressor with the wrong window is found out.
 */
export function messages() {
  const all256 = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
  const noise = pseudoRandomBytes(40_000);
  const words = 'Sockeye swims both ways. 红鲑鱼两个方向都游。 ';
  return [
    '',
    'hello',
    'héllo, 世界 🐟',
    Buffer.alloc(0),
    all256,
    words.repeat(2_500),
    Buffer.concat([noise, noise.subarray(0, 300), noise]),
    'hello',
  ];
}

/** A small linear congruential generator: the same bytes in every run. */
function pseudoRandomBytes(length) {
  const bytes = Buffer.alloc(length);
  let state = 1;
  for (let index = 0; index < length; index += 1) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    bytes[index] = state >>> 16;
  }
  return bytes;
}
