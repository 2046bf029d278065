// The opened part of a log entry: its facts, its payload as text, JSON or hex dump, and what can be done with it.

import { explainCloseCode } from './close-codes.js';
import { copyText, make, saveFile } from './dom.js';
import { formatHex, formatHexdump } from './hexdump.js';
import { json } from './highlight.js';
import { segmented } from './widgets.js';

/** So much of a payload is put on the page at once; a button shows the next piece. */
const PIECE = 16 * 1024;
/** Colours cost an element per token. */
const LONGEST_COLOURED = 128 * 1024;
/** Copying as hex beyond this would freeze the page. */
const LONGEST_HEX_COPY = 1024 * 1024;

/**
 * @param {import('./log.js').Entry} entry
 * @param {object} page words and the store
 * @param {Map<number, string>} views the chosen view per entry, kept across renderings
 */
export function entryDetail(entry, page, views) {
  const detail = make('div', { class: 'entry-detail', 'data-testid': 'entry-detail' });
  detail.append(factList(entry, page.words));
  if (entry.kind === 'text' || entry.kind === 'binary') detail.append(...payload(entry, page, views));
  return detail;
}

function factList(entry, words) {
  const { t } = words;
  const rows = [[t('detail.time'), new Date(entry.time).toISOString()]];
  const add = (key, value) => {
    if (value !== undefined && value !== '') rows.push([t(key), String(value)]);
  };
  if (entry.kind === 'text' || entry.kind === 'binary') {
    add('detail.type', [t(`kind.label.${entry.kind}`), entry.form].filter(Boolean).join(' · '));
    add(
      'detail.size',
      entry.size < 1024 ? words.bytes(entry.size) : `${words.bytes(entry.size)} (${words.number(entry.size)} B)`,
    );
    if (entry.rtt !== undefined) add('detail.rtt', words.span(entry.rtt));
  } else {
    addEventFacts(entry.facts, words, add);
  }
  return make(
    'dl',
    { class: 'detail-facts' },
    ...rows.map(([name, value]) => make('div', {}, make('dt', {}, name), make('dd', {}, value))),
  );
}

function addEventFacts(facts, { t, span }, add) {
  add('detail.url', facts.url);
  if (facts.key === 'event.connecting') add('detail.offered', facts.protocols.join(', ') || t('none'));
  if (facts.key === 'event.open') {
    add('detail.protocol', facts.protocol || t('none'));
    add('detail.extensions', facts.extensions || t('none'));
    add('detail.took', span(facts.took));
  }
  if (facts.key === 'event.close') {
    const { name, text } = explainCloseCode(facts.code);
    const why = facts.cancelled ? t('state.cancelled') : facts.opened ? '' : t('state.neverOpened');
    add('detail.code', `${facts.code} ${t(name)}`);
    add('detail.meaning', [t(text), why].filter(Boolean).join(' '));
    add('detail.reason', facts.reason);
    add('detail.clean', facts.clean);
    if (facts.lasted !== undefined) add('detail.lasted', span(facts.lasted));
  }
  if (facts.message) add('detail.exception', `${facts.name}: ${facts.message}`);
}

function payload(entry, page, views) {
  const { t } = page.words;
  const note = (key, values) => make('p', { class: 'detail-note' }, t(key, values));
  if (entry.forgotten) return [note('detail.forgotten')];
  if (entry.text === undefined && entry.bytes === undefined) return [note('detail.reading')];
  if (entry.size === 0) return [note('detail.empty')];

  const forms = payloadForms(entry);
  const body = make('pre', {
    class: 'payload mono',
    role: 'group',
    tabindex: '0',
    'data-testid': 'payload',
    'aria-label': t('detail.view'),
  });
  const more = make('button', { type: 'button', class: 'button small', 'data-testid': 'payload-more' });
  const draw = (name) => {
    views.set(entry.id, name);
    forms[name](body, more, page.words);
  };
  const names = Object.keys(forms);
  const first = names.includes(views.get(entry.id)) ? views.get(entry.id) : names[0];
  const tools = make('div', { class: 'detail-tools' });
  if (names.length > 1) tools.append(formChoice(names, first, t, draw));
  tools.append(...actions(entry, page));
  draw(first);
  const kept = entry.text?.length ?? entry.bytes.length;
  const cut = entry.cut
    ? [note('detail.cut', { kept: page.words.bytes(kept), size: page.words.bytes(entry.size) })]
    : [];
  return [tools, body, more, ...cut];
}

