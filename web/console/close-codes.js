// Close codes: what each one means, and which a page may send.
//
// RFC 6455 §7.4 and the IANA registry for the meanings; the WebSockets standard, close(), for what a page may send.

import { utf8Length } from './format.js';

/** RFC 6455 §5.5: a control frame carries at most 125 bytes, two of which are the code. */
export const MAX_REASON_BYTES = 123;

const NAMED = new Set([
  1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 1015, 3000, 3003, 3008,
]);
/** Never on the wire: a browser or library reports them about a connection (RFC 6455 §7.4.1). */
const LOCAL_ONLY = new Set([1005, 1006, 1015]);

/**
 * What a close code means.
 *
 * @returns {{name: string, text: string, local: boolean, normal: boolean}} keys of the language tables for a short
 *   name and a sentence; whether the code is made up locally; whether it is an ordinary end
 */
export function explainCloseCode(code) {
  const key = NAMED.has(code) ? String(code) : rangeOf(code);
  return {
    name: `close.${key}.name`,
    text: `close.${key}.text`,
    local: LOCAL_ONLY.has(code),
    normal: code === 1000 || code === 1001 || code === 1005 || (code >= 3000 && code <= 4999 && !NAMED.has(code)),
  };
}

function rangeOf(code) {
  if (code >= 4000 && code <= 4999) return 'private';
  if (code >= 3000 && code <= 3999) return 'registered';
  if (code >= 1000 && code <= 2999) return 'reserved';
  return 'invalid';
}

/**
 * Checks what a person typed for close(code, reason) by the rules of the browser, code first.
 *
 * @returns {{arguments: [] | [number] | [number, string]} | {error: string, field: 'code' | 'reason'}}
 */
export function checkCloseArguments(codeText, reason) {
  const typed = codeText.trim();
  if (typed !== '') {
    const code = /^\d{1,5}$/.test(typed) ? Number(typed) : NaN;
    if (code !== 1000 && !(code >= 3000 && code <= 4999)) return { error: 'close.error.code', field: 'code' };
  }
  if (utf8Length(reason) > MAX_REASON_BYTES) return { error: 'close.error.reason', field: 'reason' };
  if (typed === '' && reason === '') return { arguments: [] };
  // A Close frame cannot hold a reason without a code (RFC 6455 §5.5.1).
  const code = typed === '' ? 1000 : Number(typed);
  return { arguments: reason === '' ? [code] : [code, reason] };
}
