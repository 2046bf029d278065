// Colours for the two languages the page shows: JavaScript that it wrote itself, and JSON.

import { make } from './dom.js';

const JAVASCRIPT =
  /(?<comment>\/\/[^\n]*|\/\*[^]*?\*\/)|(?<string>"(?:[^"\\\n]|\\.)*")|(?<keyword>\b(?:const|let|new|function|return|if|for|of)\b)|(?<number>\b(?:0x[0-9a-f]+|\d[\d.]*)\b)|(?<name>\b[A-Za-z_]\w*(?=\())/g;
const JSON_TOKENS =
  /(?<name>"(?:[^"\\]|\\.)*"(?=\s*:))|(?<string>"(?:[^"\\]|\\.)*")|(?<keyword>\b(?:true|false|null)\b)|(?<number>-?\b\d[\d.eE+-]*)/g;

export const javascript = (source) => coloured(source, JAVASCRIPT);
export const json = (source) => coloured(source, JSON_TOKENS);

/** @returns {(string | Element)[]} children for an element */
function coloured(source, tokens) {
  const parts = [];
  let end = 0;
  for (const match of source.matchAll(tokens)) {
    const kind = Object.keys(match.groups).find((name) => match.groups[name] !== undefined);
    parts.push(source.slice(end, match.index), make('span', { class: `token-${kind}` }, match[0]));
    end = match.index + match[0].length;
  }
  parts.push(source.slice(end));
  return parts;
}
