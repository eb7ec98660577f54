// The dashboard of a running host: what a user of the page did is there to be seen.
//
// APP_URL         where the page is (required)
// DASHBOARD_URL   the link that signs in (required)
// SCREENSHOT_DIR  if set, a picture after each test
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, afterEach, before, test } from 'node:test';
import { join } from 'node:path';
import { deadlineMs, launch } from './browser.mjs';
import { assertNothingIsCut } from './cut.mjs';

const address = process.env.APP_URL;
const link = process.env.DASHBOARD_URL;
if (!address || !link) throw new Error('APP_URL and DASHBOARD_URL are not set');
const root = new URL('.', link).href;

let browser;
let page;
const problems = [];

before(async () => {
  browser = await launch();
  page = await browser.newPage();
  page.setDefaultTimeout(deadlineMs);
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => problems.push(`page error: ${error.message}`));
});

after(async () => browser?.close());

afterEach(async (context) => {
  const directory = process.env.SCREENSHOT_DIR;
  if (!directory || !page) return;
  await page.screenshot({ path: join(directory, `dashboard-${context.name.replaceAll(/\W+/g, '-')}.png`) });
});

/** What a list of the API has, once that is what is looked for. */
async function eventually(path, accept) {
  const endMs = Date.now() + deadlineMs;
  for (;;) {
    const found = await page.evaluate(async (asked) => (await fetch(asked)).json(), path);
    const wanted = found.items?.find(accept);
    if (wanted) return wanted;
    if (Date.now() > endMs) assert.fail(`nothing of the kind at ${path}: ${JSON.stringify(found).slice(0, 1000)}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

test('without the link nothing is shown, and with it no token stays in the address', async () => {
  await page.goto(root);
  await page.getByText('wasm-host dashboard').or(page.getByText(/sign/i)).first().waitFor();
  assert.equal(await page.evaluate(async () => (await fetch('api/resources')).status), 401);
  problems.length = 0;
  await page.goto(link);
  await page.getByRole('link', { name: 'apiservice' }).first().waitFor();
  assert.ok(!page.url().includes('t='), page.url());
  const cookies = await page.context().cookies(root);
  assert.deepEqual(
    cookies.map(({ httpOnly, sameSite }) => ({ httpOnly, sameSite })),
    [{ httpOnly: true, sameSite: 'Strict' }],
  );
});

/** A trace of one's own: others ask for the same. */
const begun = () => {
  const id = randomBytes(16).toString('hex');
  return { id, headers: { traceparent: `00-${id}-${randomBytes(8).toString('hex')}-01` } };
};

test('a forecast is a trace with its statement', async () => {
  const { id, headers } = begun();
  const answer = await page.request.get(new URL('weather/forecast', address).href, { headers });
  assert.equal(answer.status(), 200);
  const trace = await eventually('api/traces?service=apiservice', (item) => item.trace === id);
  await page.goto(`${root}#/traces/${trace.trace}`);
  await page.getByText('SELECT').first().click();
  await page.getByText('select summary from weathersummaries').first().waitFor();
});

test('a chat is one trace through both services, with its tokens', async () => {
  const body = { model: 'demo', messages: [{ role: 'user', content: 'How is the weather?' }] };
  const { id, headers } = begun();
  const chat = new URL('ollama/api/chat', address).href;
  const answer = await page.request.post(chat, { data: body, headers });
  assert.equal(answer.status(), 200);
  const trace = await eventually('api/traces?service=demo-ollama&search=chat', (item) => item.trace === id);
  assert.deepEqual(trace.services.map(({ service }) => service).sort(), ['demo-ollama', 'ollamaservice']);
  await page.goto(`${root}#/traces/${trace.trace}`);
  await page.getByText('chat demo').first().click();
  await page.getByText(/tokens/i).first().waitFor();
});

test('what changes something is refused without what only the page can read', async () => {
  const drained = (headers) =>
    page.evaluate(
      async (headers) => (await fetch('services/apiservice/drain', { method: 'POST', headers })).status,
      headers,
    );
  assert.equal(await drained({}), 403);
  const { csrf } = await page.evaluate(async () => (await fetch('api/session')).json());
  assert.equal(await drained({ 'X-CSRF-Token': csrf }), 200);
  problems.length = 0;
});

test('what was kept is downloaded as one file', async () => {
  await page.goto(`${root}#/resources`);
  await page.getByRole('button', { name: 'Settings' }).click();
  const [file] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('link', { name: 'Export last 1h' }).click(),
  ]);
  assert.match(file.suggestedFilename(), /^aspiring-ollama-\d{8}T\d{6}Z\.zip$/);
  const bytes = [];
  for await (const piece of await file.createReadStream()) bytes.push(piece);
  const zip = Buffer.concat(bytes).toString('latin1');
  // Names stand uncompressed; the list of files, which ends with a mark of its own, makes it whole.
  for (const name of ['README.txt', 'traces.ndjson', 'describe/apiservice.json', 'manifest.json'])
    assert.ok(zip.includes(name), name);
  assert.ok(zip.slice(-22).startsWith('PK\u0005\u0006'), 'it has no end');
  await page.keyboard.press('Escape');
});

test('figures are there, and lead to a chart', async () => {
  await page.goto(`${root}#/metrics`);
  const instruments = page.getByRole('navigation', { name: 'Instruments' });
  // Figures are stored every ten seconds.
  await instruments.getByText('gen_ai.client.token.usage').click({ timeout: 3 * deadlineMs });
  await page.getByRole('heading', { name: 'gen_ai.client.token.usage' }).waitFor();
  await page.locator('canvas').first().waitFor();
});

test('what is typed after the key for a search is searched for', async () => {
  await page.goto(`${root}#/resources`);
  await page.getByRole('heading', { name: 'Resources', level: 1 }).waitFor();
  await page.keyboard.press('/');
  await page.getByRole('combobox', { name: 'Search everything' }).waitFor();
  await page.keyboard.type('apiservice');
  assert.equal(await page.getByRole('combobox', { name: 'Search everything' }).inputValue(), 'apiservice');
  await page.keyboard.press('Escape');
});

test('no page cuts anything off, on a phone, a tablet or a desk', async () => {
  for (const name of ['Resources', 'Console', 'Logs', 'Traces', 'Metrics', 'Versions', 'Recordings']) {
    await assertNothingIsCut(page, name, async () => {
      await page.goto(`${root}#/${name.toLowerCase()}`);
      await page.getByRole('heading', { name, level: 1 }).waitFor();
    });
  }
  await page.setViewportSize({ width: 1280, height: 720 });
});

test('every page opens without a complaint', async () => {
  for (const name of ['Resources', 'Console', 'Logs', 'Traces', 'Metrics', 'Versions', 'Recordings']) {
    await page.goto(`${root}#/${name.toLowerCase()}`);
    await page.getByRole('heading', { name, level: 1 }).waitFor();
  }
  await page.goto(`${root}#/resources/apiservice`);
  await page.getByText('first-byte-timeout').first().waitFor();
  assert.deepEqual(problems, []);
});
