// What a person typed as address and subprotocols, turned into the arguments of the WebSocket constructor.

/** RFC 9110 §5.6.2: what a token, and so a subprotocol's name, is made of. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** The /echo of the server that served this page; a common local address when the page was opened as a file. */
export function defaultUrl(location) {
  if (location.protocol !== 'http:' && location.protocol !== 'https:') return 'ws://localhost:3000/echo';
  return `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/echo`;
}

/**
 * Accepts ws, wss, http and https addresses, `host:port/path`, and `/path` on this server.
 *
 * @returns {{url: string, warning?: string} | {error: string}} keys of the language tables
 */
export function checkUrl(typed, location) {
  const text = typed.trim();
  if (text === '') return { error: 'url.error.empty' };
  const base = new URL(defaultUrl(location));
  const absolute = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) || text.startsWith('/');
  let url;
  try {
    url = new URL(absolute ? text : `${base.protocol}//${text}`, base);
  } catch {
    return { error: 'url.error.syntax' };
  }
  if (url.protocol === 'http:') url.protocol = 'ws:';
  if (url.protocol === 'https:') url.protocol = 'wss:';
  if (url.protocol !== 'ws:' && url.protocol !== 'wss:') return { error: 'url.error.scheme' };
  // RFC 6455 §3: a WebSocket URI has no fragment; the constructor refuses even an empty one.
  if (text.includes('#')) return { error: 'url.error.fragment' };
  const mixed = location.protocol === 'https:' && url.protocol === 'ws:' && !isLoopback(url.hostname);
  return mixed ? { url: url.href, warning: 'url.warning.mixed' } : { url: url.href };
}

function isLoopback(host) {
  return host === 'localhost' || host.endsWith('.localhost') || host === '[::1]' || /^127\./.test(host);
}

/**
 * Splits `chat, superchat` and applies the constructor's rules.
 *
 * @returns {{protocols: string[]} | {error: string, name: string}}
 */
export function checkProtocols(typed) {
  const protocols = typed.split(/[\s,]+/).filter((name) => name !== '');
  const seen = new Set();
  for (const name of protocols) {
    if (!TOKEN.test(name)) return { error: 'protocols.error.token', name };
    if (seen.has(name.toLowerCase())) return { error: 'protocols.error.repeat', name };
    seen.add(name.toLowerCase());
  }
  return { protocols };
}
