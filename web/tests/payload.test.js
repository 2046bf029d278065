import assert from 'node:assert/strict';
import test from 'node:test';
import { generateMessage } from '../console/generate.js';
import { buildMessage, checkComposer } from '../console/payload.js';
import { DEFAULT_COMPOSER } from '../console/presets.js';

const composer = (patch) => ({ ...DEFAULT_COMPOSER, ...patch });

test('sizes_are_bytes_not_characters', () => {
  assert.deepEqual(checkComposer(composer({ kind: 'text', text: 'é🐟' })), { size: 6 });
  assert.equal(checkComposer(composer({ kind: 'hex', hex: '00 ff' })).size, 2);
  assert.equal(checkComposer(composer({ kind: 'generate', size: '1.5 KiB' })).size, 1536);
});

test('an_empty_text_is_a_message', () => {
  assert.deepEqual(checkComposer(composer({ kind: 'text', text: '' })), { size: 0 });
  assert.equal(buildMessage(composer({ kind: 'text', text: '' })).data, '');
});

test('json_is_checked_and_sent_as_typed', () => {
  assert.deepEqual(checkComposer(composer({ kind: 'json', json: '{"a": 1}' })).note, {
    key: 'json.note.object',
    count: 1,
  });
  assert.equal(checkComposer(composer({ kind: 'json', json: '{"a": }' })).position, 6);
  assert.equal(buildMessage(composer({ kind: 'json', json: '{"a":  1}' })).data, '{"a":  1}');
});

test('generated_sizes_are_limited', () => {
  assert.equal(checkComposer(composer({ kind: 'generate', size: '129 MiB' })).error, 'generate.error.large');
  for (const size of ['', '-1', '1.5', 'many', '1 TiB'])
    assert.equal(checkComposer(composer({ kind: 'generate', size })).error, 'generate.error.size', size);
});

test('generated_messages_have_the_asked_size_and_type', () => {
  for (const fill of ['pattern', 'random']) {
    for (const size of [0, 1, 17, 65_536, 70_001]) {
      const text = generateMessage(size, { type: 'text', fill });
      const bytes = generateMessage(size, { type: 'binary', fill });
      assert.deepEqual([typeof text, text.length, bytes.length], ['string', size, size]);
      assert.match(text, /^[\w-]*$/);
    }
  }
  assert.deepEqual([...generateMessage(258, { type: 'binary', fill: 'pattern' }).slice(254)], [254, 255, 0, 1]);
});

test('repeated_messages_count', () => {
  const values = { n: 7, time: 'T' };
  assert.equal(buildMessage(composer({ text: '{{n}} at {{time}}, {{other}}' }), values).data, '7 at T, {{other}}');
  assert.equal(buildMessage(composer({ text: '{{n}}' })).data, '{{n}}');
});

test('a_file_must_be_chosen', () => {
  assert.equal(checkComposer(composer({ kind: 'file' })).error, 'file.error.none');
});
