// What is going on right now: the state in words, what was negotiated, how the last connection ended, the counters.

import { CLOSED, OPEN, STATES } from './connection.js';
import { explainCloseCode } from './close-codes.js';
import { byId, setAttribute, setText } from './dom.js';
import { formatUptime } from './format.js';
import { RTT_WINDOW } from './statistics.js';

/** Round trips in the small curve. */
const CURVE_POINTS = 60;

export function stateView(page) {
  const { store, connection, counters } = page;
  byId('retry-now').addEventListener('click', () => connection.retryNow());
  byId('retry-cancel').addEventListener('click', () => connection.disconnect([]));
  byId('counters-reset').addEventListener('click', () => {
    counters.reset();
    store.touch('counters');
  });

  store.subscribe(['link', 'settings'], ({ link }) => {
    const { t, bytes } = page.words;
    const word = STATES[link.state];
    byId('state').dataset.state = word;
    setText(byId('state-word'), word);
    setText(byId('state-number'), String(link.state));
    const idle = link.state === CLOSED && link.ended === undefined;
    showLifecycle(word, idle);
    setText(byId('state-text'), t(idle ? 'state.text.idle' : `state.text.${word}`));
    showEnd(link, page.words);
    setText(byId('connected-url'), link.state === OPEN ? link.url : '–');
    setText(byId('protocol'), link.state === OPEN ? link.protocol || t('none') : '–');
    setText(byId('extensions'), link.state === OPEN ? link.extensions || t('none') : '–');
    setText(byId('buffered'), bytes(link.buffered));
    document.title = `${link.state === OPEN ? '● ' : ''}Sockeye ${t('title')}`;
  });

  store.subscribe(['link', 'clock', 'settings'], ({ link }) => {
    setText(byId('uptime'), link.openedAt === undefined ? '–' : formatUptime(performance.now() - link.openedAt));
    byId('retry').hidden = link.retry === undefined;
    if (link.retry) {
      const seconds = Math.max(0, (link.retry.at - performance.now()) / 1000).toFixed(1);
      setText(byId('retry-text'), page.words.t('retry.text', { attempt: link.retry.attempt, seconds }));
    }
  });

  store.subscribe(['counters', 'settings'], () => showCounters(counters, page.words));
}

function showLifecycle(word, idle) {
  const now = STATES.indexOf(word);
  for (const step of byId('lifecycle').children) {
    const at = STATES.indexOf(step.dataset.state);
    const current = at === now && !idle;
    setAttribute(step, 'aria-current', current ? 'step' : undefined);
    step.classList.toggle('past', at < now && !idle);
  }
}

function showEnd({ state, ended }, { t }) {
  const summary = byId('close-summary');
  summary.hidden = state !== CLOSED || ended === undefined;
  if (summary.hidden) return;
  const { code, reason, clean, opened, cancelled } = ended;
  const { name, text, normal } = explainCloseCode(code);
  const parts = [t(text)];
  if (cancelled) parts.push(t('state.cancelled'));
  else if (!opened) parts.push(t('state.neverOpened'));
  else if (!clean) parts.push(`(${t('state.unclean')})`);
  if (reason) parts.unshift(t('state.reason', { reason }));
  const head = document.createElement('b');
  head.textContent = t('state.closedWith', { code, name: t(name) });
  summary.classList.toggle('bad', !normal);
  summary.replaceChildren(head, ` – ${parts.join(' ')}`);
}

function showCounters({ sent, received, roundTrips }, { t, bytes, number, span }) {
  for (const [name, counter] of Object.entries({ sent, received })) {
    setText(byId(`${name}-messages`), number(counter.messages));
    setText(byId(`${name}-bytes`), bytes(counter.bytes));
    setText(byId(`${name}-rate`), counter.perSecond > 0 ? t('counter.rate', { rate: number(counter.perSecond) }) : '');
  }
  const { count, min, median, max } = roundTrips;
  for (const [name, value] of Object.entries({ min, median, max })) {
    const element = byId(`rtt-${name}`);
    setText(element, value === undefined ? '–' : span(value));
    setAttribute(element, 'data-milliseconds', value === undefined ? undefined : Number(value.toFixed(3)));
  }
  byId('rtt-median').closest('.counter').title =
    count > 0 ? t('counter.rttTitle', { window: Math.min(count, RTT_WINDOW), total: number(count) }) : '';
  drawCurve(roundTrips.newest(CURVE_POINTS));
}

/** The newest round trips as a line: the box is 100 by 28, the highest value touches its top. */
function drawCurve(values) {
  const top = Math.max(...values, 0.001);
  const step = 100 / Math.max(1, values.length - 1);
  const points = values.map((value, index) => `${(index * step).toFixed(1)},${(26 - (value / top) * 24).toFixed(1)}`);
  byId('rtt-line').setAttribute('points', values.length > 1 ? points.join(' ') : '');
}
