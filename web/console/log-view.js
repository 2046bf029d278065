// The log on the page. Only the rows in sight exist as elements, so that a hundred thousand entries cost what fifty do.
//
// Every row has the same height; an opened entry adds the measured height of its detail. Positions follow from that by
// arithmetic, without asking the layout.

import { explainCloseCode } from './close-codes.js';
import { byId, icon, make, setAttribute, setText } from './dom.js';
import { entryDetail } from './entry-detail.js';
import { entryWords } from './entry-words.js';
import { formatClock } from './format.js';
import { FilteredLog } from './log.js';

/** In CSS pixels; log.css says the same. */
const ROW = 32;
/** Rows drawn beyond either edge, so that scrolling does not show gaps. */
const MARGIN = 8;
/** Stands in until an opened detail is measured. */
const UNMEASURED = 160;
const ARROWS = { sent: 'up', received: 'down' };

export class LogView {
  #page;
  #filtered;
  #scroller = byId('log-scroll');
  #space = byId('log-space');
  #list = byId('log');
  /** Rows that exist, by entry id. */
  #rows = new Map();
  /** Heights of opened details, by entry id. */
  #opened = new Map();
  #views = new Map();
  #filter = '';
  #following = true;
  /** Newest entry that was in sight when the view stopped following. */
  #seenTo = 0;
  /** The row that Tab reaches. */
  #activeId;
  #resized;

