// The browser of all tests in this folder, signed in to a fake control plane.
//
// CHROMIUM        the browser (default /usr/bin/chromium)
// SCREENSHOT_DIR  if set, pictures of what is tested
// SLOW            makes the page so many times slower, to find tests that depend on speed
//
// Waiting is always for something on the page or at the fake host, under one deadline; nothing
// waits for time.
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { FakeControlPlane, token } from './fake-control-plane.mjs';

export const deadlineMs = 30_000;

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
    timeout: deadlineMs,
  });
}

/** A fake control plane with one page that is signed in to it. */
export async function open(browser, { fake: options, page: look, hash = '' } = {}) {
  const fake = await new FakeControlPlane(options).listen();
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 },
    timezoneId: 'UTC',
    locale: 'en-GB',
    reducedMotion: 'reduce',
    ...look,
  });
  const page = await context.newPage();
  page.setDefaultTimeout(deadlineMs);
  if (process.env.SLOW) {
    const cdp = await context.newCDPSession(page);
    await cdp.send('Emulation.setCPUThrottlingRate', { rate: Number(process.env.SLOW) });
  }
  const problems = [];
  // A violation of the policy is an error of the console, too.
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning')
      problems.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => problems.push(`page error: ${error.message}`));
  await page.goto(`${fake.url}login?t=${token}`);
  await page.getByRole('navigation', { name: 'Pages' }).waitFor();
  const go = async (to) => {
    await page.goto(fake.url + to);
  };
  if (hash !== '') await go(hash);
  return {
    fake,
    page,
    go,
    problems,
    /** Reading the list ends the test that caused them; `expected` may be there. */
    assertNoProblems(expected = /(?!)/) {
      assert.deepEqual(
        problems.splice(0).filter((problem) => !expected.test(problem)),
        [],
      );
    },
    async close() {
      await context.close();
      await fake.close();
    },
  };
}

export async function picture(page, name) {
  const directory = process.env.SCREENSHOT_DIR;
  if (!directory) return;
  await mkdir(directory, { recursive: true });
  await page.screenshot({ path: join(directory, `${name}.png`) });
}

/** Waits until `read` gives something that `accept` takes; each look waits for a frame of the page. */
export async function eventually(page, what, read, accept) {
  const end = Date.now() + deadlineMs;
  let seen;
  while (Date.now() < end) {
    seen = await read();
    if (accept(seen)) return seen;
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => resolve())));
  }
  return assert.fail(`${what}: not within ${deadlineMs} ms, last seen: ${JSON.stringify(seen)}`);
}

export const failedTrace = (fake) => fake.telemetry.traces.findLast((trace) => trace.summary.error);
export const chatTrace = (fake) => fake.telemetry.traces.findLast((trace) => modelSpan(trace));
export const modelSpan = (trace) => trace.spans.find((span) => span.attributes['gen_ai.request.model']);
