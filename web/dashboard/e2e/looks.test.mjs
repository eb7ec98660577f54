// Every page in light and dark, on a desk and on a phone: accessible, inside of the window, and
// within the policy of the host.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { assertNothingIsCut } from '../../e2e/cut.mjs';
import { chatTrace, failedTrace, launch, modelSpan, open, picture } from './browser.mjs';

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
let browser;
before(async () => {
  browser = await launch();
});
after(async () => browser?.close());

/** The pages, each with something that is there once it is complete. */
function pages(fake) {
  const failed = failedTrace(fake);
  const chat = chatTrace(fake);
  const line = fake.telemetry.lines.findLast((one) => one.level === 'error');
  const error = failed.spans.findLast((span) => span.status === 'error');
  return [
    ['resources', '#/resources', '.backends .badge'],
    ['graph', '#/resources?view=graph', '.node-name'],
    ['resource', '#/resources/apiservice', '[aria-label="All limits"] td'],
    ['console', '#/console', '.line .what'],
    ['logs', '#/logs', '.grid-body .level'],
    ['log-line', `#/logs?item=${line.id}`, '.pane .properties'],
    ['traces', '#/traces', '.grid-body .bar'],
    ['trace', `#/traces/${failed.summary.trace}?span=${error.span}`, '.pane .properties'],
    ['conversation', `#/traces/${chat.summary.trace}?span=${modelSpan(chat).span}`, '.bubble'],
    ['metrics', '#/metrics/http.server.request.duration?by=service', '.exemplar'],
    ['versions', '#/versions/apiservice', '[aria-label="History of versions"] td'],
    ['recordings', '#/recordings', '[aria-label="Recorded requests"] td'],
  ];
}

async function findings(page) {
  // Given to the page by the browser, past the policy: a script element would be refused.
  await page.evaluate(axe);
  return page.evaluate(async () => {
    const { violations } = await window.axe.run(document, {
      runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'],
    });
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical' || impact === 'moderate')
      .map(
        ({ id, impact, nodes }) =>
          `${id} (${impact}): ${nodes.map((node) => node.html.slice(0, 160)).join(' | ')}`,
      );
  });
}

for (const [where, viewport] of [
  ['desk', { width: 1360, height: 820 }],
  ['phone', { width: 390, height: 844 }],
]) {
  for (const colorScheme of ['light', 'dark']) {
    test(`${where}, ${colorScheme}`, async () => {
      const host = await open(browser, { page: { viewport, colorScheme } });
      const { page } = host;
      try {
        for (const [name, hash, sign] of pages(host.fake)) {
          await host.go(hash);
          await page.locator(sign).first().waitFor();
          assert.deepEqual(await findings(page), [], `${name}, ${where}, ${colorScheme}`);
          const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
          assert.ok(wide <= 0, `${name} is ${wide} pixels wider than the window`);
          await picture(page, `${where}-${colorScheme}-${name}`);
        }
        host.assertNoProblems();
      } finally {
        await host.close();
      }
    });
  }
}

test('no page cuts anything off, on a phone, a tablet or a desk', async () => {
  const host = await open(browser);
  const { page } = host;
  try {
    for (const [name, hash, sign] of pages(host.fake)) {
      await assertNothingIsCut(page, name, async () => {
        await host.go(hash);
        await page.locator(sign).first().waitFor();
      });
    }
    host.assertNoProblems();
  } finally {
    await host.close();
  }
});

test('dialogs, the signed-out page and lost streams are accessible', async () => {
  const host = await open(browser);
  const { fake, page } = host;
  try {
    for (const [key, sign] of [
      ['/', 'Search everything'],
      ['?', 'Keyboard'],
    ]) {
      await page.keyboard.press(key);
      await page.getByRole('dialog', { name: sign }).waitFor();
      assert.deepEqual(await findings(page), [], sign);
      await page.keyboard.press('Escape');
      await page.getByRole('dialog').waitFor({ state: 'detached' });
    }
    await page.getByRole('button', { name: 'Settings' }).click();
    await page.getByRole('dialog', { name: 'Settings' }).waitFor();
    assert.deepEqual(await findings(page), [], 'settings');
    await picture(page, 'settings');
    await page.keyboard.press('Escape');
    const mend = fake.fail(/^api\/resources$/, 503, 'The host is stopping');
    fake.streams.cut();
    await page.getByText('Trying again').waitFor();
    assert.deepEqual(await findings(page), [], 'lost');
    mend();
    await page.context().clearCookies();
    await page.reload();
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    assert.deepEqual(await findings(page), [], 'signed out');
    host.assertNoProblems(/401|503|ERR_/);
  } finally {
    await host.close();
  }
});

test('all of it works below a prefix', async () => {
  const host = await open(browser, { fake: { prefix: '/behind/a/proxy/' } });
  const { fake, page } = host;
  try {
    for (const [, hash, sign] of pages(fake)) {
      await host.go(hash);
      await page.locator(sign).first().waitFor();
    }
    await host.go('#/versions/apiservice');
    await page.getByRole('button', { name: 'Drain…' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Drain' }).click();
    await page.getByText('4 instances are being replaced').waitFor();
    host.assertNoProblems();
  } finally {
    await host.close();
  }
});

test('the built page has no script and no style of its own', async () => {
  const html = await readFile(new URL('../dist/index.html', import.meta.url), 'utf8');
  assert.doesNotMatch(html, /<style|style=|\son\w+=/i);
  for (const [, attributes, text] of html.matchAll(/<script([^>]*)>([^<]*)/g)) {
    assert.match(attributes, /src="\.\//);
    assert.equal(text.trim(), '');
  }
  assert.doesNotMatch(html, /(?:src|href)="(?!\.\/|data:)/);
});
