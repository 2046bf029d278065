// Numbers, sizes and times as the reader's language writes them.

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** `12 B`, `1.5 KiB`, `64 MiB`: binary units, at most three digits. */
export function formatBytes(count, locale = 'en') {
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  const number = new Intl.NumberFormat(locale, { maximumFractionDigits: digits }).format(value);
  return `${number}\u00a0${UNITS[unit]}`;
}

/** Reads `1000`, `64 KiB`, `1.5MiB`, `64k`; returns bytes, or undefined for anything else. */
export function parseSize(text) {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([kmg]?)(?:i?b)?\s*$/i.exec(text);
  if (match === null) return undefined;
  const power = ' kmg'.indexOf(match[2].toLowerCase() || ' ');
  const bytes = Number(match[1]) * 1024 ** power;
  return Number.isInteger(bytes) && Number.isSafeInteger(bytes) ? bytes : undefined;
}

export function formatNumber(value, locale = 'en') {
  return new Intl.NumberFormat(locale).format(value);
}

/** A short span in milliseconds or seconds: `0.84 ms`, `12.3 ms`, `1.42 s`. */
export function formatSpan(milliseconds, locale = 'en') {
  const seconds = milliseconds >= 1000;
  const value = seconds ? milliseconds / 1000 : milliseconds;
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  const number = new Intl.NumberFormat(locale, { maximumFractionDigits: digits }).format(value);
  return `${number}\u00a0${seconds ? 's' : 'ms'}`;
}

/** Time since something began: `0:07`, `12:03`, `3:12:03`. */
export function formatUptime(milliseconds) {
  const total = Math.max(0, Math.floor(milliseconds / 1000));
  const pad = (value) => String(value).padStart(2, '0');
  const hours = Math.floor(total / 3600);
  const minutes = Math.floor(total / 60) % 60;
  const tail = `${hours > 0 ? pad(minutes) : minutes}:${pad(total % 60)}`;
  return hours > 0 ? `${hours}:${tail}` : tail;
}

/** Local wall clock with milliseconds, `14:03:07.120`. */
export function formatClock(epochMilliseconds) {
  const date = new Date(epochMilliseconds);
  const pad = (value, width = 2) => String(value).padStart(width, '0');
  return `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}.${pad(date.getMilliseconds(), 3)}`;
}

/** Bytes of a string in UTF-8; a lone surrogate counts as U+FFFD, which is what a WebSocket sends for it. */
export function utf8Length(text) {
  let bytes = 0;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    if (unit < 0x80) bytes += 1;
    else if (unit < 0x800) bytes += 2;
    else if (unit >= 0xd800 && unit < 0xdc00 && (text.charCodeAt(index + 1) & 0xfc00) === 0xdc00) {
      bytes += 4;
      index += 1;
    } else bytes += 3;
  }
  return bytes;
}

/** One line of at most `limit` characters with control characters made visible. */
export function oneLine(text, limit = 240) {
  const visible = text
    .slice(0, limit)
    .replace(/\r\n|\n|\r/g, '⏎')
    .replace(/\t/g, '→')
    .replace(/[\u0000-\u001f]/g, (character) => String.fromCharCode(0x2400 + character.charCodeAt(0)))
    .replace(/[\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, '�');
  return text.length > limit ? `${visible}…` : visible;
}
