// The connection form: checks what was typed, connects, disconnects, keeps the target slice of the store.

import { CLOSED, CLOSING, CONNECTING, OPEN } from './connection.js';
import { MAX_REASON_BYTES, checkCloseArguments, explainCloseCode } from './close-codes.js';
import { byId, make, setText } from './dom.js';
import { utf8Length } from './format.js';
import { checkProtocols, checkUrl } from './target.js';
import { segmented } from './widgets.js';

/** Codes that are offered while typing; any other a page may send can be typed. */
const OFFERED_CODES = [1000, 3000, 3003, 3008, 4000];

export function connectionView(page) {
  const { store, connection } = page;
  const url = byId('url');
  const protocols = byId('protocols');
  const code = byId('close-code');
  const reason = byId('close-reason');
  const showBinaryType = segmented(byId('binary-type'), (binaryType) => {
    store.change('target', { binaryType });
    connection.setBinaryType(binaryType);
    if (store.state.link.state !== CLOSED) page.record({ type: 'binaryType', value: binaryType });
  });

  function connect() {
    const address = checkUrl(url.value, location);
    const names = checkProtocols(protocols.value);
    showProblems(address, names, page.words.t, true);
    if (address.error) return url.focus();
    if (names.error) return protocols.focus();
    const { binaryType, reconnect } = store.state.target;
    const target = { url: address.url, protocols: names.protocols, binaryType, reconnect };
    page.record({ type: 'connect', ...target });
    connection.connect(target);
  }

  function disconnect() {
    const checked = checkCloseArguments(code.value, reason.value);
    if (checked.error) {
      showCloseAdvice();
      (checked.field === 'code' ? code : reason).focus();
      return;
    }
    if (store.state.link.state === OPEN) page.record({ type: 'close', arguments: checked.arguments });
    connection.disconnect(checked.arguments);
  }

  byId('connect-form').addEventListener('submit', (event) => {
    event.preventDefault();
    const { state, retry } = store.state.link;
    if (state === CONNECTING) connection.disconnect([]);
    else if (state === CLOSED || retry) connect();
  });
  byId('close-form').addEventListener('submit', (event) => {
    event.preventDefault();
    disconnect();
  });
  url.addEventListener('input', () => store.change('target', { url: url.value }));
  protocols.addEventListener('input', () => store.change('target', { protocols: protocols.value }));
  code.addEventListener('input', showCloseAdvice);
  reason.addEventListener('input', showCloseAdvice);
  reconnectOptions(page);

  function showCloseAdvice() {
    const { t } = page.words;
    const checked = checkCloseArguments(code.value, reason.value);
    setText(byId('close-reason-size'), reason.value === '' ? '' : `${utf8Length(reason.value)}/${MAX_REASON_BYTES}`);
    const message = byId('close-message');
    message.classList.toggle('bad', checked.error !== undefined);
    code.setAttribute('aria-invalid', String(checked.field === 'code'));
    reason.setAttribute('aria-invalid', String(checked.field === 'reason'));
    if (checked.error) return setText(message, t(checked.error));
    const typed = Number(code.value);
    if (code.value.trim() === '') return setText(message, '');
    const { name, text } = explainCloseCode(typed);
    setText(message, t('close.advice', { name: t(name), text: t(text) }));
  }

  store.subscribe(['link', 'target', 'settings'], ({ link, target }) => {
    const { t } = page.words;
    const { state } = link;
    if (document.activeElement !== url && url.value !== target.url) url.value = target.url;
    if (document.activeElement !== protocols && protocols.value !== target.protocols)
      protocols.value = target.protocols;
    showBinaryType(target.binaryType);
    showProblems(checkUrl(target.url, location), checkProtocols(target.protocols), t, false, link.refused);
    setText(byId('connect'), t(state === CONNECTING ? 'connect.cancel' : 'connect.button'));
    byId('connect').disabled = state === OPEN || state === CLOSING;
    byId('connect').classList.toggle('primary', state !== CONNECTING);
    setText(byId('disconnect'), t('disconnect.button'));
    byId('disconnect').disabled = state !== OPEN && state !== CONNECTING;
    byId('close-codes').replaceChildren(
      ...OFFERED_CODES.map((offered) =>
        make('option', { value: String(offered), label: t(explainCloseCode(offered).name) }),
      ),
    );
  });
  store.subscribe(['settings'], showCloseAdvice);

  return {
    /** Connects when there is no connection, ends it when there is one. */
    toggle() {
      const { state } = store.state.link;
      if (state === CLOSED) connect();
      else if (state !== CLOSING) disconnect();
    },
  };
}

/** While somebody types an address, only what cannot become right by typing on is said. */
function showProblems(address, names, t, submitted, refused) {
  const message = byId('url-message');
  const typing = !submitted && document.activeElement === byId('url');
  const bad = refused !== undefined || (address.error !== undefined && !typing);
  message.classList.toggle('bad', bad);
  byId('url').setAttribute('aria-invalid', String(bad));
  if (refused) setText(message, t('url.refused', refused));
  else if (address.error) setText(message, typing ? '' : t(address.error));
  else setText(message, address.warning ? t(address.warning) : '');
  const protocolsMessage = byId('protocols-message');
  protocolsMessage.classList.toggle('bad', names.error !== undefined);
  byId('protocols').setAttribute('aria-invalid', String(names.error !== undefined));
  setText(protocolsMessage, names.error ? t(names.error, names) : '');
}

function reconnectOptions({ store, connection }) {
  const on = byId('reconnect');
  const fields = {
    first: byId('reconnect-first'),
    longest: byId('reconnect-longest'),
    attempts: byId('reconnect-attempts'),
  };

  function read() {
    const seconds = (field, otherwise) =>
      field.value !== '' && field.checkValidity() ? field.valueAsNumber * 1000 : otherwise;
    const before = store.state.target.reconnect;
    const first = seconds(fields.first, before.first);
    const reconnect = {
      on: on.checked,
      first,
      longest: Math.max(first, seconds(fields.longest, before.longest)),
      attempts: fields.attempts.checkValidity() ? fields.attempts.valueAsNumber || 0 : before.attempts,
    };
    store.change('target', { reconnect });
    connection.setReconnect(reconnect);
  }

  on.addEventListener('change', read);
  for (const field of Object.values(fields)) field.addEventListener('change', read);
  store.subscribe(['target'], ({ target: { reconnect } }) => {
    on.checked = reconnect.on;
    byId('reconnect-options').hidden = !reconnect.on;
    const values = {
      first: reconnect.first / 1000,
      longest: reconnect.longest / 1000,
      attempts: reconnect.attempts || '',
    };
    for (const [name, field] of Object.entries(fields)) {
      if (document.activeElement !== field) field.value = values[name];
    }
  });
}
