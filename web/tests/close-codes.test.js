import assert from 'node:assert/strict';
import test from 'node:test';
import { checkCloseArguments, explainCloseCode } from '../console/close-codes.js';
import { LANGUAGES } from '../console/i18n.js';

test('every_number_is_explained_in_every_language', () => {
  for (let code = 0; code <= 5100; code += 1) {
    const { name, text } = explainCloseCode(code);
    for (const table of Object.values(LANGUAGES)) assert.ok(table[name] && table[text], `${code}`);
  }
});

test('ranges_have_their_own_explanations', () => {
  const names = Object.fromEntries(
    [999, 1000, 1006, 1016, 2999, 3001, 3000, 4001, 4999, 5000].map((code) => [code, explainCloseCode(code).name]),
  );
  assert.deepEqual(names, {
    999: 'close.invalid.name',
    1000: 'close.1000.name',
    1006: 'close.1006.name',
    1016: 'close.reserved.name',
    2999: 'close.reserved.name',
    3000: 'close.3000.name',
    3001: 'close.registered.name',
    4001: 'close.private.name',
    4999: 'close.private.name',
    5000: 'close.invalid.name',
  });
});

test('codes_that_never_travel_are_marked', () => {
  const local = [];
  for (let code = 1000; code < 5000; code += 1) if (explainCloseCode(code).local) local.push(code);
  assert.deepEqual(local, [1005, 1006, 1015]);
});

test('close_arguments_follow_the_rules_of_the_browser', () => {
  const arguments_ = (code, reason = '') => checkCloseArguments(code, reason).arguments;
  assert.deepEqual(arguments_(''), []);
  assert.deepEqual(arguments_('1000'), [1000]);
  assert.deepEqual(arguments_(' 3001 ', 'bye'), [3001, 'bye']);
  assert.deepEqual(arguments_('4999'), [4999]);
  for (const code of ['0', '999', '1001', '1005', '2999', '5000', '65536', 'x', '1e3', '-3000', '3000.5']) {
    assert.deepEqual(checkCloseArguments(code, ''), { error: 'close.error.code', field: 'code' }, code);
  }
});

test('a_reason_without_a_code_goes_with_1000', () => {
  assert.deepEqual(checkCloseArguments('', 'bye'), { arguments: [1000, 'bye'] });
});

test('a_reason_has_123_bytes_of_utf_8_at_most', () => {
  assert.deepEqual(checkCloseArguments('3000', 'é'.repeat(61)).arguments, [3000, 'é'.repeat(61)]);
  assert.deepEqual(checkCloseArguments('3000', 'é'.repeat(62)), { error: 'close.error.reason', field: 'reason' });
  assert.deepEqual(checkCloseArguments('3000', 'x'.repeat(124)).error, 'close.error.reason');
  assert.equal(checkCloseArguments('1', 'x'.repeat(124)).field, 'code');
});
