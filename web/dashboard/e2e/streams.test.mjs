// Streams of the control plane: paused, lost and found again, and shared among windows.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { eventually, launch, open, picture } from './browser.mjs';

// As in src/api/places.ts.
const placesMax = 4;
let browser;
let host;
before(async () => {
  browser = await launch();
});
after(async () => browser?.close());
beforeEach(async () => {
  host = await open(browser);
});
afterEach(async () => host?.close());

const output = () => host.page.getByRole('log', { name: 'Output' });
const logs = () => host.page.getByRole('grid', { name: 'Log lines' });
const following = () =>
  host.page.getByText('following', { exact: false }).filter({ hasNotText: 'not following' }).waitFor();

test('a paused page stands still and catches up', async () => {
  const { fake, page } = host;
  await host.go('#/logs');
  await following();
  await page.getByRole('button', { name: 'Pause' }).click();
  await eventually(
    page,
    'no stream',
    async () => fake.streams.count('logs'),
    (count) => count === 0,
  );
  fake.emitLines([{ message: 'while paused' }]);
  await page.getByRole('button', { name: 'Resume' }).click();
  await logs().getByText('while paused').waitFor();
  await page.getByRole('button', { name: 'Clear the view' }).click();
  await page.getByText('No lines match.', { exact: false }).waitFor();
  // The host's clock is another one than the browser's.
  fake.emitLines([{ message: 'after clearing', time: (Date.now() - 300_000) * 1000 }]);
  await logs().getByText('after clearing').waitFor();
  host.assertNoProblems();
});

test('a lost stream says so, comes back, and nothing is missing', async () => {
  const { fake, page } = host;
  await host.go('#/logs');
  await following();
  const mend = fake.fail(/^api\/(logs|resources)$/, 503, 'The host is stopping');
  fake.streams.cut();
  const notices = page.getByRole('status').filter({ hasText: 'Trying again' });
  await notices.first().waitFor();
  await page.getByText('Reconnecting').waitFor();
  await picture(page, 'stream-lost');
  fake.emitLines(Array.from({ length: 700 }, (_, i) => ({ message: `while away ${i}` })));
  mend();
  // The backoff would end by itself; a person need not wait for it.
  for (;;) {
    const button = page.getByRole('button', { name: 'Reconnect now' }).first();
    if (!(await button.isVisible())) break;
    await button.click({ timeout: 1000 }).catch(() => undefined);
  }
  await logs().getByText('while away 699').waitFor();
  await eventually(
    page,
    'live',
    () => page.locator('.live-mark').innerText(),
    (text) => text === 'Live',
  );
  // 500 of the 700 came with the stream; the others are read when they are looked at.
  await logs().focus();
  await eventually(
    page,
    'the first line that was missed',
    async () => {
      await page.keyboard.press('End');
      await page.keyboard.press('PageUp');
      return page.locator('.list-status').innerText();
    },
    (text) => /^1\u2009\d{3} lines|^[6-9]\d\d lines/.test(text),
  );
  const seen = await page.evaluate(async () => {
    const grid = document.querySelector('[role=grid]');
    const found = new Set();
    for (let top = 0; top < 27 * 760; top += 500) {
      grid.scrollTop = top;
      await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
      for (const row of grid.querySelectorAll('.message')) found.add(row.textContent);
    }
    return [...found].filter((text) => text.startsWith('while away')).length;
  });
  assert.equal(seen, 700);
  host.assertNoProblems(/503|ERR_|Failed to load/);
});

test('what a stream left out is read, and the page goes on', async () => {
  const { fake, page } = host;
  for (const [at, list] of [
    ['#/logs', logs],
    ['#/console', output],
  ]) {
    await host.go(at);
    await following();
    fake.leaveOutLines(Array.from({ length: 20 }, (_, i) => ({ message: `left out of ${at} ${i}` })));
    await list().getByText(`left out of ${at} 19`).waitFor();
    await eventually(
      page,
      'all that was left out',
      () => list().getByText(`left out of ${at} `).count(),
      (count) => count === 20,
    );
    await following();
    fake.emitLines([{ message: `behind it on ${at}` }]);
    await list().getByText(`behind it on ${at}`).waitFor();
  }
  host.assertNoProblems();
});

test('a hidden tab holds no connection, and catches up when it is seen', async () => {
  const { fake, page } = host;
  await host.go('#/logs');
  await following();
  const show = (state) =>
    page.evaluate((value) => {
      Object.defineProperty(document, 'visibilityState', { configurable: true, value });
      document.dispatchEvent(new Event('visibilitychange'));
    }, state);
  await show('hidden');
  await eventually(
    page,
    'no stream',
    async () => fake.streams.count(),
    (count) => count === 0,
  );
  fake.emitLines([{ message: 'while hidden' }]);
  await show('visible');
  await logs().getByText('while hidden').waitFor();
  await following();
  host.assertNoProblems();
});

test('any number of windows is at hand, and as many follow as there are connections for', async () => {
  const { fake, page } = host;
  const rows = (one) => one.getByRole('grid', { name: 'Log lines' }).getByText('forecast').first();
  const follows = (one) => one.locator('.list-status', { hasText: '· following' });
  const others = [];
  for (let i = 0; i < 7; i += 1) {
    const other = await page.context().newPage();
    await other.goto(`${fake.url}#/logs`);
    await rows(other).waitFor();
    if (i < placesMax) await follows(other).waitFor();
    others.push(other);
  }
  assert.equal(fake.streams.count(), placesMax);
  const waiting = others[placesMax];
  await waiting.getByText('Other windows follow already').waitFor();
  // All that is not a stream has connections left, in every window.
  for (const other of others) {
    await other.goto(`${fake.url}#/metrics`);
    await other.getByRole('heading', { name: 'http.server.request.duration' }).waitFor();
  }
  await host.go('#/logs');
  await following();
  fake.emitResources((now) => {
    now.backends[0].state = 'down';
  });
  for (const other of others) await other.getByLabel('1 down').waitFor();
  await waiting.goto(`${fake.url}#/logs`);
  await follows(waiting).waitFor();
  host.assertNoProblems();
});
