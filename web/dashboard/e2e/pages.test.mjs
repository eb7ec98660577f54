// Going about: pages, keys, search, links, and what cannot be reached.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { eventually, failedTrace, launch, open, picture } from './browser.mjs';

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

const heading = (name) => host.page.getByRole('heading', { name, level: 1 });
const hash = () => new URL(host.page.url()).hash;

test('keys lead to pages, and the browser leads back', async () => {
  const { page } = host;
  await heading('Resources').waitFor();
  for (const [key, name, to] of [
    ['c', 'Console', '#/console'],
    ['s', 'Logs', '#/logs'],
    ['t', 'Traces', '#/traces'],
    ['m', 'Metrics', '#/metrics'],
    ['v', 'Versions', '#/versions'],
    ['r', 'Resources', '#/resources'],
  ]) {
    await page.keyboard.press(key);
    await heading(name).waitFor();
    assert.equal(hash(), to);
  }
  await page.goBack();
  await heading('Versions').waitFor();
  await page.goBack();
  await heading('Metrics').waitFor();
  await page.goForward();
  await heading('Versions').waitFor();
  host.assertNoProblems();
});

test('keys that somebody types into a field are text', async () => {
  const { page } = host;
  await host.go('#/logs');
  const search = page.getByRole('searchbox', { name: 'Search logs' });
  await search.fill('');
  await search.pressSequentially('rcstmv/?');
  assert.equal(await search.inputValue(), 'rcstmv/?');
  await eventually(
    page,
    'the address',
    async () => hash(),
    (seen) => /^#\/logs\?search=rcstmv%2F%3F$/.test(seen),
  );
  assert.equal(await page.locator('dialog[open]').count(), 0);
  host.assertNoProblems();
});

test('help opens with its key and closes with Escape', async () => {
  const { page } = host;
  await page.keyboard.press('?');
  const dialog = page.getByRole('dialog', { name: 'Keyboard' });
  await dialog.getByText('Search everything').waitFor();
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  host.assertNoProblems();
});

