// The JavaScript for what was just done, as a person would write it.
//
// An action is one of
//   {type: 'connect', url, protocols, binaryType, reconnect}
//   {type: 'send', source, repeat?: {interval, count}}   source as built by payload.js
//   {type: 'close', arguments}
//   {type: 'binaryType', value}
// Only literals made by JSON.stringify enter the code, so that whatever was typed stays data.

import { PATTERN, RANDOM_ALPHABET } from './generate.js';
import { PLACEHOLDER } from './payload.js';

/** Longer payloads are cut in the panel, with a comment that says so. */
const LONGEST_LITERAL = 2000;
const LONGEST_BYTES = 64;

/** @returns {string} the code of one action by itself */
export function stepCode(action) {
  switch (action.type) {
    case 'connect':
      return `${connectCode(action)}\n`;
    case 'send':
      return `${prepare(action.source)}${sendCode(action)}\n`;
    case 'close':
      return `socket.close(${action.arguments.map((value) => JSON.stringify(value)).join(', ')});\n`;
    default:
      return `socket.binaryType = ${JSON.stringify(action.value)};\n`;
  }
}

/** @returns {string} a program that does all of the actions; the first is a connect */
export function programCode(actions) {
  const [first, ...rest] = actions;
  if (first?.type !== 'connect') return '';
  let binaryType = first.binaryType;
  const body = [];
  const prepared = new Set();
  let repeats = 0;
  for (const action of rest) {
    if (action.type === 'binaryType') {
      binaryType = action.value;
    } else if (action.type === 'send') {
      prepared.add(prepare(action.source));
      if (action.repeat) repeats += 1;
      body.push(sendCode(action, repeats > 1 ? String(repeats) : ''));
    } else {
      body.push(stepCode(action).trimEnd());
    }
  }
  return `${[...prepared].join('')}${connectCode({ ...first, binaryType }, body)}\n`;
}

function connectCode({ url, protocols, binaryType, reconnect }, openBody = []) {
  const list = protocols.map((name) => JSON.stringify(name)).join(', ');
  const names = protocols.length === 1 ? list : `[${list}]`;
  const construct = `new WebSocket(${JSON.stringify(url)}${protocols.length > 0 ? `, ${names}` : ''})`;
  const opened = ['console.log("open", socket.protocol, socket.extensions);', ...openBody];
  const lines = [
    ...(binaryType === 'arraybuffer' ? ['socket.binaryType = "arraybuffer";'] : []),
    '',
    ...listener('open', '()', opened),
    ...listener('message', '(event)', ['console.log("message", event.data);']),
    ...listener('error', '()', ['console.log("error");']),
    ...listener('close', '(event)', ['console.log("close", event.code, event.reason, event.wasClean);']),
  ];
  if (!reconnect?.on) return [`const socket = ${construct};`, ...lines].join('\n');

  const { first, longest, attempts } = reconnect;
  const giveUp = attempts > 0 ? [`if (attempt >= ${attempts}) return;`] : [];
  const again = [
    ...giveUp,
    `const wait = Math.min(${longest}, ${first} * 2 ** attempt) * (0.5 + Math.random() / 2);`,
    'attempt += 1;',
    'setTimeout(connect, wait);',
  ];
  return [
    'let socket;',
    'let attempt = 0;',
    '',
    'function connect() {',
    ...indent([`socket = ${construct};`, ...lines, ...listener('close', '()', again)]),
    '}',
    '',
    'connect();',
  ].join('\n');
}

function listener(name, parameters, body) {
  return [`socket.addEventListener("${name}", ${parameters} => {`, ...indent(body), '});'];
}

function indent(lines) {
  return lines.flatMap((line) => line.split('\n')).map((line) => (line === '' ? '' : `  ${line}`));
}

