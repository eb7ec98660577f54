// The built page in a real browser against a running host: what a user does, in their order.
//
// APP_URL         where the page is (required)
// PULL_MODEL      a model that can be pulled and is small (default demo:tiny)
// SCREENSHOT_DIR  if set, a picture after each test
//
// Waiting is always for something on the page, under one deadline; there are no bare sleeps except
// where the test is that nothing happens.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { join } from 'node:path';
import { deadlineMs, launch } from './browser.mjs';

const address = process.env.APP_URL;
if (!address) throw new Error('APP_URL is not set; example: APP_URL=http://127.0.0.1:8080/');
const pullModel = process.env.PULL_MODEL || 'demo:tiny';
const longPrompt = 'Tell me a long story about the weather in the mountains, day by day.';

let browser;
let page;
let stopping = false;
const problems = [];

before(async () => {
  browser = await launch();
  page = await browser.newPage();
  page.setDefaultTimeout(deadlineMs);
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => problems.push(`page error: ${error.message}`));
  page.on('requestfailed', (request) => {
    // Stopping is closing the connection; for the browser that is a failed request. So is what a page that is left
    // had on its way, which arrives all the same.
    const isSpans = request.url().endsWith('/v1/traces');
    if (!stopping && !isSpans) problems.push(`failed: ${request.url()} ${request.failure()?.errorText}`);
  });
  page.on('response', (response) => {
    if (response.status() >= 400) problems.push(`${response.status()}: ${response.url()}`);
  });
});

after(async () => browser?.close());

afterEach(async (context) => {
  const directory = process.env.SCREENSHOT_DIR;
  if (!directory || !page) return;
  const name = context.name.replaceAll(/\W+/g, '-');
  await page.screenshot({ path: join(directory, `${name}.png`), fullPage: true });
});

const section = (name) => page.getByRole('region', { name });
const promptBox = () => page.getByRole('textbox', { name: 'Prompt' });
const sendButton = () => page.getByRole('button', { name: 'Send' });
const answers = () => page.getByRole('article', { name: 'Answer' });

/** The text alone, without figures or buttons. */
const answerText = (answer) => answer.locator('.answer-text').innerText();

/** Waits until `read` gives something `accept` takes, and returns it. */
async function eventually(what, read, accept) {
  const endMs = Date.now() + deadlineMs;
  let seen;
  while (Date.now() < endMs) {
    seen = await read();
    if (accept(seen)) return seen;
    await page.waitForTimeout(50);
  }
  return assert.fail(`${what}: not within ${deadlineMs} ms, last seen: ${JSON.stringify(seen)}`);
}

/** Reading the list ends the test that caused them, so one failure does not spread. */
function assertNoProblems() {
  assert.deepEqual(problems.splice(0), []);
}

async function ask(prompt) {
  const before = await answers().count();
  await promptBox().fill(prompt);
  await promptBox().press('Enter');
  await answers().nth(before).waitFor();
  return answers().nth(before);
}

/**
 * Asks with a seed of its own. Without one the demo answers by chance, and the answer can be over before anything was
 * seen of it. For a real model the seed does no harm.
 */
async function askWithSeed(prompt, seed) {
  await page.route(
    '**/ollama/api/chat',
    (route) => {
      const body = route.request().postDataJSON();
      return route.continue({
        postData: JSON.stringify({ ...body, options: { ...body.options, seed } }),
      });
    },
    { times: 1 },
  );
  return ask(prompt);
}

test('the forecast is five days in both scales', async () => {
  await page.goto(address, { waitUntil: 'load', timeout: deadlineMs });
  const rows = section('Weather').locator('tbody tr');
  await rows.first().waitFor();
  assert.equal(await rows.count(), 5);

  for (const row of await rows.all()) {
    const [celsius, fahrenheit, summary] = await row.locator('td').allInnerTexts();
    assert.match(celsius, /^-?\d+$/);
    // As texts: -18 is rounded to -0 here, which as a number is not 0.
    assert.equal(fahrenheit, String(Math.round((Number(celsius) * 9) / 5 + 32)));
    assert.notEqual(summary.trim(), '');
    assert.match(await row.locator('time').getAttribute('datetime'), /^\d{4}-\d\d-\d\d$/);
  }
  assertNoProblems();
});

