// Console, logs and traces: live, filtered, read back.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { chatTrace, eventually, failedTrace, launch, modelSpan, open, picture } from './browser.mjs';

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

const hash = () => new URL(host.page.url()).hash;
const output = () => host.page.getByRole('log', { name: 'Output' });
const logs = () => host.page.getByRole('grid', { name: 'Log lines' });
const traces = () => host.page.getByRole('grid', { name: 'Traces' });
const following = () =>
  host.page.getByText('following', { exact: false }).filter({ hasNotText: 'not following' }).waitFor();

test('the console follows, in the colours of the terminal and of the service', async () => {
  const { fake, page } = host;
  await host.go('#/console');
  await following();
  fake.emitLines([
    {
      service: 'ollamaservice',
      message: 'plain \u001b[31mred \u001b[1mbold\u001b[0m http://example.test/a.',
    },
  ]);
  await output().locator('.ansi-red', { hasText: 'red' }).waitFor();
  await output().locator('.ansi-bold.ansi-red', { hasText: 'bold' }).waitFor();
  const link = output().getByRole('link', { name: 'http://example.test/a' });
  assert.equal(await link.getAttribute('href'), 'http://example.test/a');
  const line = output().locator('.line', { hasText: 'plain red bold' });
  await line.locator('.who.hue-2', { hasText: 'ollamaservice' }).waitFor();
  host.assertNoProblems();
});

test('a line of markup is text', async () => {
  const { fake } = host;
  await host.go('#/console');
  await following();
  fake.emitLines([{ message: '<img src=x onerror=alert(1)><script>alert(2)</script>' }]);
  await output().getByText('<img src=x onerror=alert(1)><script>alert(2)</script>').waitFor();
  assert.equal(await output().locator('img, script').count(), 0);
  host.assertNoProblems();
});

test('one service of the console, by its button and by its link', async () => {
  const { page } = host;
  await host.go('#/console');
  await page.getByRole('button', { name: 'demo-ollama' }).click();
  assert.equal(hash(), '#/console?service=demo-ollama');
  await output().getByText('sampling').first().waitFor();
  await eventually(
    page,
    'others are gone',
    () => output().getByText('/forecast').count(),
    (count) => count === 0,
  );
  await page.goBack();
  await output().getByText('/forecast').first().waitFor();
  host.assertNoProblems();
});

test('who scrolls up in the console stays there until following again', async () => {
  const { fake, page } = host;
  await host.go('#/console');
  await following();
  await output().hover();
  await page.mouse.wheel(0, -1000);
  const follow = page.getByRole('button', { name: 'Follow' });
  await follow.waitFor();
  // Whatever the wheel still moves has been moved when two looks see the same.
  const top = () => output().evaluate((element) => element.scrollTop);
  let before;
  await eventually(page, 'the wheel is at rest', top, (seen) => {
    const rests = seen === before;
    before = seen;
    return rests;
  });
  const count = async () => Number(/^\d+/.exec(await page.locator('.list-status').innerText())[0]);
  const lines = await count();
  fake.emitLines(Array.from({ length: 50 }, (_, i) => ({ message: `while reading ${i}` })));
  await eventually(page, 'the lines', count, (seen) => seen === lines + 50);
  assert.equal(await top(), before);
  assert.equal(await output().getByText('while reading 49').count(), 0);
  await follow.click();
  await output().getByText('while reading 49').waitFor();
  host.assertNoProblems();
});

test('output is searched, wrapped and downloaded', async () => {
  const { page } = host;
  await host.go('#/console?search=forecast%20failed');
  await output().locator('mark', { hasText: 'forecast' }).first().waitFor();
  await page.getByRole('button', { name: 'Wrap lines' }).click();
  assert.match(hash(), /wrap=false/);
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Download' }).click(),
  ]);
  assert.equal(download.suggestedFilename(), 'console.log');
  let text = '';
  for await (const chunk of await download.createReadStream()) text += chunk;
  const lines = text.trim().split('\n');
  assert.ok(lines.length > 3);
  for (const line of lines)
    assert.match(line, /^\d{4}-\d\d-\d\dT[\d:.]+Z apiservice stderr forecast failed: terminating/);
  assert.deepEqual(lines, lines.toSorted());
  host.assertNoProblems();
});

test('log lines are filtered by level, service and words, and the filters are a link', async () => {
  const { page } = host;
  await host.go('#/logs');
  await page.getByLabel('Level').selectOption('warn');
  await page.getByLabel('Service').selectOption('apiservice');
  await page.getByRole('searchbox').fill('forecast');
  await page.getByRole('searchbox').press('Enter');
  await eventually(
    page,
    'only errors',
    () => logs().locator('.level').allInnerTexts(),
    (levels) => levels.length > 0 && levels.every((level) => level === 'error'),
  );
  assert.equal(hash(), '#/logs?level=warn&service=apiservice&search=forecast');
  await page.reload();
  assert.equal(await page.getByLabel('Level').inputValue(), 'warn');
  await logs().getByText('forecast failed').first().waitFor();
  await page.getByRole('searchbox').fill('there is no such line');
  await page.getByText('No lines match.', { exact: false }).waitFor();
  host.assertNoProblems();
});