/** `suffix` keeps the names apart when a program repeats more than one message. */
function sendCode({ source, repeat }, suffix = '') {
  if (repeat === undefined) return `socket.send(${expression(source)});`;
  const [timer, sent] = [`timer${suffix}`, `sent${suffix}`];
  const template =
    typeof source.text === 'string' && PLACEHOLDER.test(source.text) && source.text.length <= LONGEST_LITERAL;
  const counting = repeat.count > 0 || template;
  return [
    ...(counting ? [`let ${sent} = 0;`] : []),
    `const ${timer} = setInterval(() => {`,
    ...indent([
      ...(counting ? [`${sent} += 1;`] : []),
      `socket.send(${template ? templateLiteral(source.text, sent) : expression(source)});`,
      ...(repeat.count > 0 ? [`if (${sent} === ${repeat.count}) clearInterval(${timer});`] : []),
    ]),
    `}, ${repeat.interval});`,
  ].join('\n');
}

/** The text of a repeated message, with its placeholders filled in at each sending. */
function templateLiteral(text, counter) {
  const values = { n: `\${${counter}}`, time: '${new Date().toISOString()}' };
  const parts = text.split(new RegExp(PLACEHOLDER, 'g'));
  // The pattern has one group, so that names stand at the odd places.
  const code = parts.map((part, index) => (index % 2 === 1 ? values[part] : escaped(part)));
  return `\`${code.join('')}\``;
}

function escaped(text) {
  return JSON.stringify(text)
    .slice(1, -1)
    .replace(/\\"/g, '"')
    .replace(/`|\$\{/g, '\\$&');
}

const FILE_LINES = `// <input type="file">
const [file] = document.querySelector("input[type=file]").files;

`;
const RANDOM_LINES = `function randomBytes(size) {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += 65536) crypto.getRandomValues(bytes.subarray(at, at + 65536));
  return bytes;
}

`;

/** Lines that must stand before the message can be named. */
function prepare(source) {
  if (source.kind === 'file') return FILE_LINES;
  return source.kind === 'generate' && source.fill === 'random' ? RANDOM_LINES : '';
}

function expression(source) {
  switch (source.kind) {
    case 'json':
      return jsonExpression(source.text);
    case 'text':
      return textLiteral(source.text);
    case 'hex':
      return bytesLiteral(source.bytes);
    case 'file':
      return 'file';
    default:
      return generateExpression(source);
  }
}

function jsonExpression(text) {
  if (text.length > 2 * LONGEST_LITERAL) return textLiteral(text);
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    return textLiteral(text);
  }
  const literal = JSON.stringify(value, null, 2);
  // As a literal, __proto__ would set the prototype; numbers such as 1e2 and repeated keys would not come out as typed.
  const same = JSON.stringify(value) === withoutSpace(text) && !literal.includes('"__proto__"');
  if (!same || literal.length > LONGEST_LITERAL) return textLiteral(text);
  // Strings in JSON have no line breaks, so a quoted name at the beginning of a line is a key.
  const object = literal.replace(/^( *)"([A-Za-z_$][\w$]*)":/gm, '$1$2:');
  return text.includes('\n') ? `JSON.stringify(${object}, null, 2)` : `JSON.stringify(${object})`;
}

/** JSON without the space between its tokens. */
function withoutSpace(json) {
  return json.replace(/("(?:[^"\\]|\\.)*")|\s+/g, '$1');
}

function textLiteral(text) {
  if (text.length <= LONGEST_LITERAL) return JSON.stringify(text);
  const rest = text.length - LONGEST_LITERAL;
  return `${JSON.stringify(text.slice(0, LONGEST_LITERAL))} /* … ${rest} more characters */`;
}

function bytesLiteral(bytes) {
  const shown = Array.from(bytes.subarray(0, LONGEST_BYTES), (byte) => `0x${byte.toString(16).padStart(2, '0')}`);
  const rest = bytes.length - shown.length;
  return `new Uint8Array([${shown.join(', ')}${rest > 0 ? ` /* … ${rest} more bytes */` : ''}])`;
}

function generateExpression({ size, type, fill }) {
  if (fill === 'random') {
    const random = `randomBytes(${size})`;
    if (type === 'binary') return random;
    return `Array.from(${random}, (byte) => ${JSON.stringify(RANDOM_ALPHABET)}[byte & 63]).join("")`;
  }
  if (type === 'binary') return `Uint8Array.from({ length: ${size} }, (_, index) => index)`;
  return `${JSON.stringify(PATTERN)}.repeat(${Math.ceil(size / PATTERN.length)}).slice(0, ${size})`;
}
