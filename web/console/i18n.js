// The page's words: looks them up by key in the chosen language and puts them into the marked elements of the page.
//
// Marks: data-i18n (text), data-i18n-rich (text with `code` in backticks), data-i18n-label (aria-label),
// data-i18n-placeholder, data-i18n-title.

import { formatBytes, formatNumber, formatSpan } from './format.js';
import { en } from './lang-en.js';
import { zh } from './lang-zh.js';

export const LANGUAGES = { en, zh };
/** For the lang attribute and for Intl. */
export const LOCALES = { en: 'en', zh: 'zh-CN' };

/** The remembered language if there is one, else the first of the browser's that the page speaks. */
export function chooseLanguage(remembered, preferred) {
  if (remembered in LANGUAGES) return remembered;
  const known = preferred.map((tag) => tag.toLowerCase().split('-')[0]).find((tag) => tag in LANGUAGES);
  return known ?? 'en';
}

/** @returns a function that looks up a key and fills in `{name}`s; a `count` chooses between `.one` and `.other` */
export function translator(language) {
  const table = LANGUAGES[language];
  const plural = new Intl.PluralRules(LOCALES[language]);
  const number = new Intl.NumberFormat(LOCALES[language]);
  return (key, values = {}) => {
    const form = key in table || values.count === undefined ? key : `${key}.${plural.select(values.count)}`;
    const text = table[form] ?? table[`${key}.other`];
    if (text === undefined) throw new Error(`no words for ${key} in ${language}`);
    return text.replace(/\{(\w+)\}/g, (whole, name) => {
      const value = values[name];
      if (value === undefined) return whole;
      return typeof value === 'number' && name === 'count' ? number.format(value) : String(value);
    });
  };
}

/** Fills every marked element under `root`. */
export function translatePage(root, t) {
  for (const element of root.querySelectorAll('[data-i18n]')) element.textContent = t(element.dataset.i18n);
  for (const element of root.querySelectorAll('[data-i18n-rich]')) setRichText(element, t(element.dataset.i18nRich));
  for (const element of root.querySelectorAll('[data-i18n-label]'))
    element.setAttribute('aria-label', t(element.dataset.i18nLabel));
  for (const element of root.querySelectorAll('[data-i18n-placeholder]'))
    element.placeholder = t(element.dataset.i18nPlaceholder);
  for (const element of root.querySelectorAll('[data-i18n-title]')) element.title = t(element.dataset.i18nTitle);
}

/** Text in which backticks mark code; everything is set as text, never as markup. */
export function setRichText(element, text) {
  const parts = text.split('`').map((part, index) => {
    if (index % 2 === 0) return part;
    const code = document.createElement('code');
    code.textContent = part;
    return code;
  });
  element.replaceChildren(...parts);
}

/** Everything that depends on the language, in one value that views are handed. */
export function wordsFor(language) {
  const locale = LOCALES[language];
  return {
    language,
    locale,
    t: translator(language),
    bytes: (count) => formatBytes(count, locale),
    span: (milliseconds) => formatSpan(milliseconds, locale),
    number: (value) => formatNumber(value, locale),
  };
}
