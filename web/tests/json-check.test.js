import assert from 'node:assert/strict';
import test from 'node:test';
import { checkJson } from '../console/json-check.js';

test('valid_json_gives_its_value', () => {
  for (const text of [
    '{"a": [1, 2.5e-3, true, null, "x\\n\\u00e9"]}',
    '[]',
    '{}',
    ' 0 ',
    '"text"',
    '-1.0E+2',
    '[[],{}]',
  ]) {
    assert.deepEqual(checkJson(text), { ok: true, value: JSON.parse(text) });
  }
});

const ERRORS = [
  ['', 'json.error.empty', 1, 1],
  ['  \n ', 'json.error.empty', 1, 1],
  ['{', 'json.error.end', 1, 2],
  ['[1, 2', 'json.error.end', 1, 6],
  ['{"a": ', 'json.error.end', 1, 7],
  ['{"a": 1,\n}', 'json.error.trailingComma', 1, 8],
  ['[1, 2,]', 'json.error.trailingComma', 1, 6],
  ['{"a": 1\n "b": 2}', 'json.error.comma', 2, 2],
  ['[1 2]', 'json.error.comma', 1, 4],
  ['[1}', 'json.error.comma', 1, 3],
  ['{"a" 1}', 'json.error.colon', 1, 6],
  ['{a: 1}', 'json.error.key', 1, 2],
  ["{'a': 1}", 'json.error.quotes', 1, 2],
  ["['a']", 'json.error.quotes', 1, 2],
  ['{"a": undefined}', 'json.error.word', 1, 7],
  ['[True]', 'json.error.word', 1, 2],
  ['[01]', 'json.error.number', 1, 2],
  ['[1.]', 'json.error.number', 1, 2],
  ['[.5]', 'json.error.value', 1, 2],
  ['[-]', 'json.error.number', 1, 2],
  ['[+1]', 'json.error.value', 1, 2],
  ['{"a": "b', 'json.error.openString', 1, 7],
  ['"a\nb"', 'json.error.control', 1, 3],
  ['"\\x41"', 'json.error.escape', 1, 2],
  ['"\\u12g4"', 'json.error.escape', 1, 2],
  ['1 2', 'json.error.extra', 1, 3],
  ['{} x', 'json.error.extra', 1, 4],
  ['{"a": ]}', 'json.error.value', 1, 7],
  ['[,1]', 'json.error.value', 1, 2],
];

test('invalid_json_gives_the_reason_and_the_place', () => {
  for (const [text, error, line, column] of ERRORS) {
    const result = checkJson(text);
    assert.equal(result.ok, false, text);
    assert.deepEqual({ error: result.error, line: result.line, column: result.column }, { error, line, column }, text);
  }
});

test('columns_count_characters_not_utf_16_units', () => {
  const { line, column } = checkJson('{"🐟": x}');
  assert.deepEqual({ line, column }, { line: 1, column: 7 });
});

test('nesting_deeper_than_the_stack_is_no_problem', () => {
  assert.equal(checkJson('['.repeat(1_000_000)).error, 'json.error.end');
});

test('whatever_is_cut_out_of_valid_json_is_judged_like_json_parse_does', () => {
  const text = '{"list": [1, -2.5e3, "a\\"b\\u00e9"], "flag": true, "none": null, "o": {"x": {}}}';
  for (let start = 0; start < text.length; start += 1) {
    for (let length = 1; length <= 3; length += 1) {
      const cut = text.slice(0, start) + text.slice(start + length);
      const result = checkJson(cut);
      let valid = true;
      try {
        JSON.parse(cut);
      } catch {
        valid = false;
      }
      assert.equal(result.ok, valid, cut);
      if (!valid) assert.ok(result.position >= 0 && result.position <= cut.length, cut);
    }
  }
});
