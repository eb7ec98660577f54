// What the page asks for is one trace with what the host does for it, and begins in the page.
//
// APP_URL         where the page is (required)
// DASHBOARD_URL   the link that signs in (required)
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { deadlineMs, launch } from './browser.mjs';

const address = process.env.APP_URL;
const link = process.env.DASHBOARD_URL;
if (!address || !link) throw new Error('APP_URL and DASHBOARD_URL are not set');

let browser;
let page;
let dashboard;
const problems = [];

before(async () => {
  browser = await launch();
  dashboard = await browser.newPage();
  await dashboard.goto(link);
  page = await browser.newPage();
  page.setDefaultTimeout(deadlineMs);
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => problems.push(`page error: ${error.message}`));
});

after(async () => browser?.close());

/** The id of the trace of the next request for this path. */
async function traceOf(path, doSomething) {
  const asked = page.waitForRequest((request) => new URL(request.url()).pathname === path);
  await doSomething();
  const parent = (await asked).headers().traceparent;
  assert.match(parent, /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  return parent.split('-')[1];
}

/** A trace, once the page has said its part of it. */
async function whole(id) {
  const endMs = Date.now() + deadlineMs;
  for (;;) {
    const trace = await dashboard.evaluate(async (id) => (await fetch(`api/traces/${id}`)).json(), id);
    if (trace.spans?.some((span) => span.service === 'browser')) return trace;
    if (Date.now() > endMs) assert.fail(`no span of the page in ${JSON.stringify(trace).slice(0, 1000)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const weather = () => page.getByRole('region', { name: 'Weather' });
const refresh = () => weather().getByRole('button', { name: 'Refresh' }).click();

const spanOf = (trace, service, name) => {
  const found = trace.spans.find((span) => span.service === service && span.name.startsWith(name));
  assert.ok(found, `no ${name} of ${service} in ${JSON.stringify(trace.spans.map((it) => [it.service, it.name]))}`);
  return found;
};

function assertIsBelow(trace, span, root) {
  let at = span;
  while (at && at.span !== root.span) at = trace.spans.find((it) => it.span === at.parent);
  assert.ok(at, `${span.name} is not below ${root.name}`);
}

test('a forecast begins in the page', async () => {
  const id = await traceOf('/weather/forecast', async () => {
    await page.goto(address, { waitUntil: 'load', timeout: deadlineMs });
    await weather().locator('tbody tr').first().waitFor();
  });
  const trace = await whole(id);
  const root = spanOf(trace, 'browser', 'GET /weather/forecast');
  assert.equal(root.parent, null);
  assert.equal(root.attributes['http.response.status_code'], 200);
  assertIsBelow(trace, spanOf(trace, 'apiservice', 'GET /weather'), root);
  assertIsBelow(trace, spanOf(trace, 'apiservice', 'SELECT'), root);
  const listed = await dashboard.evaluate(async () => (await fetch('api/traces?service=browser')).json());
  const item = listed.items.find((item) => item.trace === id);
  assert.deepEqual([item.name, item.service, item.status], ['GET /weather/forecast', 'browser', 200]);
});

test('a chat begins in the page and ends with the last word of its answer', async () => {
  const id = await traceOf('/ollama/api/chat', async () => {
    await page.getByRole('region', { name: 'Models' }).getByRole('radio').first().waitFor();
    await page.getByRole('textbox', { name: 'Prompt' }).fill('How is the weather?');
    await page.getByRole('textbox', { name: 'Prompt' }).press('Enter');
  });
  await page.locator('article[data-state="complete"]').first().waitFor({ timeout: 2 * deadlineMs });
  const trace = await whole(id);
  const root = spanOf(trace, 'browser', 'POST /ollama/api/chat');
  assert.equal(root.parent, null);
  assertIsBelow(trace, spanOf(trace, 'ollamaservice', 'POST /ollama'), root);
  const model = spanOf(trace, 'ollamaservice', 'chat');
  assertIsBelow(trace, model, root);
  assert.ok(root.duration >= model.duration * 0.9, `${root.duration} of ${model.duration}`);
  assert.ok(!JSON.stringify(root).includes('How is'), 'what is asked is not in it');
});

test('what failed is a failure in the page, too', async () => {
  await page.route('**/weather/forecast', (route) => route.abort(), { times: 1 });
  const id = await traceOf('/weather/forecast', refresh);
  const root = spanOf(await whole(id), 'browser', 'GET /weather/forecast');
  assert.deepEqual([root.status, root.message], ['error', 'Unreachable']);
  problems.length = 0;
});

test('a page that is left says what it knows', async () => {
  // In the place of the failure before, the table tells that the answer was read to its end.
  const id = await traceOf('/weather/forecast', refresh);
  await weather().locator('tbody tr').first().waitFor();
  await page.goto('about:blank');
  spanOf(await whole(id), 'browser', 'GET /weather/forecast');
  assert.deepEqual(problems, []);
});

test('a page that is not told where to sends nothing', async () => {
  // A service that is asked by its own name has all paths to itself.
  const named = new URL(address);
  named.hostname = 'react.localhost';
  const asked = [];
  page.on('request', (request) => asked.push(request));
  await page.goto(named.href, { waitUntil: 'load', timeout: deadlineMs });
  await weather().getByRole('alert').first().waitFor();
  await page.waitForTimeout(1500);
  assert.ok(asked.some((request) => request.url().endsWith('/weather/forecast')));
  for (const request of asked) {
    assert.equal(request.headers().traceparent, undefined, request.url());
    assert.ok(!request.url().includes('v1/traces'), request.url());
  }
});