test('errors that nobody has looked at are counted beside Logs until they are read', async () => {
  const { fake, page } = host;
  await page.clock.install();
  await page.reload();
  const nav = page.getByRole('navigation', { name: 'Pages' });
  // They are asked for now and then.
  const named = (name) =>
    eventually(
      page,
      name,
      async () => {
        await page.clock.fastForward(10_000);
        return nav.getByRole('link', { name, exact: true }).count();
      },
      (count) => count === 1,
    );
  // What there was before the first visit is read.
  await named('Logs');
  const emit = (count, level) =>
    fake.emitLines(Array.from({ length: count }, (_, i) => ({ level, message: `number ${i}` })));
  emit(3, 'warn');
  emit(2, 'error');
  await named('Logs 2 unread errors');
  await picture(page, 'unread');
  await page.reload();
  await named('Logs 2 unread errors');
  await host.go('#/logs?level=error');
  await named('Logs');
  await following();
  emit(1, 'error');
  // Seen where errors are shown, it is read before it was counted.
  const newest = fake.telemetry.lines.reduce((id, line) => Math.max(id, line.id), 0);
  await eventually(
    page,
    'the newest error to be read',
    () => page.evaluate(() => localStorage.getItem('wasm-host-dashboard-read')),
    (kept) => kept.endsWith(`:${newest}}`),
  );
  await host.go('#/traces');
  await named('Logs');
  emit(1, 'error');
  await named('Logs 1 unread error');
  await host.go('#/logs');
  await page.getByRole('button', { name: 'Mark 1 error as read' }).click();
  await named('Logs');
  await page.reload();
  await named('Logs');
  emit(120, 'error');
  await named('Logs 99+ unread errors');
  host.assertNoProblems();
});