test('the installed models are listed and one is active', async () => {
  const radios = section('Models').getByRole('radio');
  await radios.first().waitFor();
  assert.equal(await section('Models').getByRole('radio', { checked: true }).count(), 1);
  assertNoProblems();
});

test('a pulled model becomes listed and active', async () => {
  const models = section('Models');
  await models.getByRole('textbox', { name: 'Pull a model' }).fill(pullModel);
  await models.getByRole('button', { name: 'Pull', exact: true }).click();
  await models.getByText(`${pullModel} was pulled and is ready.`).waitFor();

  assert.ok(await models.getByRole('radio', { name: pullModel, exact: true }).isChecked());
  assert.equal(await models.getByRole('progressbar').count(), 0);
  assertNoProblems();
});

test('only Enter with some text sends', async () => {
  await promptBox().fill('  ');
  await promptBox().press('Enter');
  await promptBox().fill('one line');
  await promptBox().press('Shift+Enter');
  assert.equal(await promptBox().inputValue(), 'one line\n');
  assert.equal(await answers().count(), 0);
  assertNoProblems();
});

test('an answer streams in and finishes', async () => {
  // Found by asking demo:tiny with one seed after another: 126 tokens, which take four seconds.
  const answer = await askWithSeed('What will the weather be like?', 277);
  await answer.locator('.answer-text').waitFor();
  const first = await answerText(answer);
  await eventually('more text', () => answerText(answer), (text) => text.length > first.length);
  assert.equal(await answer.getAttribute('data-state'), 'streaming', 'it grew while it streamed');

  await eventually(
    'the end of the answer',
    () => answer.getAttribute('data-state'),
    (state) => state !== 'streaming',
  );
  assert.equal(await answer.getAttribute('data-state'), 'complete');
  assert.ok((await answerText(answer)).startsWith(first.trimEnd()));
  await sendButton().waitFor();
  assertNoProblems();
});

test('a stopped answer keeps its text and does not grow', async () => {
  // Found in the same way: 115 tokens, after the question before.
  const answer = await askWithSeed(longPrompt, 38);
  await eventually(
    'some text',
    async () => ((await answer.locator('.answer-text').count()) ? answerText(answer) : ''),
    (text) => text.length > 10,
  );
  const count = await answers().count();
  await promptBox().fill('a second question');
  await promptBox().press('Enter');
  assert.equal(await promptBox().inputValue(), 'a second question', 'one send at a time');
  assert.equal(await answers().count(), count);

  stopping = true;
  await page.getByRole('button', { name: 'Stop' }).click();
  await sendButton().waitFor();
  assert.equal(await answer.getAttribute('data-state'), 'stopped');

  const kept = await answerText(answer);
  assert.ok(kept.length > 10);
  await page.waitForTimeout(1500);
  assert.equal(await answerText(answer), kept);
  stopping = false;
  assertNoProblems();
});

test('a failed forecast says why and recovers on retry', async () => {
  await page.route(
    '**/weather/forecast',
    (route) =>
      route.fulfill({
        status: 503,
        contentType: 'application/problem+json',
        body: JSON.stringify({
          title: 'The database is down',
          detail: 'Connection refused',
          requestId: 'e2e-1',
        }),
      }),
    { times: 1 },
  );
  const weather = section('Weather');
  await weather.getByRole('button', { name: 'Refresh' }).click();
  const alert = weather.getByRole('alert');
  await alert.waitFor();
  for (const text of ['The database is down', 'Connection refused', 'e2e-1']) {
    assert.ok((await alert.innerText()).includes(text), `the notice says "${text}"`);
  }
  assert.equal(await weather.locator('tbody tr').count(), 0, 'old data is not passed off as new');
  if (process.env.SCREENSHOT_DIR) {
    await page.screenshot({ path: join(process.env.SCREENSHOT_DIR, 'forecast-failure.png') });
  }

  await alert.getByRole('button', { name: 'Retry' }).click();
  await weather.locator('tbody tr').first().waitFor();
  assert.equal(await alert.count(), 0);
  // The failure was wanted: one bad status, and the browser's own console line about it.
  assert.equal(problems.splice(0).filter((problem) => !problem.includes('503')).length, 0);
});
