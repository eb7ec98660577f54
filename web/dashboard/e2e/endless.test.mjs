// A million log lines: scrolling stays live, and neither the document nor the memory grows with them.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually, launch, open } from './browser.mjs';

const total = 1_000_000;
let browser;
before(async () => {
  browser = await launch();
});
after(async () => browser?.close());

test('one reads back through tens of thousands of a million lines and returns', async () => {
  const host = await open(browser, { fake: { endless: total }, hash: '#/logs' });
  const { fake, page } = host;
  const cdp = await page.context().newCDPSession(page);
  const heap = async () => {
    await cdp.send('HeapProfiler.collectGarbage');
    return (await cdp.send('Runtime.getHeapUsage')).usedSize;
  };
  try {
    const grid = page.getByRole('grid', { name: 'Log lines' });
    await grid.getByText(`line ${total} of`).waitFor();
    const known = async () => Number(await grid.getAttribute('aria-rowcount')) - 1;
    const rows = () => grid.locator('.grid-body [role=row]').count();
    let heapEarly;
    let most = 0;
    while ((await known()) < 60_000) {
      const before = await known();
      await grid.evaluate((element) => {
        element.scrollTop = element.scrollHeight;
      });
      await eventually(page, 'the next page', known, (count) => count > before);
      most = Math.max(most, await rows());
      // By then all that may be held is held.
      if (heapEarly === undefined && before > 15_000) heapEarly = await heap();
    }
    const heapLate = await heap();
    assert.ok(most < 150, `${most} rows in the document`);
    assert.ok(heapLate < heapEarly * 1.5 + 8e6, `memory grew from ${heapEarly} to ${heapLate}`);

    // The rows at the end are the right ones.
    await grid.evaluate((element) => {
      element.scrollTop = element.scrollHeight / 2;
    });
    const place = await eventually(
      page,
      'lines in the middle',
      () =>
        grid.evaluate((element) => {
          const row = [...element.querySelectorAll('.grid-body [role=row]')].find((one) =>
            /line \d+/.test(one.textContent),
          );
          return (
            row && [Number(row.getAttribute('aria-rowindex')), Number(/line (\d+)/.exec(row.textContent)[1])]
          );
        }),
      (seen) => Boolean(seen),
    );
    assert.equal(place[0] - 2, total - place[1]);

    // The newest were let go and come back, and the page is live.
    await grid.focus();
    await page.keyboard.press('Home');
    await grid.getByText(`line ${total} of`).waitFor();
    fake.emitLines([{ message: 'after a million' }]);
    await grid.getByText('after a million').waitFor();
    host.assertNoProblems();
  } finally {
    await host.close();
  }
});

test('the console reads back, too', async () => {
  const host = await open(browser, { fake: { endless: total }, hash: '#/console?wrap=false' });
  const { page } = host;
  try {
    const output = page.getByRole('log', { name: 'Output' });
    await output.getByText(`line ${total} of`).waitFor();
    for (const lines of [1_000, 1_500, 2_000, 2_500]) {
      await output.evaluate((element) => {
        element.scrollTop = 0;
      });
      const text = String(lines).replace(/(\d)(\d{3})$/, '$1\u2009$2');
      await page.getByText(`${text} lines`).waitFor();
    }
    await page.getByRole('button', { name: 'Follow' }).click();
    await output.getByText(`line ${total} of`).waitFor();
    host.assertNoProblems();
  } finally {
    await host.close();
  }
});

test('a flood of lines leaves the page at hand', async () => {
  const host = await open(browser, { hash: '#/console' });
  const { fake, page } = host;
  try {
    const output = page.getByRole('log', { name: 'Output' });
    await page.locator('.list-status', { hasText: '· following' }).waitFor();
    for (let burst = 0; burst < 30; burst += 1) {
      fake.emitLines(Array.from({ length: 1000 }, (_, i) => ({ message: `flood ${burst * 1000 + i}` })));
      // An answer to a key in between shows that the page is not stuck.
      await page.keyboard.press('?');
      await page.getByRole('dialog').waitFor();
      await page.keyboard.press('Escape');
      await page.getByRole('dialog').waitFor({ state: 'detached' });
    }
    await output.getByText('flood 29999', { exact: true }).waitFor();
    const lines = await page.locator('.list-status').innerText();
    const held = Number(/^([\d\u2009]+)/.exec(lines)[1].replaceAll('\u2009', ''));
    assert.ok(held <= 11_000, lines);
    assert.ok((await output.locator('.line').count()) < 150);
    host.assertNoProblems();
  } finally {
    await host.close();
  }
});
