// The bar above the log: filter, pause, clear, save, how many entries are kept.

import { byId, make, saveFile, setText } from './dom.js';
import { LIMITS } from './log.js';
import { logAsJson, logAsText } from './log-export.js';
import { menu, segmented } from './widgets.js';

export function initialFilter() {
  return { text: '', direction: 'all', kind: 'all', paused: false };
}

export function logTools(page) {
  const { store, log, logView } = page;
  const change = (patch) => store.change('filter', patch);
  const showDirection = segmented(byId('filter-direction'), (direction) => change({ direction }));
  byId('filter-text').addEventListener('input', (event) => change({ text: event.target.value }));
  byId('filter-kind').addEventListener('change', (event) => change({ kind: event.target.value }));
  byId('pause').addEventListener('click', () => change({ paused: !store.state.filter.paused }));
  byId('clear').addEventListener('click', () => {
    log.clear();
    logView.reset();
    store.touch('log');
  });

  menu(byId('save'), byId('save-menu'));
  byId('save-json').addEventListener('click', () => {
    saveFile(fileName('json'), logAsJson(logView.shown, new Date()), 'application/json');
  });
  byId('save-text').addEventListener('click', () => {
    saveFile(fileName('txt'), logAsText(logView.shown, page.words), 'text/plain;charset=utf-8');
  });
  byId('log-limit').addEventListener('change', (event) => {
    log.setLimit(Number(event.target.value));
    logView.reset();
    store.touch('log');
  });

  store.subscribe(['filter', 'settings'], ({ filter }, slices) => {
    const { t, number } = page.words;
    showDirection(filter.direction);
    byId('filter-kind').value = filter.kind;
    byId('pause').setAttribute('aria-pressed', String(filter.paused));
    const word = t(filter.paused ? 'log.resume' : 'log.pause');
    setText(byId('pause-word'), word);
    byId('pause').title = word;
    byId('pause')
      .querySelector('use')
      .setAttribute('href', filter.paused ? '#icon-play' : '#icon-pause');
    byId('log-limit').replaceChildren(
      ...LIMITS.map((limit) => make('option', { value: String(limit) }, number(limit))),
    );
    byId('log-limit').value = String(log.limit);
    if (slices.has('settings')) logView.redraw();
    logView.setFilter(filter);
    logView.setPaused(filter.paused);
    store.touch('log');
  });

  store.subscribe(['log'], ({ filter }) => {
    logView.render();
    const { t, number } = page.words;
    const shown = logView.shown.length;
    const all = log.length;
    setText(
      byId('log-count'),
      shown === all ? number(all) : t('log.count', { shown: number(shown), all: number(all) }),
    );
    setText(byId('log-empty'), t(all > 0 && !filter.paused ? 'log.noMatch' : 'log.empty'));
    const notes = [
      log.dropped > 0 ? t('log.dropped', { count: log.dropped, limit: number(log.limit) }) : '',
      filter.paused ? t('log.paused', { count: logView.shown.waiting }) : '',
    ].filter(Boolean);
    byId('dropped').hidden = notes.length === 0;
    setText(byId('dropped'), notes.join(' '));
  });
}

function fileName(extension) {
  const stamp = new Date().toISOString().slice(0, 19).replace(/[:T]/g, '-');
  return `sockeye-log-${stamp}.${extension}`;
}
