// The explanations: the handshake for the address at hand, header by header, and a short guide.

import { OPEN } from './connection.js';
import { byId, make } from './dom.js';
import { setRichText } from './i18n.js';
import { checkProtocols, checkUrl } from './target.js';
import { tabs } from './widgets.js';

const CHAPTERS = ['what', 'begin', 'message', 'state', 'buffer', 'close', 'cannot', 'try'];
/** RFC 6455 §1.3: a key and its answer. */
const EXAMPLE_KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const EXAMPLE_ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=';

export function initialDock() {
  return { tab: 'code', open: true };
}

export function dockView(page) {
  const { store } = page;
  const showTab = tabs(byId('dock-tabs'), (tab) => store.change('dock', { tab, open: true }));
  byId('dock-fold').addEventListener('click', () => store.change('dock', { open: !store.state.dock.open }));

  store.subscribe(['dock', 'settings'], ({ dock }) => {
    showTab(dock.tab);
    byId('dock').classList.toggle('folded', !dock.open);
    byId('dock-body').hidden = !dock.open;
    const fold = byId('dock-fold');
    fold.setAttribute('aria-expanded', String(dock.open));
    const label = page.words.t(dock.open ? 'dock.fold' : 'dock.unfold');
    fold.setAttribute('aria-label', label);
    fold.title = label;
  });

  store.subscribe(['target', 'link', 'settings'], ({ target, link }) => {
    const { t } = page.words;
    byId('handshake-request').replaceChildren(...headers(requestHeaders(target), t));
    byId('handshake-response').replaceChildren(...headers(responseHeaders(target, link), t));
  });

  store.subscribe(['settings'], () => {
    byId('guide').replaceChildren(...CHAPTERS.map((name) => chapter(name, page.words.t)));
  });
}

function chapter(name, t) {
  const text = make('p');
  setRichText(text, t(`guide.${name}.text`));
  return make('section', {}, make('h3', {}, t(`guide.${name}.title`)), text);
}

function headers(list, t) {
  return list.map(([line, note, pending]) =>
    make(
      'div',
      { class: pending ? 'pending' : undefined },
      make('dt', {}, line),
      make('dd', {}, t(`handshake.note.${note}`)),
    ),
  );
}

/** Lines of the opening request (RFC 6455 §4.1), each with the key of its explanation. */
function requestHeaders({ url: typed, protocols: typedProtocols }) {
  const url = new URL(checkUrl(typed, location).url ?? 'ws://localhost/');
  const { protocols = [] } = checkProtocols(typedProtocols);
  return [
    [`GET ${url.pathname}${url.search} HTTP/1.1`, 'get'],
    [`Host: ${url.host}`, 'host'],
    ['Upgrade: websocket', 'upgrade'],
    ['Connection: Upgrade', 'connection'],
    [`Origin: ${location.origin}`, 'origin'],
    ['Sec-WebSocket-Version: 13', 'version'],
    [`Sec-WebSocket-Key: ${EXAMPLE_KEY}`, 'key'],
    ...(protocols.length > 0 ? [[`Sec-WebSocket-Protocol: ${protocols.join(', ')}`, 'offered']] : []),
    ['Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits', 'extensions'],
  ];
}

/** Lines of the answer (RFC 6455 §4.2.2): what is known of it once the connection is open. */
function responseHeaders({ protocols: typedProtocols }, { state, protocol, extensions }) {
  const open = state === OPEN;
  const offered = checkProtocols(typedProtocols).protocols?.length > 0;
  const lines = [
    ['HTTP/1.1 101 Switching Protocols', 'status'],
    ['Upgrade: websocket', 'upgrade'],
    ['Connection: Upgrade', 'connection'],
    [`Sec-WebSocket-Accept: ${EXAMPLE_ACCEPT}`, 'accept'],
  ];
  if (open && protocol) lines.push([`Sec-WebSocket-Protocol: ${protocol}`, 'chosen']);
  if (open && extensions) lines.push([`Sec-WebSocket-Extensions: ${extensions}`, 'agreed']);
  if (!open && offered) lines.push(['Sec-WebSocket-Protocol: …', 'notYet', true]);
  if (!open) lines.push(['Sec-WebSocket-Extensions: …', 'notYet', true]);
  return lines;
}
