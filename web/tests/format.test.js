import assert from 'node:assert/strict';
import test from 'node:test';
import { formatBytes, formatSpan, formatUptime, oneLine, parseSize, utf8Length } from '../console/format.js';
import { RoundTrips, Counters, RTT_WINDOW } from '../console/statistics.js';

test('bytes_have_at_most_three_digits_and_a_unit', () => {
  const cases = {
    0: '0 B',
    1023: '1,023 B',
    1024: '1 KiB',
    1536: '1.5 KiB',
    10_240: '10 KiB',
    1_048_576: '1 MiB',
    67_108_864: '64 MiB',
  };
  for (const [count, text] of Object.entries(cases))
    assert.equal(formatBytes(Number(count)), text.replace(' ', '\u00a0'));
});

test('sizes_are_read_as_people_write_them', () => {
  const cases = {
    0: 0,
    1000: 1000,
    '64 KiB': 65_536,
    '64k': 65_536,
    '64KB': 65_536,
    '1.5 MiB': 1_572_864,
    '2 g': 2 ** 31,
    ' 12 b ': 12,
  };
  for (const [text, size] of Object.entries(cases)) assert.equal(parseSize(text), size, text);
  for (const text of ['', 'x', '1.3', '1 2', '-5', '1e3', '0x10']) assert.equal(parseSize(text), undefined, text);
});

test('spans_switch_to_seconds', () => {
  assert.equal(formatSpan(0.8449), '0.84\u00a0ms');
  assert.equal(formatSpan(12.34), '12.3\u00a0ms');
  assert.equal(formatSpan(1420), '1.42\u00a0s');
});

test('uptime_is_a_clock', () => {
  assert.deepEqual([0, 7_000, 723_000, 11_523_000].map(formatUptime), ['0:00', '0:07', '12:03', '3:12:03']);
});

test('utf_8_length_is_what_the_encoder_writes', () => {
  for (const text of ['', 'abc', 'é', '你好', '🐟', '\ud800', 'a\udc00b', '\ud83d\ud83d\udc1f']) {
    assert.equal(utf8Length(text), new TextEncoder().encode(text).length, JSON.stringify(text));
  }
});

test('one_line_shows_what_cannot_be_seen', () => {
  assert.equal(oneLine('a\nb\tc\u0000d\u202ee'), 'a⏎b→c␀d�e');
  assert.equal(oneLine('x'.repeat(300), 10), `${'x'.repeat(10)}…`);
});

test('round_trips_have_minimum_median_and_maximum', () => {
  const trips = new RoundTrips();
  assert.equal(trips.median, undefined);
  for (const value of [5, 1, 9, 3]) trips.add(value);
  assert.deepEqual([trips.min, trips.median, trips.max, trips.count], [1, 4, 9, 4]);
});

test('the_median_is_over_the_newest_round_trips', () => {
  const trips = new RoundTrips();
  trips.add(1000);
  for (let n = 0; n < RTT_WINDOW; n += 1) trips.add(2);
  assert.deepEqual([trips.median, trips.max, trips.newest(3)], [2, 1000, [2, 2, 2]]);
});

test('rates_are_per_second', () => {
  const counters = new Counters();
  counters.tick(0);
  for (let n = 0; n < 30; n += 1) counters.count('received', 10);
  assert.equal(counters.tick(2000), true);
  assert.deepEqual([counters.sent.perSecond, counters.received.perSecond], [0, 15]);
  counters.tick(3000);
  assert.equal(counters.received.perSecond, 0);
});
