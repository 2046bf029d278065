import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import test from 'node:test';
import { LANGUAGES, chooseLanguage, translator } from '../console/i18n.js';

const { en, zh } = LANGUAGES;
const root = new URL('../', import.meta.url);
const html = readFileSync(new URL('index.html', root), 'utf8');
const sources = readdirSync(new URL('console/', root))
  .filter((name) => name.endsWith('.js') && !name.startsWith('lang-'))
  .map((name) => readFileSync(new URL(`console/${name}`, root), 'utf8'));

test('both_languages_have_the_same_keys', () => {
  assert.deepEqual(Object.keys(zh).sort(), Object.keys(en).sort());
});

test('no_words_are_empty', () => {
  for (const table of [en, zh]) for (const [key, text] of Object.entries(table)) assert.notEqual(text.trim(), '', key);
});

test('both_languages_fill_in_the_same_values', () => {
  const names = (text) => [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
  for (const key of Object.keys(en)) {
    const [english, chinese] = [new Set(names(en[key])), new Set(names(zh[key]))];
    // English writes some counts out: “one preset”.
    if (key.endsWith('.one')) for (const name of chinese) english.add(name);
    assert.deepEqual([...chinese].sort(), [...english].sort(), key);
  }
});

test('every_one_has_its_other', () => {
  for (const key of Object.keys(en)) {
    if (key.endsWith('.one')) assert.ok(key.replace(/one$/, 'other') in en, key);
  }
});

test('every_mark_in_the_page_has_words', () => {
  const marks = [...html.matchAll(/data-i18n(?:-\w+)?="([^"]+)"/g)].map((match) => match[1]);
  assert.ok(marks.length > 80);
  for (const key of marks) assert.ok(key in en, key);
});

test('every_key_written_in_the_sources_has_words', () => {
  const written = sources.flatMap((source) =>
    [...source.matchAll(/'([a-zA-Z]+(?:\.[\w-]+)+)'/g)].map((match) => match[1]),
  );
  const keys = written.filter((key) => `${key.split('.')[0]}.` in prefixes());
  assert.ok(keys.length > 100);
  for (const key of keys) assert.ok(key in en || `${key}.other` in en, key);
});

function prefixes() {
  return Object.fromEntries(
    Object.keys(en)
      .filter((key) => key.includes('.'))
      .map((key) => [`${key.split('.')[0]}.`, true]),
  );
}

test('every_key_is_used', () => {
  const text = html + sources.join('\n');
  /** Keys that are put together from parts, by their fixed beginning. */
  const composed =
    /^(close\.(\d+|registered|private|reserved|invalid)\.|kind\.label\.|direction\.|guide\.|handshake\.note\.|shortcut\.|state\.text\.|detail\.(text|json|hex)$)/;
  for (const key of Object.keys(en)) {
    const base = key.replace(/\.(one|other)$/, '');
    assert.ok(
      composed.test(key) || text.includes(`'${base}'`) || text.includes(`"${base}"`) || text.includes(`'${key}'`),
      key,
    );
  }
});

test('values_are_filled_in_once_and_taken_literally', () => {
  const t = translator('en');
  assert.equal(t('presets.loaded', { name: '{name} $& <b>' }), 'Loaded “{name} $& <b>”.');
  assert.equal(t('repeat.hint').includes('{{n}}'), true);
});

test('counts_choose_the_form', () => {
  const t = translator('en');
  assert.equal(t('presets.imported', { count: 1 }), 'Imported one preset.');
  assert.equal(t('presets.imported', { count: 1234 }), 'Imported 1,234 presets.');
  assert.equal(translator('zh')('presets.imported', { count: 2 }), '已导入 2 个预设。');
});

test('missing_words_are_an_error_not_a_blank', () => {
  assert.throws(() => translator('en')('no.such.key'));
});

test('language_follows_memory_then_browser_then_english', () => {
  assert.equal(chooseLanguage('zh', ['en']), 'zh');
  assert.equal(chooseLanguage(null, ['fr-FR', 'zh-TW', 'en']), 'zh');
  assert.equal(chooseLanguage(null, ['en-GB', 'zh']), 'en');
  assert.equal(chooseLanguage('xx', ['fr']), 'en');
});
