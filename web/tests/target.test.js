import assert from 'node:assert/strict';
import test from 'node:test';
import { checkProtocols, checkUrl, defaultUrl } from '../console/target.js';

const PAGE = new URL('http://localhost:3000/');
const SECURE_PAGE = new URL('https://example.org/');

test('the_default_is_the_echo_of_the_server_of_the_page', () => {
  assert.equal(defaultUrl(PAGE), 'ws://localhost:3000/echo');
  assert.equal(defaultUrl(SECURE_PAGE), 'wss://example.org/echo');
  assert.equal(defaultUrl(new URL('file:///tmp/index.html')), 'ws://localhost:3000/echo');
});

test('addresses_are_completed', () => {
  const cases = {
    'ws://a/b?c=d': 'ws://a/b?c=d',
    ' wss://A.example:443/x ': 'wss://a.example/x',
    'http://a/b': 'ws://a/b',
    'https://a/b': 'wss://a/b',
    'localhost:9001/chat': 'ws://localhost:9001/chat',
    'example.org': 'ws://example.org/',
    '/chat': 'ws://localhost:3000/chat',
    '[::1]:8080': 'ws://[::1]:8080/',
  };
  for (const [typed, url] of Object.entries(cases)) assert.equal(checkUrl(typed, PAGE).url, url, typed);
  assert.equal(checkUrl('example.org', SECURE_PAGE).url, 'wss://example.org/');
});

test('what_the_constructor_would_refuse_is_refused_with_a_reason', () => {
  assert.equal(checkUrl('', PAGE).error, 'url.error.empty');
  assert.equal(checkUrl('ftp://a/', PAGE).error, 'url.error.scheme');
  assert.equal(checkUrl('ws://a/#b', PAGE).error, 'url.error.fragment');
  assert.equal(checkUrl('ws://a/#', PAGE).error, 'url.error.fragment');
  assert.equal(checkUrl('ws://a b/', PAGE).error, 'url.error.syntax');
  assert.equal(checkUrl('ws://', PAGE).error, 'url.error.syntax');
});

test('plain_addresses_from_a_secure_page_get_a_warning', () => {
  assert.equal(checkUrl('ws://other/', SECURE_PAGE).warning, 'url.warning.mixed');
  assert.equal(checkUrl('ws://localhost:1/', SECURE_PAGE).warning, undefined);
  assert.equal(checkUrl('ws://127.0.0.1/', SECURE_PAGE).warning, undefined);
  assert.equal(checkUrl('wss://other/', SECURE_PAGE).warning, undefined);
});

test('subprotocols_are_tokens_and_come_once', () => {
  assert.deepEqual(checkProtocols(' chat, v2.example+json superchat ,').protocols, [
    'chat',
    'v2.example+json',
    'superchat',
  ]);
  assert.deepEqual(checkProtocols('').protocols, []);
  assert.deepEqual(checkProtocols('a, b/c'), { error: 'protocols.error.token', name: 'b/c' });
  assert.deepEqual(checkProtocols('echo eCho'), { error: 'protocols.error.repeat', name: 'eCho' });
  assert.equal(checkProtocols('größe').error, 'protocols.error.token');
});
