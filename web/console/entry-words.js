// A log entry in words: the line that the log shows, the filter searches, the text file holds and the announcer speaks.

import { explainCloseCode } from './close-codes.js';
import { oneLine } from './format.js';
import { formatHex } from './hexdump.js';

const PREVIEW_BYTES = 32;

/** @param {{t: Function, span: Function, bytes: Function}} words */
export function entryWords(entry, words) {
  if (entry.kind === 'text') return entry.forgotten ? words.t('detail.forgotten') : oneLine(entry.text ?? '');
  if (entry.kind === 'binary') return binaryWords(entry, words);
  return eventWords(entry.facts, words);
}

function binaryWords({ bytes, forgotten, size }, { t }) {
  if (forgotten) return t('detail.forgotten');
  if (bytes === undefined) return t('detail.reading');
  return formatHex(bytes.subarray(0, PREVIEW_BYTES)) + (size > PREVIEW_BYTES ? ' …' : '');
}

function eventWords(facts, { t, span }) {
  switch (facts.key) {
    case 'event.connecting':
      return facts.protocols.length > 0
        ? t('event.connectingWith', { url: facts.url, protocols: facts.protocols.join(', ') })
        : t(facts.key, facts);
    case 'event.open': {
      const agreed = [
        facts.protocol && t('event.agreedProtocol', facts),
        facts.extensions && t('event.agreedExtensions', facts),
      ].filter(Boolean);
      const took = span(facts.took);
      return agreed.length > 0 ? t('event.openWith', { took, agreed: agreed.join(', ') }) : t('event.open', { took });
    }
    case 'event.close': {
      const { code, reason } = facts;
      const name = t(explainCloseCode(code).name);
      return reason
        ? t('event.closeReason', { code, name, reason: oneLine(reason) })
        : t('event.close', { code, name });
    }
    case 'event.retry':
      return t(facts.key, { attempt: facts.attempt, delay: span(facts.delay) });
    default:
      return t(facts.key, facts);
  }
}