test('arrows go through log lines, the details follow, and Escape closes them', async () => {
  const { fake, page } = host;
  await host.go('#/logs');
  await following();
  await logs().focus();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  const details = page.getByRole('complementary', { name: 'Details of the log line' });
  const newest = fake.telemetry.lines.at(-1);
  await details.getByText(newest.span).waitFor();
  await page.keyboard.press('ArrowDown');
  const second = fake.telemetry.lines.at(-2);
  await details.getByText(second.message.replaceAll(/\u001b\[[\d;]*m/g, '')).waitFor();
  assert.match(hash(), new RegExp(`item=${second.id}$`));
  await page.keyboard.press('End');
  await eventually(
    page,
    'the last row',
    () => logs().getAttribute('aria-activedescendant'),
    (row) => /-499$/.test(row ?? ''),
  );
  await page.keyboard.press('Escape');
  await details.waitFor({ state: 'detached' });
  host.assertNoProblems();
});

test('a line is copied, and its details take as much room as one likes', async () => {
  const { fake, page } = host;
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  const line = fake.telemetry.lines.findLast((one) => one.level === 'error');
  await host.go(`#/logs?item=${line.id}`);
  await page.getByRole('button', { name: 'Copy the line as JSON' }).click();
  await page.getByRole('status').filter({ hasText: 'Copied' }).waitFor({ state: 'attached' });
  assert.deepEqual(JSON.parse(await page.evaluate(() => navigator.clipboard.readText())), line);

  const edge = page.getByRole('separator', { name: 'Width of the details' });
  const pane = page.getByRole('complementary', { name: 'Details of the log line' });
  const width = async () => (await pane.boundingBox()).width;
  const before = await width();
  await edge.focus();
  await page.keyboard.press('ArrowLeft');
  const wider = await eventually(page, 'wider', width, (seen) => seen > before + 20);
  const { x, y, height } = await edge.boundingBox();
  await page.mouse.move(x + 4, y + height / 2);
  await page.mouse.down();
  await page.mouse.move(x + 204, y + height / 2, { steps: 4 });
  await page.mouse.up();
  const narrow = await eventually(page, 'narrower', width, (seen) => seen < wider - 150);
  await page.reload();
  await pane.waitFor();
  assert.ok(Math.abs((await width()) - narrow) < 2);
  host.assertNoProblems();
});

test('new log lines come at the top and do not move what is read below', async () => {
  const { fake, page } = host;
  await host.go('#/logs');
  await following();
  fake.emitLines([{ message: 'the newest of all' }]);
  await logs().getByText('the newest of all').waitFor();
  await logs().evaluate((element) => {
    element.scrollTop = 2700;
  });
  const topRow = () =>
    logs().evaluate((element) => {
      const top = element.getBoundingClientRect().top + 60;
      const rows = [...element.querySelectorAll('.grid-body .grid-row')];
      return rows.find((row) => row.getBoundingClientRect().bottom > top)?.textContent;
    });
  // Row 100 is in the document when its neighbours are drawn there.
  await eventually(
    page,
    'rows',
    () => logs().locator('[aria-rowindex="110"]').count(),
    (count) => count === 1,
  );
  const before = await topRow();
  fake.emitLines(Array.from({ length: 30 }, (_, i) => ({ message: `meanwhile ${i}` })));
  await page.getByText(/^531 lines/).waitFor();
  assert.equal(await topRow(), before);
  host.assertNoProblems();
});

test('traces are filtered, and the filters are a link', async () => {
  const { page } = host;
  await host.go('#/traces');
  await following();
  await page.getByRole('button', { name: 'Errors only' }).click();
  await eventually(
    page,
    'only errors',
    () => traces().locator('.status .badge').allInnerTexts(),
    (all) => all.length > 0 && all.every((text) => text === '502'),
  );
  assert.equal(hash(), '#/traces?errors=true');
  await page.getByRole('button', { name: 'Errors only' }).click();
  await page.getByLabel('Duration').selectOption('1s');
  await eventually(
    page,
    'only slow ones',
    () => traces().locator('.duration .mono').allInnerTexts(),
    (all) => all.length > 0 && all.every((text) => / s$/.test(text)),
  );
  await page.getByLabel('Service').selectOption('apiservice');
  await page.getByText('No traces match.', { exact: false }).waitFor();
  host.assertNoProblems();
});

test('a request appears as it happens, and opens as a waterfall', async () => {
  const { fake, page } = host;
  await host.go('#/traces');
  await following();
  const { trace } = fake.emitTrace('failed');
  const link = traces().locator(`a[href="#/traces/${trace}"]`);
  await link.waitFor();
  await traces().focus();
  await page.keyboard.press('Home');
  await page.keyboard.press('Enter');
  await page.getByRole('treegrid', { name: 'Spans' }).waitFor();
  assert.equal(hash(), `#/traces/${trace}`);
  await page.goBack();
  await link.waitFor();
  host.assertNoProblems();
});

test('a failed request shows where it failed, with the statement and its log lines', async () => {
  const { fake, page } = host;
  await host.go(`#/traces/${failedTrace(fake).summary.trace}`);
  const spans = page.getByRole('treegrid', { name: 'Spans' });
  await eventually(
    page,
    'all spans',
    () => spans.getByRole('row').count(),
    (count) => count === 6,
  );
  assert.equal(await spans.locator('.dot').count(), 2);
  await page.getByRole('button', { name: 'Show the failure' }).click();
  const pane = page.getByRole('complementary', { name: 'Details of the span' });
  await pane.getByText('terminating connection due to administrator command').waitFor();
  await pane.getByText('select summary from weathersummaries order by id limit $1').waitFor();
  await pane.getByText('57P01').first().waitFor();
  await picture(page, 'trace-failed');
  await page.getByRole('button', { name: 'Collapse guest' }).click();
  await eventually(
    page,
    'collapsed',
    () => spans.getByRole('row').count(),
    (count) => count === 5,
  );
  await spans.getByText('+1').waitFor();
  await spans.focus();
  await page.keyboard.press('Home');
  await page.keyboard.press('ArrowLeft');
  await eventually(
    page,
    'all collapsed',
    () => spans.getByRole('row').count(),
    (count) => count === 2,
  );
  await page.keyboard.press('ArrowRight');
  await eventually(
    page,
    'opened',
    () => spans.getByRole('row').count(),
    (count) => count === 5,
  );
  host.assertNoProblems();
});

test('a model call opens as the conversation that it was', async () => {
  const { fake, page } = host;
  const chat = chatTrace(fake);
  const span = modelSpan(chat);
  await host.go(`#/traces/${chat.summary.trace}?span=${span.span}`);
  const talk = page.getByRole('region', { name: 'Conversation' });
  await talk.locator('.bubble.user', { hasText: 'weather in the mountains' }).waitFor();
  await talk.locator('.bubble.assistant', { hasText: 'quick-change artist' }).waitFor();
  await talk
    .getByRole('listitem')
    .filter({ hasText: 'Output tokens' })
    .getByText(String(span.attributes['gen_ai.usage.output_tokens']))
    .waitFor();
  await talk.getByText('First token').waitFor();
  await picture(page, 'trace-conversation');
  await page.getByRole('button', { name: 'Span', exact: true }).click();
  await page.getByText('gen_ai.usage.input_tokens').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('complementary').waitFor({ state: 'detached' });
  host.assertNoProblems();
});

test('a log line leads to its trace and back', async () => {
  const { fake, page } = host;
  const line = fake.telemetry.lines.findLast((one) => one.level === 'error');
  await host.go(`#/logs?item=${line.id}`);
  await page.getByRole('link', { name: 'Open the trace' }).click();
  await page.getByRole('complementary', { name: 'Details of the span' }).waitFor();
  assert.equal(hash(), `#/traces/${line.trace}?span=${line.span}`);
  await page.getByRole('link', { name: 'in Logs' }).click();
  await eventually(
    page,
    'its lines',
    () => logs().locator('.grid-body [role=row]').count(),
    (count) => count === 2,
  );
  await page.getByRole('button', { name: /^trace / }).click();
  assert.equal(hash(), '#/logs');
  host.assertNoProblems();
});

test('a trace that is gone is told', async () => {
  const { page } = host;
  await host.go(`#/traces/${'0'.repeat(32)}`);
  await page.getByRole('alert').getByText('It was not sampled, or it was dropped').waitFor();
  host.assertNoProblems(/404/);
});
