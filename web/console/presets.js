// Presets: connection and message as they were set, under a name. Reading one back trusts nothing: the text comes from
// storage that other pages of this origin can write, or from a file.

import { KINDS } from './payload.js';
import { remember, remembered } from './storage.js';

const FORMAT = 'sockeye-console-presets';
const VERSION = 1;
export const MAX_PRESETS = 200;
export const MAX_NAME = 80;
/** Of any one text in a preset, in characters: browsers give a page about five million in all. */
const MAX_TEXT = 1_000_000;
const STORED_AS = 'presets';

/** The fields of a preset, with the value that stands in for one that is missing or wrong. */
export const DEFAULT_TARGET = {
  url: '',
  protocols: '',
  binaryType: 'blob',
  reconnect: { on: false, first: 1000, longest: 30_000, attempts: 0 },
};
export const DEFAULT_COMPOSER = {
  kind: 'text',
  text: '',
  json: '{\n  "type": "hello",\n  "to": "sockeye"\n}',
  hex: '53 6f 63 6b 65 79 65 21',
  size: '64 KiB',
  type: 'binary',
  fill: 'pattern',
  interval: '1000',
  count: '',
};

/** Messages that show what there is to try; they leave the connection as it is. */
export const EXAMPLES = [
  { name: 'example.hello', composer: { kind: 'text', text: 'Hello! 你好！' } },
  {
    name: 'example.json',
    composer: {
      kind: 'json',
      json: JSON.stringify({ type: 'subscribe', channels: ['news', 'prices'], options: { replay: 10 } }, null, 2),
    },
  },
  {
    name: 'example.count',
    composer: { kind: 'json', json: '{"n": {{n}}, "sent": "{{time}}"}', interval: '250', count: '40' },
  },
  { name: 'example.unicode', composer: { kind: 'text', text: 'Łosoś · лосось · 红鲑 · ベニザケ · σολομός · 🐟' } },
  { name: 'example.bytes', composer: { kind: 'generate', size: '256', type: 'binary', fill: 'pattern' } },
  { name: 'example.large', composer: { kind: 'generate', size: '1 MiB', type: 'binary', fill: 'random' } },
];

/** What a preset keeps of the page's state; a chosen file is not part of it. */
export function capturePreset(name, { target, composer }) {
  return readPreset({ name, target, composer });
}

export function serializePresets(presets) {
  return JSON.stringify({ format: FORMAT, version: VERSION, presets }, null, 2);
}

/** @returns {object[] | undefined} the valid presets of an exported text; undefined if it is not one */
export function parsePresets(text) {
  let file;
  try {
    file = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (file?.format !== FORMAT || file.version !== VERSION || !Array.isArray(file.presets)) return undefined;
  return file.presets
    .slice(0, MAX_PRESETS)
    .map(readPreset)
    .filter((preset) => preset.name !== '');
}

/** Adds presets to a list; one with the same name is replaced. */
export function mergePresets(list, added) {
  const byName = new Map(list.map((preset) => [preset.name, preset]));
  for (const preset of added) byName.set(preset.name, preset);
  return [...byName.values()];
}

export function storedPresets() {
  return parsePresets(remembered(STORED_AS) ?? '') ?? [];
}

/** @returns {boolean} whether the browser stored them */
export function storePresets(presets) {
  return remember(STORED_AS, serializePresets(presets));
}

function readPreset(value) {
  const target = value?.target ?? {};
  const composer = value?.composer ?? {};
  const reconnect = target.reconnect ?? {};
  return {
    name: text(value?.name, '').slice(0, MAX_NAME).trim(),
    target: {
      url: text(target.url, DEFAULT_TARGET.url),
      protocols: text(target.protocols, DEFAULT_TARGET.protocols),
      binaryType: oneOf(target.binaryType, ['blob', 'arraybuffer']),
      reconnect: {
        on: reconnect.on === true,
        first: number(reconnect.first, 100, 600_000, DEFAULT_TARGET.reconnect.first),
        longest: number(reconnect.longest, 100, 3_600_000, DEFAULT_TARGET.reconnect.longest),
        attempts: Math.floor(number(reconnect.attempts, 0, 10_000, DEFAULT_TARGET.reconnect.attempts)),
      },
    },
    composer: {
      kind: oneOf(composer.kind, KINDS),
      text: text(composer.text, DEFAULT_COMPOSER.text),
      json: text(composer.json, DEFAULT_COMPOSER.json),
      hex: text(composer.hex, DEFAULT_COMPOSER.hex),
      size: text(composer.size, DEFAULT_COMPOSER.size),
      type: oneOf(composer.type, ['binary', 'text']),
      fill: oneOf(composer.fill, ['pattern', 'random']),
      interval: text(composer.interval, DEFAULT_COMPOSER.interval),
      count: text(composer.count, DEFAULT_COMPOSER.count),
    },
  };
}

function text(value, otherwise) {
  return typeof value === 'string' ? value.slice(0, MAX_TEXT) : otherwise;
}

function oneOf(value, allowed) {
  return allowed.includes(value) ? value : allowed[0];
}

function number(value, least, most, otherwise) {
  return typeof value === 'number' && value >= least && value <= most ? value : otherwise;
}
