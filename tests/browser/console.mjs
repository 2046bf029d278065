// Drives the console page of a running server in headless Chromium, as a person would: connects, sends text, JSON
// and binary, sees the echoes and their round-trip times, closes with 3001 and sees it.
//
//     node console.mjs --page http://127.0.0.1:3000/ --chromium /usr/bin/chromium --screenshots FOLDER
//
// It does so in light, in dark and in Chinese, and leaves pictures of each. Anything that the page writes to the
// browser's console as an error or a warning is a failure.

import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';

const require = createRequire(new URL('../../.tools/node/package.json', import.meta.url));
const { chromium } = require('playwright-core');

const { values: options } = parseArgs({
  options: { page: { type: 'string' }, chromium: { type: 'string' }, screenshots: { type: 'string' } },
});
const scheme = new URL(options.page).protocol === 'https:' ? 'wss' : 'ws';

const looks = [
  { name: 'light', colorScheme: 'light', locale: 'en-US', viewport: { width: 1440, height: 960 } },
  { name: 'dark', colorScheme: 'dark', locale: 'en-US', viewport: { width: 1440, height: 960 } },
  { name: 'chinese', colorScheme: 'light', locale: 'zh-CN', viewport: { width: 1440, height: 960 } },
  { name: 'narrow', colorScheme: 'dark', locale: 'zh-CN', viewport: { width: 390, height: 844 } },
];

const profile = await fs.mkdtemp(path.join(os.tmpdir(), 'sockeye-browser-'));
try {
  for (const look of looks) await inBrowser(look);
} finally {
  await fs.rm(profile, { recursive: true, force: true, maxRetries: 5 });
}

/** Opens the page in a fresh profile with the given look, and plays the scene. */
async function inBrowser({ name, ...look }) {
  const context = await chromium.launchPersistentContext(path.join(profile, name), {
    ...look,
    executablePath: options.chromium,
    ignoreHTTPSErrors: true,
    args: [
      '--no-first-run',
      '--disable-gpu',
      '--disable-quic',
      '--disable-sync',
      '--disable-background-networking',
      '--disable-component-update',
      // The server made its certificate itself; this covers the sockets, `ignoreHTTPSErrors` the page.
      '--ignore-certificate-errors',
      // Chromium refuses to sandbox itself for root.
      ...(process.getuid() === 0 ? ['--no-sandbox'] : []),
    ],
  });
  const [page] = context.pages();
  page.setDefaultTimeout(20_000);
  const complaints = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('requestfailed', (request) => complaints.push(`${request.url()}: ${request.failure()?.errorText}`));
  const picture = (moment) => page.screenshot({ path: path.join(options.screenshots, `${scheme}-${name}-${moment}.png`) });
  try {
    await page.goto(options.page);
    await play(page, picture, look.locale);
    assert.deepEqual(complaints, [], 'the page complained');
  } catch (error) {
    await picture('failed');
    throw new Error(`${scheme}, ${name}: ${error.message}\n${complaints.join('\n')}`, { cause: error });
  } finally {
    await context.close();
  }
  console.log(`browser: ${scheme}, ${name}: connected, echoed text, JSON and binary, closed with 3001`);
}

async function play(page, picture, locale) {
  const part = (testId) => page.getByTestId(testId);
  assert.equal(await page.locator('html').getAttribute('lang'), locale === 'zh-CN' ? 'zh-CN' : 'en');
  await stateIs(page, 'CLOSED', 3);
  await picture('start');

  const address = new URL(await part('url').inputValue());
  assert.equal(address.protocol, `${scheme}:`, 'the address follows the scheme of the page');
  assert.equal(address.host, new URL(options.page).host, 'the address is this server');
  await part('connect').click();
  await stateIs(page, 'OPEN', 1);
  await entry(page, { event: 'open' }).waitFor();
  await shows(part('extensions'), /permessage-deflate/);

  await part('kind-text').click();
  await part('text').fill('Both ways 红鲑鱼');
  await part('send').click();
  await echoed(page, { kind: 'text', number: 1, words: 'Both ways 红鲑鱼' });

  await part('kind-json').click();
  await part('json').fill('{"fish": "sockeye", "waters": ["river", "sea"], "length": 0.61}');
  await part('json-pretty').click();
  await part('send').click();
  await echoed(page, { kind: 'text', number: 2, words: '"fish": "sockeye"' });

  await part('kind-hex').click();
  await part('hex').fill('00 01 7f 80 ff');
  await part('send').click();
  await echoed(page, { kind: 'binary', number: 1, words: '00 01 7f 80 ff', size: 5 });

  await part('kind-generate').click();
  await part('generate-size').fill('60000');
  await part('generate-type-binary').click();
  await part('send').click();
  await echoed(page, { kind: 'binary', number: 2, size: 60_000 });

  await shows(part('sent-messages'), /^4$/);
  await shows(part('received-messages'), /^4$/);
  await shows(part('rtt-median'), /\d/);
  await picture('open');

  await part('close-code').fill('3001');
  await part('close-reason').fill('seen enough');
  await part('disconnect').click();
  await stateIs(page, 'CLOSED', 3);
  await shows(entry(page, { event: 'close', code: 3001 }), /3001[^]*seen enough/);
  await shows(part('close-summary'), /3001/);
  await picture('closed');
}

/** Waits until the badge shows one of the four `readyState` values. */
async function stateIs(page, word, number) {
  await page.locator(`[data-testid=state][data-state=${word}]`).waitFor();
  await shows(page.getByTestId('state-number'), new RegExp(`^${number}$`));
}

/** The entries of the log whose `data-` attributes have these values. */
function entry(page, facts) {
  const wanted = Object.entries(facts).map(([name, value]) => `[data-${name}="${value}"]`);
  return page.locator(`[data-testid=log-entry]${wanted.join('')}`);
}

/** Waits for the `number`th message of a kind to come back, with its round-trip time and what the log says of it. */
async function echoed(page, { kind, number, words = '', size }) {
  // The page learns of binary messages in two steps: they arrive, then their bytes are read and the echo is known.
  const complete = page.locator(size ? `[data-rtt][data-size="${size}"]` : '[data-rtt]');
  const received = entry(page, { direction: 'received', kind }).nth(number - 1).and(complete);
  await shows(received.getByTestId('entry-words'), words);
}

/** Waits until an element has this text. */
async function shows(locator, text) {
  await locator.filter({ hasText: text }).waitFor();
}
