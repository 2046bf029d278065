// Says whether a text is JSON and, when it is not, where and why.
//
// JSON.parse decides; its error messages differ between browsers and often lack the position, so a scanner
// over the same grammar (RFC 8259) finds the first character that cannot stand where it stands.

import { lineAndColumn } from './text-position.js';

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORD = /[A-Za-z_$][\w$]*/y;

/**
 * @returns {{ok: true, value: any} | {ok: false, error: string, found: string, position: number, line: number, column: number}}
 *   `error` is a key of the language tables
 */
export function checkJson(text) {
  try {
    return { ok: true, value: JSON.parse(text) };
  } catch {
    const { error, position } = locateError(text);
    const found = position < text.length ? String.fromCodePoint(text.codePointAt(position)) : '';
    return { ok: false, error, found, position, ...lineAndColumn(text, position) };
  }
}

function locateError(text) {
  // What may come next: 'value', 'first-value' (or `]`), 'key', 'first-key' (or `}`), 'colon', 'after' (a value).
  let expect = 'value';
  const open = [];
  let at = skipSpace(text, 0);
  if (at === text.length) return { error: 'json.error.empty', position: 0 };

  for (;;) {
    at = skipSpace(text, at);
    const character = text[at];
    if (character === undefined) {
      // Only ever reached with something missing: JSON.parse refused this text.
      return { error: 'json.error.end', position: at };
    }
    if (expect === 'after') {
      const inside = open.at(-1);
      if (inside === undefined) return { error: 'json.error.extra', position: at };
      if (character === ',') {
        expect = inside === '{' ? 'key' : 'value';
        const next = text[skipSpace(text, at + 1)];
        if (next === '}' || next === ']') return { error: 'json.error.trailingComma', position: at };
        at += 1;
      } else if (character === (inside === '{' ? '}' : ']')) {
        open.pop();
        at += 1;
      } else {
        return { error: 'json.error.comma', position: at };
      }
      continue;
    }
    if (expect === 'colon') {
      if (character !== ':') return { error: 'json.error.colon', position: at };
      expect = 'value';
      at += 1;
      continue;
    }
    if (expect === 'key' || expect === 'first-key') {
      if (expect === 'first-key' && character === '}') {
        open.pop();
        expect = 'after';
        at += 1;
        continue;
      }
      if (character === "'") return { error: 'json.error.quotes', position: at };
      if (character !== '"') return { error: 'json.error.key', position: at };
      const end = scanString(text, at);
      if (end.error) return end;
      at = end.position;
      expect = 'colon';
      continue;
    }

    // A value.
    if (expect === 'first-value' && character === ']') {
      open.pop();
      expect = 'after';
      at += 1;
    } else if (character === '{' || character === '[') {
      open.push(character);
      expect = character === '{' ? 'first-key' : 'first-value';
      at += 1;
    } else {
      const end = scanScalar(text, at);
      if (end.error) return end;
      at = end.position;
      expect = 'after';
    }
  }
}

function scanScalar(text, at) {
  const character = text[at];
  if (character === '"') return scanString(text, at);
  if (character === "'") return { error: 'json.error.quotes', position: at };
  if (character === '-' || (character >= '0' && character <= '9')) {
    NUMBER.lastIndex = at;
    const number = NUMBER.exec(text)?.[0];
    if (number === undefined) return { error: 'json.error.number', position: at };
    const next = text[at + number.length];
    if (next !== undefined && /[\w.+-]/.test(next)) return { error: 'json.error.number', position: at };
    return { position: at + number.length };
  }
  WORD.lastIndex = at;
  const word = WORD.exec(text)?.[0];
  if (word === 'true' || word === 'false' || word === 'null') return { position: at + word.length };
  return { error: word ? 'json.error.word' : 'json.error.value', position: at };
}

function scanString(text, start) {
  let at = start + 1;
  for (;;) {
    const character = text[at];
    if (character === undefined) return { error: 'json.error.openString', position: start };
    if (character === '"') return { position: at + 1 };
    if (character < ' ') return { error: 'json.error.control', position: at };
    if (character !== '\\') {
      at += 1;
    } else if (/^["\\/bfnrt]/.test(text.slice(at + 1, at + 2))) {
      at += 2;
    } else if (/^u[0-9a-f]{4}/i.test(text.slice(at + 1, at + 6))) {
      at += 6;
    } else {
      return { error: 'json.error.escape', position: at };
    }
  }
}

function skipSpace(text, at) {
  while (text[at] === ' ' || text[at] === '\n' || text[at] === '\t' || text[at] === '\r') at += 1;
  return at;
}
