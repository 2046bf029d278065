import assert from 'node:assert/strict';
import test from 'node:test';
import { EchoMatcher, KEY_EDGE_BYTES, binaryKey, bytesKey, textKey } from '../console/rtt.js';

test('an_echo_gets_the_time_since_it_was_sent', () => {
  const echoes = new EchoMatcher();
  echoes.sent(textKey('a'), 100);
  assert.equal(echoes.received(textKey('a'), 107.5), 7.5);
  assert.equal(echoes.received(textKey('a'), 108), undefined);
});

test('equal_messages_are_matched_oldest_first', () => {
  const echoes = new EchoMatcher();
  echoes.sent(textKey('a'), 1);
  echoes.sent(textKey('a'), 2);
  assert.equal(echoes.received(textKey('a'), 10), 9);
  assert.equal(echoes.received(textKey('a'), 10), 8);
});

test('a_message_that_was_never_sent_is_no_echo', () => {
  const echoes = new EchoMatcher();
  echoes.sent(textKey('a'), 1);
  assert.equal(echoes.received(textKey('greeting'), 2), undefined);
  assert.equal(echoes.received(textKey('a'), 3), 2);
});

test('text_and_bytes_of_the_same_content_are_different_messages', () => {
  const echoes = new EchoMatcher();
  echoes.sent(textKey('abc'), 1);
  assert.equal(echoes.received(bytesKey(new TextEncoder().encode('abc')), 2), undefined);
});

test('echoes_out_of_order_are_matched_by_content', () => {
  const echoes = new EchoMatcher();
  echoes.sent(textKey('a'), 1);
  echoes.sent(textKey('b'), 2);
  assert.equal(echoes.received(textKey('b'), 5), 3);
  assert.equal(echoes.received(textKey('a'), 6), 5);
});

test('a_server_that_never_echoes_does_not_make_it_grow', () => {
  const echoes = new EchoMatcher();
  for (let n = 0; n < 50_000; n += 1) echoes.sent(textKey(String(n)), n / 1000);
  assert.equal(echoes.waiting, 4096);
  assert.equal(echoes.received(textKey('0'), 60), undefined);
  assert.equal(echoes.received(textKey('49999'), 60), 60 - 49.999);
});

test('what_comes_back_after_a_minute_is_no_echo', () => {
  const echoes = new EchoMatcher();
  echoes.sent(textKey('a'), 0);
  assert.equal(echoes.received(textKey('a'), 60_001), undefined);
  assert.equal(echoes.waiting, 0);
});

test('forgetting_an_old_message_leaves_a_younger_equal_one', () => {
  const echoes = new EchoMatcher();
  echoes.sent(textKey('a'), 0);
  assert.equal(echoes.received(textKey('a'), 1), 1);
  echoes.sent(textKey('a'), 50_000);
  assert.equal(echoes.received(textKey('a'), 70_000), 20_000);
});

test('large_messages_are_told_apart_by_length_and_ends', () => {
  const long = 'x'.repeat(10_000);
  assert.equal(textKey(long), textKey('x'.repeat(10_000)));
  assert.notEqual(textKey(long), textKey(`${long}x`));
  assert.notEqual(textKey(`a${long}`), textKey(`${long}a`));
  assert.ok(textKey(long).length < 5000);

  const bytes = new Uint8Array(KEY_EDGE_BYTES * 3);
  const other = bytes.slice();
  other[other.length - 1] = 1;
  assert.notEqual(bytesKey(bytes), bytesKey(other));
  assert.equal(bytesKey(bytes), binaryKey(bytes.length, bytes.slice(0, KEY_EDGE_BYTES), bytes.slice(-KEY_EDGE_BYTES)));
});
