// Keyboard shortcuts and the dialog that lists them. Single keys work only outside of fields and can be switched off
// (WCAG 2.1.4).

import { byId, make } from './dom.js';

const MAC = /mac|iphone|ipad/i.test(navigator.userAgent);
export const SEND_KEY = MAC ? '⌘ ↵' : 'Ctrl ↵';

/** @param {Record<string, () => void>} actions what each single key does */
export function shortcuts(page, actions) {
  const dialog = byId('shortcuts');
  const keys = { ...actions, '?': { name: 'help', run: () => dialog.showModal() } };

  byId('shortcuts-open').addEventListener('click', () => dialog.showModal());
  byId('shortcuts-close').addEventListener('click', () => dialog.close());
  byId('send-key').textContent = SEND_KEY;

  document.addEventListener('keydown', (event) => {
    if (dialog.open) return;
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      page.composer.send();
      return;
    }
    const shortcut = keys[event.key.toLowerCase()];
    if (shortcut === undefined || event.ctrlKey || event.metaKey || event.altKey || isField(event.target)) return;
    if (!page.store.state.settings.singleKeys) return;
    event.preventDefault();
    shortcut.run();
  });

  page.store.subscribe(['settings'], () => {
    const { t } = page.words;
    const rows = [
      [SEND_KEY, 'send'],
      ...Object.entries(keys).map(([key, { name }]) => [key.toUpperCase(), name]),
      ['↑ ↓ ← →', 'rows'],
      ['↵', 'expand'],
    ];
    byId('shortcut-list').replaceChildren(
      ...rows.map(([key, name]) =>
        make('div', {}, make('dt', {}, make('kbd', {}, key)), make('dd', {}, t(`shortcut.${name}`))),
      ),
    );
  });
}

function isField(element) {
  return element.matches('input:not([type=checkbox]), textarea, select');
}
