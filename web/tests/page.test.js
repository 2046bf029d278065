import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import test from 'node:test';

const root = new URL('../', import.meta.url);
const html = readFileSync(new URL('index.html', root), 'utf8');
const files = readdirSync(new URL('console/', root));
const read = (name) => readFileSync(new URL(`console/${name}`, root), 'utf8');

test('the_page_has_no_inline_script_style_or_handler', () => {
  assert.doesNotMatch(html, /<script(?![^>]*\ssrc=)/);
  assert.doesNotMatch(html, /<style|\sstyle=|\son[a-z]+=|="javascript:/i);
  for (const name of files.filter((file) => file.endsWith('.svg')))
    assert.doesNotMatch(read(name), /<script|<style|\sstyle=/);
});

test('nothing_on_the_page_parses_markup_or_code', () => {
  for (const name of files.filter((file) => file.endsWith('.js'))) {
    assert.doesNotMatch(
      read(name),
      /innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|\beval\(|new Function/,
      name,
    );
  }
});

test('nothing_is_fetched_from_elsewhere', () => {
  for (const text of [html, ...files.filter((file) => file.endsWith('.css')).map(read)]) {
    assert.doesNotMatch(text, /(?:src|href)="(?:https?:)?\/\/|url\(|@import/);
  }
});

test('every_file_the_page_names_exists', () => {
  const named = [...html.matchAll(/(?:src|href)="(console\/[^"]+)"/g)].map((match) => match[1]);
  for (const source of files.filter((file) => file.endsWith('.js'))) {
    named.push(...[...read(source).matchAll(/from '\.\/([^']+)'/g)].map((match) => `console/${match[1]}`));
  }
  assert.ok(named.length > 30);
  for (const name of named) assert.ok(existsSync(new URL(name, root)), name);
});

test('ids_and_test_ids_are_unique', () => {
  for (const attribute of ['id', 'data-testid']) {
    const all = [...html.matchAll(new RegExp(`\\s${attribute}="([^"]+)"`, 'g'))].map((match) => match[1]);
    assert.deepEqual(
      all.filter((id, index) => all.indexOf(id) !== index),
      [],
      attribute,
    );
  }
});

test('labels_and_descriptions_point_at_elements', () => {
  const ids = new Set([...html.matchAll(/\sid="([^"]+)"/g)].map((match) => match[1]));
  const references = [...html.matchAll(/\s(?:for|aria-(?:controls|labelledby|describedby)|list)="([^"]+)"/g)].flatMap(
    (match) => match[1].split(' '),
  );
  for (const id of references) assert.ok(ids.has(id), id);
});

test('every_id_a_script_asks_for_is_in_the_page', () => {
  const ids = new Set([...html.matchAll(/\sid="([^"]+)"/g)].map((match) => match[1]));
  for (const name of files.filter((file) => file.endsWith('.js'))) {
    for (const [, id] of read(name).matchAll(/byId\('([^']+)'\)/g)) assert.ok(ids.has(id), `${name}: ${id}`);
  }
});

test('the_readme_lists_exactly_the_test_ids_there_are', () => {
  const readme = readFileSync(new URL('README.md', root), 'utf8');
  const table = readme.slice(readme.indexOf('## Test ids'));
  const rows = [...table.matchAll(/^\| (`.*?) \|/gm)].map((match) => match[1]);
  const listed = rows.flatMap((row) => [...row.matchAll(/`([a-z0-9-]+)`/g)].map((match) => match[1]));
  const made = files
    .filter((file) => file.endsWith('.js'))
    .flatMap((name) => [
      ...[...read(name).matchAll(/'data-testid': '([^']+)'/g)].map((match) => match[1]),
      ...[...read(name).matchAll(/'(payload-[a-z]+)'/g)].map((match) => match[1]),
    ]);
  const inPage = [...html.matchAll(/\sdata-testid="([^"]+)"/g)].map((match) => match[1]);
  const views = ['payload-json', 'payload-text', 'payload-hex'];
  assert.deepEqual([...new Set(listed)].sort(), [...new Set([...inPage, ...made, ...views])].sort());
});