  constructor(page) {
    this.#page = page;
    this.#filtered = new FilteredLog(page.log, (entry) => entryWords(entry, page.words));
    this.#resized = new ResizeObserver((changes) => this.#measure(changes));
    this.#scroller.addEventListener('scroll', () => this.#scrolled());
    this.#list.addEventListener('click', (event) => this.#clicked(event));
    this.#list.addEventListener('keydown', (event) => this.#keyPressed(event));
    this.#list.addEventListener('focusin', (event) => this.#focused(event));
    byId('follow').addEventListener('click', () => this.goToEnd());
    new ResizeObserver(() => this.#draw()).observe(this.#scroller);
  }

  /** The entries that pass the filter. */
  get shown() {
    return this.#filtered;
  }

  /** A changed filter shows the newest of what passes it. */
  setFilter({ text, direction, kind }) {
    const filter = { text, direction, kind };
    const written = JSON.stringify(filter);
    if (written === this.#filter) return;
    this.#filter = written;
    this.#filtered.setFilter(filter);
    this.#following = true;
    this.render();
  }

  setPaused(paused) {
    if (paused) this.#filtered.hold();
    else this.#filtered.release();
    this.render();
  }

  /** Forgets what was cleared or re-limited, and draws what is left. */
  reset() {
    this.#filtered.rebuild();
    this.render();
  }

  /** Draws every row anew, in the words that hold now. */
  redraw() {
    for (const id of [...this.#rows.keys()]) this.#removeRow(id);
    this.render();
  }

  /** Takes in what the log gained, and draws what is in sight. */
  render() {
    const heightBefore = this.#openedHeights();
    const gone = this.#filtered.update();
    for (const id of this.#opened.keys()) {
      if (id < this.#page.log.firstId) this.#forget(id);
    }
    // What a person is reading stays where it is when older entries go.
    if (gone > 0 && !this.#following) {
      this.#scroller.scrollTop -= gone * ROW + heightBefore - this.#openedHeights();
    }
    this.#draw();
  }

  goToEnd() {
    this.#following = true;
    this.#draw();
    const last = this.#filtered.at(this.#filtered.length - 1);
    if (last) this.#focusRow(this.#filtered.length - 1);
  }

  #draw() {
    const count = this.#filtered.length;
    const opened = this.#openedInOrder();
    const height = offsetOf(count, opened);
    this.#space.style.height = `${height}px`;
    byId('log-empty').hidden = count > 0;
    const view = this.#scroller.clientHeight;
    if (height <= view) this.#following = true;
    if (this.#following) this.#scroller.scrollTop = height;
    const top = Math.max(0, Math.min(this.#scroller.scrollTop, height - view));
    const first = Math.max(0, indexAt(top, opened) - MARGIN);
    const last = Math.min(count - 1, indexAt(top + view, opened) + MARGIN);
    this.#drawRows(first, last, opened);
    this.#showFollow();
  }

  #drawRows(first, last, opened) {
    const wanted = [];
    for (let index = first; index <= last; index += 1) wanted.push(index);
    // The row that has the focus stays, wherever it is: removing it would throw the focus away.
    const focusedId = this.#idOf(document.activeElement);
    const focusedIndex = focusedId === undefined ? -1 : this.#filtered.indexOf(focusedId);
    if (focusedIndex >= 0 && focusedIndex < first) wanted.unshift(focusedIndex);
    if (focusedIndex > last) wanted.push(focusedIndex);

    const ids = new Set(wanted.map((index) => this.#filtered.at(index).id));
    for (const id of [...this.#rows.keys()]) if (!ids.has(id)) this.#removeRow(id);
    if (!ids.has(this.#activeId)) this.#activeId = wanted.length > 0 ? this.#filtered.at(wanted.at(-1)).id : undefined;

    let before = this.#list.firstElementChild;
    for (const index of wanted) {
      const row = this.#row(this.#filtered.at(index));
      row.style.transform = `translateY(${offsetOf(index, opened)}px)`;
      setAttribute(row, 'aria-posinset', index + 1);
      setAttribute(row, 'aria-setsize', this.#filtered.length);
      row.firstElementChild.tabIndex = this.#idOf(row) === this.#activeId ? 0 : -1;
      if (row === before) before = before.nextElementSibling;
      else this.#list.insertBefore(row, before);
    }
  }

  #row(entry) {
    const existing = this.#rows.get(entry.id);
    if (existing?.version === entry.version) return existing.element;
    const element =
      existing?.element ?? make('li', { class: 'entry', 'data-testid': 'log-entry', 'data-id': entry.id });
    this.#fillRow(element, entry);
    this.#rows.set(entry.id, { element, version: entry.version });
    return element;
  }

  #fillRow(element, entry) {
    const hadFocus = element.contains(document.activeElement);
    const { t, bytes, span } = this.#page.words;
    const { direction, kind, size, rtt, facts } = entry;
    const message = kind === 'text' || kind === 'binary';
    setAttribute(element, 'data-direction', direction);
    setAttribute(element, 'data-kind', kind);
    setAttribute(element, 'data-size', message ? size : undefined);
    setAttribute(element, 'data-rtt', rtt === undefined ? undefined : Number(rtt.toFixed(3)));
    setAttribute(element, 'data-code', facts?.code);
    element.classList.toggle('bad', kind === 'error' || (kind === 'close' && !explainCloseCode(facts.code).normal));
    setAttribute(element, 'data-event', facts?.key?.replace('event.', ''));
    const opened = this.#opened.has(entry.id);
    const line = make(
      'button',
      { type: 'button', class: 'entry-row', 'aria-expanded': String(opened) },
      icon(ARROWS[direction] ?? (kind === 'error' ? 'warn' : kind === 'open' || kind === 'close' ? 'link' : 'dot')),
      make('span', { class: 'sr-only' }, t(`direction.${direction}`)),
      make('time', { class: 'entry-time', datetime: new Date(entry.time).toISOString() }, formatClock(entry.time)),
      make('span', { class: 'entry-kind' }, t(`kind.label.${kind}`)),
      make(
        'span',
        { class: 'entry-words', dir: 'auto', 'data-testid': 'entry-words' },
        entryWords(entry, this.#page.words),
      ),
      make('span', { class: 'entry-rtt' }, rtt === undefined ? '' : span(rtt)),
      make('span', { class: 'entry-size' }, message ? bytes(size) : ''),
    );
    for (const child of element.children) this.#resized.unobserve(child);
    element.replaceChildren(line);
    if (opened) this.#addDetail(element, entry);
    if (hadFocus) line.focus({ preventScroll: true });
  }

  #addDetail(element, entry) {
    const detail = entryDetail(entry, this.#page, this.#views);
    element.append(detail);
    this.#resized.observe(detail);
  }

  #removeRow(id) {
    const { element } = this.#rows.get(id);
    for (const child of element.children) this.#resized.unobserve(child);
    element.remove();
    this.#rows.delete(id);
  }

  #toggle(id) {
    const row = this.#rows.get(id);
    const open = !this.#opened.has(id);
    if (open) this.#opened.set(id, UNMEASURED);
    else this.#forget(id);
    row.element.firstElementChild.setAttribute('aria-expanded', String(open));
    if (open) {
      // Somebody reads: new entries must not push it away.
      this.#stopFollowing();
      this.#addDetail(row.element, this.#page.log.byId(id));
      this.#opened.set(id, row.element.lastElementChild.offsetHeight);
    } else {
      this.#resized.unobserve(row.element.lastElementChild);
      row.element.lastElementChild.remove();
    }
    this.#draw();
    if (open) this.#reveal(this.#filtered.indexOf(id));
    else this.#scrolled();
  }

  /** Scrolls as little as needed to have a row, and its detail as far as it fits, in sight. */
  #reveal(index) {
    const opened = this.#openedInOrder();
    const top = offsetOf(index, opened);
    const bottom = offsetOf(index + 1, opened);
    const { scrollTop, clientHeight } = this.#scroller;
    if (bottom > scrollTop + clientHeight) this.#scroller.scrollTop = Math.min(top, bottom - clientHeight);
    else if (top < scrollTop) this.#scroller.scrollTop = top;
    this.#draw();
  }

  #focusRow(index) {
    const entry = this.#filtered.at(index);
    if (entry === undefined) return;
    if (index < this.#filtered.length - 1) this.#stopFollowing();
    this.#activeId = entry.id;
    this.#reveal(index);
    this.#rows.get(entry.id)?.element.firstElementChild.focus({ preventScroll: true });
  }

  #clicked(event) {
    const line = event.target.closest('.entry-row');
    if (line) this.#toggle(this.#idOf(line));
  }

  #keyPressed(event) {
    if (!event.target.matches('.entry-row')) return;
    const at = this.#filtered.indexOf(this.#idOf(event.target));
    const page = Math.max(1, Math.floor(this.#scroller.clientHeight / ROW) - 1);
    const last = this.#filtered.length - 1;
    const moves = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: last };
    if (!(event.key in moves)) return;
    event.preventDefault();
    this.#focusRow(Math.max(0, Math.min(last, moves[event.key])));
  }

  #focused(event) {
    const id = this.#idOf(event.target);
    if (id === undefined || id === this.#activeId) return;
    const previous = this.#rows.get(this.#activeId);
    if (previous) previous.element.firstElementChild.tabIndex = -1;
    this.#activeId = id;
    this.#rows.get(id).element.firstElementChild.tabIndex = 0;
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    const atEnd = scrollHeight - scrollTop - clientHeight < ROW;
    if (atEnd) this.#following = true;
    else this.#stopFollowing();
    this.#draw();
  }

  #stopFollowing() {
    if (!this.#following) return;
    this.#following = false;
    this.#seenTo = this.#page.log.nextId - 1;
  }

  #showFollow() {
    const button = byId('follow');
    const newer = this.#following ? 0 : this.#filtered.length - this.#firstAfter(this.#seenTo);
    button.hidden = newer === 0;
    if (newer > 0) setText(button, `↓ ${this.#page.words.t('log.follow', { count: newer })}`);
  }

  /** How many of the shown entries have an id up to this one. */
  #firstAfter(id) {
    let low = 0;
    let high = this.#filtered.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#filtered.at(middle).id <= id) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #measure(changes) {
    let changed = false;
    for (const { target } of changes) {
      const id = this.#idOf(target);
      const height = target.offsetHeight;
      if (!this.#opened.has(id) || height === 0 || this.#opened.get(id) === height) continue;
      this.#opened.set(id, height);
      changed = true;
    }
    if (changed) this.#draw();
  }

  #forget(id) {
    this.#opened.delete(id);
    this.#views.delete(id);
  }

  #idOf(element) {
    const row = element?.closest('.entry');
    return row ? Number(row.dataset.id) : undefined;
  }

  /** @returns {{index: number, height: number}[]} the opened entries among those shown, top to bottom */
  #openedInOrder() {
    const opened = [];
    for (const [id, height] of this.#opened) {
      const index = this.#filtered.indexOf(id);
      if (index >= 0) opened.push({ index, height });
    }
    return opened.sort((a, b) => a.index - b.index);
  }

  #openedHeights() {
    return this.#openedInOrder().reduce((sum, { height }) => sum + height, 0);
  }
}

/** Distance of a row's top from the top of the list. */
export function offsetOf(index, opened) {
  let offset = index * ROW;
  for (const entry of opened) {
    if (entry.index >= index) break;
    offset += entry.height;
  }
  return offset;
}

/** The row, or the detail below it, at a distance from the top of the list. */
export function indexAt(distance, opened) {
  let shift = 0;
  for (const { index, height } of opened) {
    const bottom = (index + 1) * ROW + shift;
    if (distance < bottom) break;
    if (distance < bottom + height) return index;
    shift += height;
  }
  return Math.floor((distance - shift) / ROW);
}