/** How a payload can be looked at, best first: a function per form that draws it. */
function payloadForms(entry) {
  const text = entry.text ?? decoded(entry.bytes);
  const forms = {};
  const value = text === undefined || entry.cut ? undefined : structure(text);
  if (value !== undefined) forms.json = (...target) => drawText(...target, JSON.stringify(value, null, 2), true);
  if (text !== undefined) forms.text = (...target) => drawText(...target, text, false);
  forms.hex = (...target) => drawHex(...target, entry.bytes ?? new TextEncoder().encode(entry.text));
  // Bytes are shown as bytes first, whatever they could be read as.
  if (entry.kind !== 'binary') return forms;
  return { hex: forms.hex, ...forms };
}

function decoded(bytes) {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** The object or array that a text is as JSON; plain numbers and words are better read as text. */
function structure(text) {
  if (!/^\s*[[{]/.test(text)) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function formChoice(names, first, t, draw) {
  const group = make(
    'div',
    { class: 'segmented small', role: 'radiogroup', 'aria-label': t('detail.view') },
    ...names.map((name) =>
      make(
        'button',
        { type: 'button', role: 'radio', 'data-value': name, 'data-testid': `payload-${name}` },
        t(`detail.${name}`),
      ),
    ),
  );
  const show = segmented(group, draw);
  show(first);
  return group;
}

function actions(entry, page) {
  const { t } = page.words;
  const button = (key, testId, onclick) =>
    make('button', { type: 'button', class: 'button small', 'data-testid': testId, onclick }, t(key));
  const copying = (key, testId, text) => {
    const element = button(key, testId, async () => {
      if (await copyText(text())) element.textContent = t('copied');
    });
    return element;
  };
  const list = [];
  if (entry.kind === 'text') list.push(copying('detail.copy', 'payload-copy', () => entry.text));
  else list.push(copying('detail.copyHex', 'payload-copy', () => formatHex(entry.bytes.subarray(0, LONGEST_HEX_COPY))));
  if (!entry.cut) list.push(button('detail.reuse', 'payload-reuse', () => page.reuse(entry)));
  const extension = entry.kind === 'text' ? 'txt' : 'bin';
  list.push(
    button('detail.download', 'payload-save', () => {
      saveFile(`message-${entry.id}.${extension}`, [entry.text ?? entry.bytes], 'application/octet-stream');
    }),
  );
  return list;
}

function drawText(body, more, words, text, isJson) {
  body.replaceChildren();
  if (isJson && text.length <= LONGEST_COLOURED) {
    body.append(...json(text));
    more.hidden = true;
    return;
  }
  inPieces(body, more, words, text.length, (from, to) => text.slice(from, to));
}

function drawHex(body, more, words, bytes) {
  const width = body.ownerDocument.defaultView.innerWidth < 560 ? 8 : 16;
  body.replaceChildren();
  inPieces(body, more, words, bytes.length, (from, to) => {
    const lines = formatHexdump(bytes.subarray(from, to), { width, start: from });
    return from === 0 ? lines : `\n${lines}`;
  });
}

/** Appends piece after piece; the button is for the next one and hides after the last. */
function inPieces(body, more, { t, bytes }, length, piece) {
  let shown = 0;
  const next = () => {
    const end = Math.min(length, shown + PIECE);
    body.append(piece(shown, end));
    shown = end;
    more.hidden = shown === length;
    if (!more.hidden) more.textContent = t('detail.more', { size: bytes(Math.min(PIECE, length - shown)) });
  };
  more.onclick = next;
  next();
}
