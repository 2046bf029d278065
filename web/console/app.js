// Puts the page together: one store, one connection, one log, and the views on them.

import { announcer } from './announcer.js';
import { codePanel, initialCode, recordAction } from './code-panel.js';
import { composerView } from './composer.js';
import { CLOSED, Connection, initialLink } from './connection.js';
import { connectionView } from './connection-view.js';
import { byId } from './dom.js';
import { dockView, initialDock } from './guide.js';
import { MessageLog } from './log.js';
import { initialFilter, logTools } from './log-tools.js';
import { LogView } from './log-view.js';
import { DEFAULT_COMPOSER, DEFAULT_TARGET, storedPresets } from './presets.js';
import { presetsView } from './presets-view.js';
import { initialRepeat } from './repeater.js';
import { initialSettings, settingsView } from './settings.js';
import { shortcuts } from './shortcuts.js';
import { stateView } from './state-view.js';
import { Counters } from './statistics.js';
import { createStore } from './store.js';
import { defaultUrl } from './target.js';
import { hints } from './widgets.js';

/** How often bufferedAmount, the clock and the rates are looked at. */
const LOOK_EVERY_MS = 100;
const RATES_EVERY = 10;

const log = new MessageLog();
const counters = new Counters();
const store = createStore({
  settings: initialSettings(),
  target: { ...DEFAULT_TARGET, url: defaultUrl(location) },
  link: initialLink(),
  composer: { ...DEFAULT_COMPOSER, file: undefined },
  repeat: initialRepeat(),
  counters,
  log,
  filter: initialFilter(),
  code: initialCode(),
  dock: initialDock(),
  presets: { list: storedPresets() },
  clock: {},
});

/** What the views share; each adds the part that others call. */
const page = {
  store,
  log,
  counters,
  connection: new Connection({ store, log, counters }),
  words: undefined,
  record(action) {
    store.change('code', { actions: recordAction(store.state.code.actions, action) });
  },
  reuse: (entry) => page.composer.reuse(entry),
};

settingsView(page);
const connect = connectionView(page);
stateView(page);
page.composer = composerView(page);
page.logView = new LogView(page);
logTools(page);
codePanel(page);
dockView(page);
presetsView(page);
announcer(page);
hints(document);
shortcuts(page, {
  c: { name: 'connect', run: connect.toggle },
  u: { name: 'url', run: () => byId('url').focus() },
  m: { name: 'message', run: () => page.composer.focus() },
  '/': { name: 'filter', run: () => byId('filter-text').focus() },
  l: { name: 'log', run: () => page.logView.goToEnd() },
  p: { name: 'pause', run: () => store.change('filter', { paused: !store.state.filter.paused }) },
});

let looks = 0;
setInterval(() => {
  page.connection.refresh();
  looks += 1;
  if (looks % RATES_EVERY === 0 && counters.tick(performance.now())) store.touch('counters');
  const { state, retry } = store.state.link;
  if (state !== CLOSED || retry !== undefined) store.touch('clock');
}, LOOK_EVERY_MS);
