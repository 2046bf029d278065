// The list of presets and examples, with saving, loading, deleting, export and import.

import { byId, icon, make, saveFile, setText } from './dom.js';
import {
  EXAMPLES,
  MAX_PRESETS,
  capturePreset,
  mergePresets,
  parsePresets,
  serializePresets,
  storePresets,
} from './presets.js';

/** No exported file of ours is larger: nothing beyond it is read. */
const MAX_FILE_BYTES = 16 * 1024 * 1024;

export function presetsView(page) {
  const { store } = page;
  const input = byId('preset-file');

  function say(key, values, bad = false) {
    const message = byId('preset-message');
    message.classList.toggle('bad', bad);
    setText(message, page.words.t(key, values));
  }

  function keep(list, key, values) {
    if (list.length > MAX_PRESETS) return say('presets.error.full', {}, true);
    store.change('presets', { list });
    const stored = storePresets(list);
    say(stored ? key : 'presets.error.storage', values, !stored);
  }

  function load({ target, composer }, name) {
    if (target) store.change('target', target);
    store.change('composer', composer);
    say('presets.loaded', { name });
  }

  byId('preset-form').addEventListener('submit', (event) => {
    event.preventDefault();
    const name = byId('preset-name').value.trim();
    if (name === '') {
      say('presets.error.name', {}, true);
      byId('preset-name').focus();
      return;
    }
    keep(mergePresets(store.state.presets.list, [capturePreset(name, store.state)]), 'presets.saved', { name });
    byId('preset-name').value = '';
  });
  byId('preset-export').addEventListener('click', () => {
    saveFile('sockeye-presets.json', [serializePresets(store.state.presets.list)], 'application/json');
  });
  byId('preset-import').addEventListener('click', () => input.click());
  input.addEventListener('change', async () => {
    const file = input.files[0];
    if (!file) return;
    const added = file.size <= MAX_FILE_BYTES ? parsePresets(await file.text()) : undefined;
    input.value = '';
    if (added === undefined) return say('presets.error.file', {}, true);
    keep(mergePresets(store.state.presets.list, added), 'presets.imported', { count: added.length });
  });

  store.subscribe(['presets', 'settings'], ({ presets }) => {
    const { t, number } = page.words;
    setText(byId('preset-count'), presets.list.length > 0 ? number(presets.list.length) : '');
    byId('preset-export').disabled = presets.list.length === 0;
    byId('preset-list').replaceChildren(
      ...presets.list.map((preset) => {
        const { name } = preset;
        const remove = () =>
          keep(
            store.state.presets.list.filter((other) => other.name !== name),
            'presets.deleted',
            { name },
          );
        return make(
          'li',
          { 'data-testid': 'preset' },
          loadButton(name, name, t, () => load(preset, name)),
          make(
            'button',
            {
              type: 'button',
              class: 'button quiet small',
              'data-testid': 'preset-delete',
              'aria-label': t('presets.delete', { name }),
              title: t('presets.delete', { name }),
              onclick: remove,
            },
            icon('trash'),
          ),
        );
      }),
    );
    byId('example-list').replaceChildren(
      ...EXAMPLES.map((example) => {
        const name = t(example.name);
        return make(
          'li',
          { 'data-testid': 'example' },
          loadButton(name, example.name, t, () => load(example, name)),
        );
      }),
    );
  });
}

function loadButton(name, id, t, onclick) {
  return make(
    'button',
    {
      type: 'button',
      class: 'preset-load',
      'data-testid': 'preset-load',
      'data-preset': id,
      'aria-label': t('presets.load', { name }),
      onclick,
    },
    name,
  );
}
