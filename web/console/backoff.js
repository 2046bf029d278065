// How long to wait before the next attempt to reconnect.

/** A connection that lived this long counts as a success: the waiting starts over from the first delay. */
export const STABLE_AFTER_MS = 5000;

/**
 * Doubles from `first` up to `longest`, then takes a random half off at most, so that many pages that lost the same
 * server do not come back in the same instant.
 *
 * @param {number} attempt from 0
 * @param {{first: number, longest: number}} limits milliseconds
 * @param {() => number} random from 0 to 1
 */
export function reconnectDelay(attempt, { first, longest }, random = Math.random) {
  const full = Math.min(longest, first * 2 ** Math.min(attempt, 30));
  return Math.round(full / 2 + (full / 2) * random());
}
