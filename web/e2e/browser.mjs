// The browser of all tests in this folder.
//
// CHROMIUM        the browser (default /usr/bin/chromium)
import { chromium } from 'playwright-core';

export const deadlineMs = 20_000;

/** A browser without a window, with some more arguments. */
export function launch(...args) {
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
      ...args,
    ],
    timeout: deadlineMs,
  });
}
