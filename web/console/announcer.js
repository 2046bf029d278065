// What a screen reader is told: every change of state at once, messages as a digest, so that a stream of them does not
// drown everything else.

import { explainCloseCode } from './close-codes.js';
import { byId } from './dom.js';
import { entryWords } from './entry-words.js';

const DIGEST_EVERY_MS = 2000;
const SPOKEN_CHARACTERS = 80;

export function announcer(page) {
  const { store, log } = page;
  let seen = log.nextId;
  let received = [];
  let timer;

  function say(text) {
    byId('announcer').textContent = text;
  }

  function digest() {
    timer = undefined;
    const { t } = page.words;
    if (received.length === 1) {
      say(t('announce.received.one', { preview: entryWords(received[0], page.words).slice(0, SPOKEN_CHARACTERS) }));
    } else if (received.length > 1) {
      say(t('announce.received.other', { count: received.length }));
    }
    received = [];
  }

  store.subscribe(['log'], () => {
    const { t } = page.words;
    for (let id = Math.max(seen, log.firstId); id < log.nextId; id += 1) {
      const entry = log.byId(id);
      if (entry.direction === 'received') {
        received.push(entry);
      } else if (entry.kind === 'open') {
        say(t('announce.open', entry.facts));
      } else if (entry.kind === 'close') {
        const { code, opened } = entry.facts;
        say(t(opened ? 'announce.closed' : 'announce.failed', { code, name: t(explainCloseCode(code).name) }));
      } else if (entry.facts?.key === 'event.refused') {
        byId('alert').textContent = t('event.refused', entry.facts);
      }
    }
    seen = log.nextId;
    if (received.length > 0) timer ??= setTimeout(digest, DIGEST_EVERY_MS);
  });
}
