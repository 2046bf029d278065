import assert from 'node:assert/strict';
import test from 'node:test';
import { checkComposer } from '../console/payload.js';
import {
  DEFAULT_COMPOSER,
  DEFAULT_TARGET,
  EXAMPLES,
  MAX_PRESETS,
  capturePreset,
  mergePresets,
  parsePresets,
  serializePresets,
} from '../console/presets.js';

const state = {
  target: {
    ...DEFAULT_TARGET,
    url: 'wss://a/b',
    protocols: 'chat',
    binaryType: 'arraybuffer',
    reconnect: { on: true, first: 500, longest: 9000, attempts: 3 },
  },
  composer: { ...DEFAULT_COMPOSER, kind: 'hex', hex: '01', file: {} },
};

test('an_exported_preset_is_imported_unchanged', () => {
  const preset = capturePreset('mine', state);
  assert.deepEqual(parsePresets(serializePresets([preset])), [preset]);
  assert.deepEqual(preset.target, state.target);
  assert.equal('file' in preset.composer, false);
});

test('files_of_another_kind_are_refused', () => {
  for (const text of [
    '',
    '{',
    'null',
    '[]',
    '{"format":"other","version":1,"presets":[]}',
    '{"format":"sockeye-console-presets","version":2,"presets":[]}',
    '{"format":"sockeye-console-presets","version":1,"presets":{}}',
  ]) {
    assert.equal(parsePresets(text), undefined, text);
  }
});

test('fields_that_make_no_sense_become_defaults', () => {
  const presets = [
    null,
    5,
    {},
    { name: ' ' },
    {
      name: 'x'.repeat(500),
      target: { url: 5, binaryType: 'z', reconnect: { on: 'yes', first: -1, longest: 1e99, attempts: 'many' } },
      composer: { kind: 'evil', text: {}, __proto__: null },
    },
  ];
  const [preset, ...others] = parsePresets(JSON.stringify({ format: 'sockeye-console-presets', version: 1, presets }));
  assert.deepEqual(others, []);
  assert.equal(preset.name.length, 80);
  assert.deepEqual(preset.target, DEFAULT_TARGET);
  assert.deepEqual(preset.composer, DEFAULT_COMPOSER);
});

test('no_more_than_the_limit_is_read', () => {
  const presets = Array.from({ length: MAX_PRESETS + 10 }, (_, index) => ({ name: String(index) }));
  assert.equal(parsePresets(serializePresets(presets)).length, MAX_PRESETS);
});

test('a_preset_with_the_same_name_is_replaced', () => {
  const [a, b, newer] = [
    capturePreset('a', state),
    capturePreset('b', state),
    capturePreset('a', { ...state, composer: DEFAULT_COMPOSER }),
  ];
  assert.deepEqual(mergePresets([a, b], [newer]), [newer, b]);
});

test('every_example_can_be_sent', () => {
  for (const { name, composer } of EXAMPLES) {
    // {{n}} is filled in before a repetition goes out.
    const filled = { ...DEFAULT_COMPOSER, ...composer, json: (composer.json ?? '{}').replace('{{n}}', '1') };
    assert.equal(checkComposer(filled).error, undefined, name);
  }
});
