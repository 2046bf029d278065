import assert from 'node:assert/strict';
import test from 'node:test';
import { BoundedList } from '../console/bounded-list.js';
import { FilteredLog, KEPT_IN_ALL, KEPT_PER_ENTRY, MessageLog, keepBytes, keepText } from '../console/log.js';
import { logAsJson, logAsText } from '../console/log-export.js';
import { wordsFor } from '../console/i18n.js';

const words = wordsFor('en');
const message = (text, direction = 'sent') => ({ time: 0, kind: 'text', direction, size: text.length, text });
const shownTexts = (filtered) => [...filtered].map((entry) => entry.text);
const view = (log) => new FilteredLog(log, (entry) => `event ${entry.kind}`);

test('bounded_list_drops_the_oldest', () => {
  const list = new BoundedList(3);
  for (let n = 0; n < 20_000; n += 1) list.push(n);
  assert.deepEqual([...list], [19_997, 19_998, 19_999]);
  assert.equal(list.at(0), 19_997);
  assert.equal(list.at(-1), undefined);
  assert.equal(list.last(), 19_999);
});

test('the_log_keeps_its_limit_and_counts_what_it_dropped', () => {
  const log = new MessageLog(10);
  for (let n = 1; n <= 25; n += 1) log.add(message(String(n)));
  assert.deepEqual([log.length, log.dropped, log.firstId], [10, 15, 16]);
  assert.equal(log.byId(16).text, '16');
  assert.equal(log.byId(15), undefined);
  log.setLimit(4);
  assert.deepEqual([log.length, log.dropped, log.firstId], [4, 21, 22]);
});

test('old_payloads_make_room_for_new_ones', () => {
  const log = new MessageLog(1000);
  const count = KEPT_IN_ALL / KEPT_PER_ENTRY;
  const payload = new Uint8Array(KEPT_PER_ENTRY);
  for (let n = 0; n < count + 5; n += 1)
    log.add({ time: 0, kind: 'binary', direction: 'sent', size: payload.length, bytes: payload });
  const states = [...log].map((entry) => entry.forgotten === true);
  assert.deepEqual(states.slice(0, 6), [true, true, true, true, true, false]);
  assert.equal(states.filter(Boolean).length, 5);
});

test('payloads_that_are_learned_later_count_too', () => {
  const log = new MessageLog(1000);
  const entries = Array.from({ length: KEPT_IN_ALL / KEPT_PER_ENTRY + 1 }, () =>
    log.add({ time: 0, kind: 'binary', size: KEPT_PER_ENTRY }),
  );
  for (const entry of entries) log.amend(entry, { bytes: new Uint8Array(KEPT_PER_ENTRY) });
  assert.equal(entries[0].forgotten, true);
  assert.equal(entries[1].forgotten, undefined);
  assert.ok(entries[0].version > 1);
});

test('long_payloads_are_cut', () => {
  assert.deepEqual(keepText('short'), { text: 'short' });
  const kept = keepText('x'.repeat(KEPT_PER_ENTRY + 1));
  assert.deepEqual([kept.text.length, kept.cut], [KEPT_PER_ENTRY, true]);
  assert.equal(keepBytes(new Uint8Array(5)).cut, undefined);
  assert.equal(keepBytes(new Uint8Array(KEPT_PER_ENTRY + 1)).cut, true);
});

test('filter_by_text_direction_and_kind', () => {
  const log = new MessageLog(100);
  log.add(message('Apple'));
  log.add(message('apple pie', 'received'));
  log.add({ time: 0, kind: 'close', facts: {} });
  log.add({ time: 0, kind: 'binary', direction: 'received', size: 1, bytes: Uint8Array.of(1) });
  const filtered = view(log);
  const count = (filter) => {
    filtered.setFilter({ text: '', direction: 'all', kind: 'all', ...filter });
    return filtered.length;
  };
  assert.equal(count({}), 4);
  assert.equal(count({ text: 'APPLE' }), 2);
  assert.equal(count({ text: 'apple', direction: 'received' }), 1);
  assert.equal(count({ kind: 'event' }), 1);
  assert.equal(count({ kind: 'binary' }), 1);
  assert.equal(count({ text: 'event close' }), 1);
});

test('a_filtered_view_follows_the_log', () => {
  const log = new MessageLog(5);
  const filtered = view(log);
  filtered.setFilter({ text: 'even', direction: 'all', kind: 'all' });
  for (let n = 0; n < 8; n += 1) log.add(message(`${n % 2 ? 'odd' : 'even'} ${n}`));
  assert.equal(filtered.update(), 0);
  assert.deepEqual(shownTexts(filtered), ['even 4', 'even 6']);
  for (let n = 8; n < 11; n += 1) log.add(message(`${n % 2 ? 'odd' : 'even'} ${n}`));
  assert.equal(filtered.update(), 1);
  assert.deepEqual(shownTexts(filtered), ['even 6', 'even 8', 'even 10']);
  assert.equal(filtered.indexOf(filtered.at(1).id), 1);
  assert.equal(filtered.indexOf(4), -1);
});

test('a_held_view_shows_nothing_newer_until_released', () => {
  const log = new MessageLog(100);
  const filtered = view(log);
  log.add(message('a'));
  filtered.update();
  filtered.hold();
  log.add(message('b'));
  log.add(message('c'));
  filtered.update();
  assert.deepEqual(shownTexts(filtered), ['a']);
  assert.equal(filtered.waiting, 2);
  filtered.release();
  filtered.update();
  assert.deepEqual(shownTexts(filtered), ['a', 'b', 'c']);
});

test('a_cleared_log_empties_its_view', () => {
  const log = new MessageLog(100);
  const filtered = view(log);
  log.add(message('a'));
  filtered.update();
  log.clear();
  filtered.rebuild();
  assert.equal(filtered.length, 0);
  log.add(message('b'));
  filtered.update();
  assert.deepEqual(shownTexts(filtered), ['b']);
});

test('saved_json_is_json_with_every_payload', () => {
  const log = new MessageLog();
  log.add({ ...message('hi "there"'), rtt: 1.23456 });
  log.add({ time: 1, kind: 'binary', direction: 'received', size: 20_000, bytes: new Uint8Array(20_000).fill(7) });
  log.add({
    time: 2,
    kind: 'close',
    facts: { key: 'event.close', code: 3001, reason: 'bye', clean: true, opened: true },
  });
  const saved = JSON.parse(logAsJson(log, new Date(0)).join(''));
  assert.equal(saved.savedAt, '1970-01-01T00:00:00.000Z');
  assert.equal(saved.entries[0].text, 'hi "there"');
  assert.equal(saved.entries[0].rttMilliseconds, 1.235);
  assert.deepEqual(Buffer.from(saved.entries[1].base64, 'base64'), Buffer.alloc(20_000, 7));
  assert.deepEqual([saved.entries[2].event, saved.entries[2].code, saved.entries[2].reason], ['close', 3001, 'bye']);
});

test('saved_text_has_a_headline_and_the_payload', () => {
  const log = new MessageLog();
  log.add({ ...message('two\nlines'), rtt: 2 });
  log.add({ time: 0, kind: 'close', facts: { key: 'event.close', code: 1000, reason: '', clean: true, opened: true } });
  assert.equal(
    logAsText(log, words).join(''),
    '1970-01-01T00:00:00.000Z >> text 9 B rtt 2.00 ms\n    two\n    lines\n1970-01-01T00:00:00.000Z -- Closed: 1000 Normal closure\n',
  );
});
