// Language, theme and single-key shortcuts: chosen in the top bar, remembered by the browser.

import { byId } from './dom.js';
import { LOCALES, chooseLanguage, translatePage, wordsFor } from './i18n.js';
import { remember, remembered } from './storage.js';
import { segmented } from './widgets.js';

export function initialSettings() {
  const theme = remembered('theme');
  return {
    language: chooseLanguage(remembered('language'), navigator.languages),
    theme: theme === 'light' || theme === 'dark' ? theme : 'auto',
    singleKeys: remembered('single-keys') !== 'off',
  };
}

/** Must be the first view: the others find `page.words` in the language that holds. */
export function settingsView(page) {
  const { store } = page;
  const showLanguage = segmented(byId('language'), (language) => {
    remember('language', language);
    store.change('settings', { language });
  });
  const showTheme = segmented(byId('theme'), (theme) => {
    remember('theme', theme);
    store.change('settings', { theme });
  });
  byId('single-keys').addEventListener('change', (event) => {
    remember('single-keys', event.target.checked ? 'on' : 'off');
    store.change('settings', { singleKeys: event.target.checked });
  });

  store.subscribe(['settings'], ({ settings }) => {
    const { language, theme, singleKeys } = settings;
    if (page.words?.language !== language) {
      page.words = wordsFor(language);
      document.documentElement.lang = LOCALES[language];
      translatePage(document, page.words.t);
    }
    showLanguage(language);
    showTheme(theme);
    byId('single-keys').checked = singleKeys;
    if (theme === 'auto') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  });
}