test('one search finds pages, services, requests and log lines', async () => {
  const { page } = host;
  await page.keyboard.press('/');
  const box = page.getByRole('combobox', { name: 'Search everything' });
  await box.fill('apiservice');
  await page.getByRole('option', { name: 'Service apiservice' }).waitFor();
  await box.fill('forecast failed');
  const line = page.getByRole('option', { name: /forecast failed/ }).first();
  await line.waitFor();
  await picture(page, 'search');
  await page.keyboard.press('Enter');
  await page
    .getByRole('complementary', { name: 'Details of the log line' })
    .getByText('57P01')
    .first()
    .waitFor();
  assert.match(hash(), /^#\/logs\?item=\d+/);

  await page.keyboard.press('Escape');
  await page.getByRole('complementary').waitFor({ state: 'detached' });
  await page.keyboard.press('/');
  await box.fill(failedTrace(host.fake).summary.trace);
  await page.getByRole('option', { name: /GET \/weather/ }).waitFor();
  await page.keyboard.press('Enter');
  await page.getByRole('treegrid', { name: 'Spans' }).waitFor();
  host.assertNoProblems();
});

test('Escape closes the search whatever was typed, and empties the search of a page', async () => {
  const { page } = host;
  await page.keyboard.press('/');
  const dialog = page.getByRole('dialog', { name: 'Search everything' });
  await dialog.getByRole('combobox').fill('apiservice');
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  await host.go('#/logs?search=forecast');
  const search = page.getByRole('searchbox', { name: 'Search logs' });
  await search.focus();
  await page.keyboard.press('Escape');
  assert.equal(await search.inputValue(), '');
  await eventually(
    page,
    'the address',
    async () => hash(),
    (seen) => seen === '#/logs',
  );
  host.assertNoProblems();
});

test('a host that keeps no telemetry says how it would, where that is missed', async () => {
  const { fake, page } = host;
  fake.telemetryOff = 'Telemetry is off: write enabled = true below [telemetry].';
  try {
    await page.reload();
    await heading('Resources').waitFor();
    for (const [name, key] of [
      ['Resources', 'r'],
      ['Versions', 'v'],
    ]) {
      await page.keyboard.press(key);
      await heading(name).waitFor();
      // Zeros would be taken for what is measured.
      await page.getByText('Rates, times and failures of the last minute are not measured').waitFor();
    }
    for (const [name, key] of [
      ['Console', 'c'],
      ['Logs', 's'],
      ['Traces', 't'],
      ['Metrics', 'm'],
    ]) {
      await page.keyboard.press(key);
      await heading(name).waitFor();
      await page.getByText('write enabled = true below [telemetry]').waitFor();
    }
  } finally {
    fake.telemetryOff = null;
  }
  host.assertNoProblems();
});

test('a search that fails does not say that there is nothing', async () => {
  const { fake, page } = host;
  const mend = fake.fail(/^api\/search/, 503, 'Busy', 'the store of telemetry has not answered in time');
  await page.keyboard.press('/');
  await page.getByRole('combobox').fill('zzzzzz');
  await page.getByText('has not answered in time').waitFor();
  assert.equal(await page.getByText('Nothing matches').count(), 0);
  mend();
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.getByText('Nothing matches “zzzzzz”.').waitFor();
  await page.keyboard.press('Escape');
});

test('nothing found is told', async () => {
  const { page } = host;
  await page.keyboard.press('/');
  await page.getByRole('combobox').fill('zzzzzz');
  await page.getByText('Nothing matches “zzzzzz”.').waitFor();
  host.assertNoProblems();
});

test('colours and the clock are chosen and kept', async () => {
  const { page } = host;
  const theme = () => page.evaluate(() => document.documentElement.dataset.theme);
  assert.equal(await theme(), 'light');
  await page.getByRole('button', { name: 'Settings' }).click();
  await page.getByRole('button', { name: 'Dark' }).click();
  assert.equal(await theme(), 'dark');
  await page.getByRole('button', { name: 'UTC' }).click();
  await page.reload();
  await heading('Resources').waitFor();
  assert.equal(await theme(), 'dark');
  await page.getByRole('button', { name: 'Settings' }).click();
  await page.getByRole('button', { name: 'System' }).click();
  assert.equal(await theme(), 'light');
  await page.emulateMedia({ colorScheme: 'dark' });
  await eventually(page, 'dark', theme, (seen) => seen === 'dark');
  host.assertNoProblems();
});

test('the table of services is sorted by a column', async () => {
  const { page } = host;
  const names = () => page.locator('table.services tbody tr td:first-child').allInnerTexts();
  await page.getByRole('button', { name: 'Requests' }).click();
  assert.deepEqual(await names(), ['demo-ollama', 'ollamaservice', 'react', 'apiservice']);
  await page.getByRole('button', { name: 'Requests' }).click();
  assert.deepEqual(await names(), ['apiservice', 'react', 'ollamaservice', 'demo-ollama']);
  assert.equal(hash(), '#/resources?sort=-rate');
  await page.getByRole('searchbox', { name: 'Filter by name' }).fill('ollama');
  await eventually(page, 'filtered', names, (seen) => seen.length === 2);
  host.assertNoProblems();
});

test('figures of services are live, and what is down is counted', async () => {
  const { fake, page } = host;
  const row = page.getByRole('row', { name: /^apiservice/ });
  await row.getByText('12.4/s').waitFor();
  fake.emitResources((now) => {
    now.services[0].rate = 99;
    now.backends[1].state = 'down';
    now.backends[1].detail = 'connection refused';
  });
  await row.getByText('99/s').waitFor();
  await page.getByText('connection refused').waitFor();
  await page.getByLabel('1 down').waitFor();
  host.assertNoProblems();
});

test('what a demo stands in for is amber, and not counted as down', async () => {
  const { page } = host;
  await page.locator('.services .badge.warn').getByText('standing in').waitFor();
  await page.locator('.backends .badge.warn').getByText('standing in').waitFor();
  await page.getByText('its demo stands in').waitFor();
  assert.equal(await page.getByLabel(/^\d+ down$/).count(), 0);
  await host.go('#/resources?view=graph');
  await page.locator('.node.backend').first().waitFor();
  assert.equal(await page.locator('.node.warn').count(), 2);
  host.assertNoProblems();
});

test('the graph shows services, backends and what flows', async () => {
  const { fake, page } = host;
  await host.go('#/resources?view=graph');
  const graph = page.getByRole('region', { name: 'Graph of services and backends' });
  await graph.getByText('postgres.weather').waitFor();
  await graph.getByText('0.03/s failed', { exact: true }).waitFor();
  fake.emitResources((now) => {
    now.edges[0].rate = 77;
  });
  await graph.getByText('77/s', { exact: true }).waitFor();
  await graph.getByRole('link', { name: /^ollamaservice/ }).click();
  await heading('ollamaservice').waitFor();
  host.assertNoProblems();
});

test('a service shows its grants, limits, environment and failures; secrets stay with the host', async () => {
  const { page } = host;
  await page.getByRole('link', { name: 'apiservice', exact: true }).click();
  await page.getByRole('region', { name: 'Grants' }).getByText('postgres.weather').waitFor();
  await page.getByRole('region', { name: 'Health' }).getByText('healthy').waitFor();
  const secret = page.getByRole('row', { name: /WEATHER_API_KEY/ });
  assert.match(await secret.innerText(), /••••••/);
  await page.getByRole('searchbox', { name: 'Filter limits' }).fill('queue');
  const limits = page.getByRole('region', { name: 'All limits' }).getByRole('row');
  await eventually(
    page,
    'limits',
    () => limits.count(),
    (count) => count === 4,
  );
  // Names stand between backticks in what the host says.
  assert.equal(await page.getByRole('region', { name: 'All limits' }).locator('code').first().innerText(), 'queue');
  await page.getByRole('region', { name: 'History' }).first().getByText('taken back').waitFor();
  await page.getByRole('region', { name: 'Last failures' }).getByRole('link').first().click();
  await page.getByRole('treegrid', { name: 'Spans' }).waitFor();
  host.assertNoProblems();
});

test('a service that is not there is told with what there is', async () => {
  const { page } = host;
  await host.go('#/resources/nobody');
  const notice = page.getByRole('alert');
  await notice.getByText('There is no such service').waitFor();
  await notice.getByText('The services are apiservice').waitFor();
  host.assertNoProblems(/404/);
});

test('what fails is told with its reason, and tried again', async () => {
  const { fake, page } = host;
  const mend = fake.fail(/^api\/metrics$/, 500, 'The metrics cannot be read', 'The disk is full.');
  await host.go('#/metrics');
  const notice = page.getByRole('alert');
  await notice.getByText('The metrics cannot be read').waitFor();
  await notice.getByText('The disk is full.').waitFor();
  mend();
  await notice.getByRole('button', { name: 'Try again' }).click();
  await page.getByRole('heading', { name: 'http.server.request.duration' }).waitFor();
  host.assertNoProblems(/500/);
});

test('who else sends telemetry is in every filter, with a colour of its own', async () => {
  const { page } = host;
  const all = ['All services', 'apiservice', 'demo-ollama', 'ollamaservice', 'react', 'browser', 'walker'];
  const options = () => page.getByLabel('Service', { exact: true }).locator('option').allInnerTexts();
  for (const at of ['#/logs', '#/traces']) {
    await host.go(at);
    await eventually(page, 'the services', options, (seen) => seen.join() === all.join());
  }
  await host.go('#/resources');
  await page.getByRole('button', { name: 'Settings' }).click();
  const dialog = page.getByRole('dialog', { name: 'Settings' });
  assert.deepEqual(await dialog.locator('option').allInnerTexts(), all);
  await dialog.getByLabel('Service').selectOption('browser');
  await dialog.getByRole('button', { name: 'Delete…' }).click();
  await dialog.getByRole('button', { name: 'Delete for good' }).click();
  await dialog.getByText('The telemetry of browser is deleted.').waitFor();
  host.assertNoProblems();
});

test('telemetry is deleted after a question', async () => {
  const { fake, page } = host;
  await page.getByRole('button', { name: 'Settings' }).click();
  const dialog = page.getByRole('dialog', { name: 'Settings' });
  await dialog.getByLabel('Service').selectOption('react');
  await dialog.getByRole('button', { name: 'Delete…' }).click();
  assert.ok(fake.telemetry.traces.some((trace) => trace.summary.service === 'react'));
  await dialog.getByRole('button', { name: 'Delete for good' }).click();
  await dialog.getByText('The telemetry of react is deleted.').waitFor();
  assert.ok(!fake.telemetry.traces.some((trace) => trace.summary.service === 'react'));
  assert.match(
    await dialog.getByRole('link', { name: 'Export last 1h' }).getAttribute('href'),
    /^api\/export\?since=1h$/,
  );
  const [file] = await Promise.all([
    page.waitForEvent('download'),
    dialog.getByRole('link', { name: 'Export last 1h' }).click(),
  ]);
  assert.equal(file.suggestedFilename(), 'telemetry.zip');
  assert.equal(await file.failure(), null);
  host.assertNoProblems();
});

test('who signs out, or never signed in, is told how to', async () => {
  const { fake, page } = host;
  await page.getByRole('button', { name: 'Settings' }).click();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await heading('Sign in').waitFor();
  await page.getByText('wasm-host serve').waitFor();
  await picture(page, 'signed-out');
  assert.equal(fake.streams.count(), 0);
  host.assertNoProblems(/401/);
});

test('a link to a page survives the way through sign-in', async () => {
  const { fake, page } = host;
  const id = failedTrace(fake).summary.trace;
  await host.go(`#/traces/${id}`);
  await page.getByRole('treegrid', { name: 'Spans' }).waitFor();
  await page.reload();
  await page.getByRole('treegrid', { name: 'Spans' }).waitFor();
  assert.equal(hash(), `#/traces/${id}`);
  host.assertNoProblems();
});
