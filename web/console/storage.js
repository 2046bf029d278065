// What the browser remembers for this page. A browser may forbid it (private windows, settings): then nothing is remembered.

const PREFIX = 'sockeye.';

export function remembered(name) {
  try {
    return localStorage.getItem(PREFIX + name);
  } catch {
    return null;
  }
}

/** @returns {boolean} whether it was stored */
export function remember(name, value) {
  try {
    localStorage.setItem(PREFIX + name, value);
    return true;
  } catch {
    return false;
  }
}
