// Metrics, versions and recordings: what is looked into, and what is changed.
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

const hash = () => new URL(host.page.url()).hash;
const asked = (method, path) =>
  host.fake.requests.filter((one) => one.method === method && path.test(one.path));
const wasm = Buffer.from([0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0]);

async function choose(name, bytes) {
  await host.page
    .getByLabel('Component file')
    .setInputFiles({ name, mimeType: 'application/wasm', buffer: bytes });
}

test('a histogram shows its percentiles, and points that lead to traces', async () => {
  const { page } = host;
  await host.go('#/metrics');
  const figures = page.getByRole('region', { name: 'Figures' });
  for (const name of ['p50', 'p90', 'p99'])
    await figures.getByRole('row', { name: new RegExp(`^${name}`) }).waitFor();
  assert.equal(await page.locator('.chart canvas').count(), 1);
  const point = page.getByRole('link', { name: /^Trace of a request/ }).first();
  const target = await point.getAttribute('href');
  await point.focus();
  await page.keyboard.press('Enter');
  await page.getByRole('treegrid', { name: 'Spans' }).waitFor();
  assert.equal(hash(), target);
  await page.goBack();
  await figures.waitFor();
  host.assertNoProblems();
});

test('a metric is grouped and filtered by its dimensions, over a range, and all of it is a link', async () => {
  const { page } = host;
  await host.go('#/metrics/http.server.request.duration');
  await page.getByLabel('Group by').selectOption('service');
  const figures = page.getByRole('region', { name: 'Figures' });
  await figures.getByRole('row', { name: /^ollamaservice/ }).waitFor();
  await page.getByLabel('http.response.status_code', { exact: true }).selectOption('200');
  await page.getByLabel('Range').selectOption('1h');
  await eventually(
    page,
    'the question',
    async () =>
      asked('GET', /^api\/metrics\/http/)
        .at(-1)
        ?.query.toString(),
    (query) => query === 'since=1h&by=service&points=120&http.response.status_code=200',
  );
  await page.getByRole('button', { name: 'Table' }).click();
  await page.locator('.chart').waitFor({ state: 'detached' });
  assert.equal(
    decodeURIComponent(hash()),
    '#/metrics/http.server.request.duration?by=service&f.http.response.status_code=200&range=1h&view=table',
  );
  await page.getByRole('link', { name: /wasm_host.memory/ }).click();
  await figures.getByText('MiB').first().waitFor();
  host.assertNoProblems();
});

test('a part of a chart leads to the traces of that time', async () => {
  const { fake, page } = host;
  await host.go('#/metrics/http.server.request.duration');
  await page.locator('.exemplar').first().waitFor();
  const box = await page.locator('.u-over').boundingBox();
  await page.mouse.move(box.x + box.width * 0.5, box.y + box.height - 5);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.7, box.y + box.height - 5, { steps: 5 });
  await page.mouse.up();
  await page.getByRole('link', { name: 'Traces of this time' }).click();
  const [, since, until] = /^#\/traces\?since=(\d+)&until=(\d+)$/.exec(hash());
  assert.ok(Number(since) < Number(until));
  const inside = fake.telemetry.traces.filter(
    ({ summary }) => summary.start >= since && summary.start < until,
  );
  await page.getByText(`${inside.length} traces`).waitFor();
  assert.equal(fake.streams.count('traces'), 0);
  await page.getByRole('button', { name: 'show any time' }).click();
  assert.equal(hash(), '#/traces');
  await eventually(
    page,
    'followed again',
    async () => fake.streams.count('traces'),
    (count) => count === 1,
  );
  host.assertNoProblems();
});

test('an instrument with too many dimensions says so', async () => {
  const { page } = host;
  await host.go('#/metrics/db.client.operation.duration');
  await page.getByText('more combinations of dimensions').waitFor();
  host.assertNoProblems();
});

test('replicas are a table and a column where there are several, and nothing where there is one host', async () => {
  const { fake, page } = host;
  const services = page.getByRole('region', { name: 'Services' });
  await host.go('#/resources');
  await services.getByRole('row', { name: /apiservice/ }).waitFor();
  assert.equal(await services.getByText('Replicas').count(), 0);
  const replica = (name, state, generation, lease_ms) => ({ replica: name, state, generation, lease_ms });
  fake.resources.services[0].replicas = [
    replica('shop-1-a', 'serving', 5, 8200),
    replica('shop-2-b', 'serving', 5, 9100),
    replica('shop-3-c', 'lost', null, 0),
  ];
  const link = services.getByRole('row', { name: /apiservice/ }).getByRole('link', { name: '2 of 3' });
  await link.waitFor();
  await link.click();
  const table = page.getByRole('region', { name: 'What each replica serves' });
  await table.getByRole('row', { name: /^shop-1-a serving 5 8.2 s$/ }).waitFor();
  await table.getByRole('row', { name: /^shop-3-c lost – ended$/ }).waitFor();
  assert.equal(await table.getByRole('row').count(), 4);
  // A swap is on its way.
  fake.resources.services[0].replicas[0].generation = 6;
  await table.getByRole('row', { name: /^shop-1-a serving 6/ }).waitFor();
  await host.go('#/versions/ollamaservice');
  await page.getByRole('region', { name: 'Versions in service' }).waitFor();
  assert.equal(await page.getByText('Replicas').count(), 0);
  host.assertNoProblems();
});

test('a service of files says that they have no versions', async () => {
  const { page } = host;
  await host.go('#/versions/react');
  await page.getByText('Files have no versions').waitFor();
  assert.equal(await page.getByRole('button', { name: 'Drain…' }).count(), 0);
  host.assertNoProblems();
});

test('a component is uploaded and put into service', async () => {
  const { fake, page } = host;
  await host.go('#/versions/apiservice');
  await choose('weather-v2.wasm', wasm);
  await page.getByRole('button', { name: 'Put into service' }).click();
  const verdict = page.getByRole('status').filter({ hasText: 'finish on the old version' });
  await verdict.getByText('activated').waitFor();
  const [swap] = asked('POST', /^services\/apiservice\/swap$/);
  assert.equal(swap.query.get('cause'), 'dashboard, weather-v2.wasm');
  assert.equal(swap.query.has('canary'), false);
  const { version } = fake.resources.services[0];
  await page.getByRole('region', { name: 'History of versions' }).getByText(version).waitFor();
  await page.getByRole('region', { name: 'Versions in service' }).getByText(version).waitFor();
  host.assertNoProblems();
});

test('a file that is no component is rejected with the reason', async () => {
  const { page } = host;
  await host.go('#/versions/apiservice');
  await choose('notes.txt', Buffer.from('hello'));
  await page.getByRole('button', { name: 'Put into service' }).click();
  const verdict = page.getByRole('status').filter({ hasText: 'serves as before' });
  await verdict.getByText('rejected', { exact: true }).waitFor();
  await verdict.getByText('the uploaded file is no WebAssembly component').waitFor();
  host.assertNoProblems(/422/);
});

test('a canary is compared with the version beside it, and ended', async () => {
  const { page } = host;
  await host.go('#/versions/apiservice');
  await choose('weather-v3.wasm', wasm);
  await page.getByLabel('Try it on some of the requests first').check();
  await page.getByLabel('Percent').fill('0');
  assert.equal(await page.getByRole('button', { name: 'Start the canary' }).isDisabled(), true);
  await page.getByLabel('Percent').fill('5');
  await page.getByLabel('For', { exact: true }).selectOption('2m');
  await page.getByRole('button', { name: 'Start the canary' }).click();
  const versions = page.getByRole('region', { name: 'Versions in service' });
  await versions.getByText('canary').waitFor();
  await versions.getByText('2 (5.0 %)').waitFor();
  const row = (state) => versions.getByRole('row', { name: new RegExp(state) });
  await row('serving').getByText('1.21 ms').waitFor();
  await row('serving').getByText('8.93 ms').waitFor();
  await row('canary').getByText('2.4 ms').waitFor();
  await row('canary').getByText('31 ms').waitFor();
  const [swap] = asked('POST', /swap$/);
  assert.deepEqual([swap.query.get('canary'), swap.query.get('for')], ['5%', '2m']);
  await picture(page, 'canary');
  await page.getByRole('button', { name: 'End the canary…' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'End the canary' }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await eventually(
    page,
    'one version',
    () => versions.getByRole('row').count(),
    (count) => count === 2,
  );
  host.assertNoProblems();
});

test('a version is rolled back after a question, instances are drained', async () => {
  const { page } = host;
  await host.go('#/versions/apiservice');
  await page.getByRole('button', { name: 'Roll back…' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
  assert.equal(asked('POST', /rollback$/).length, 0);
  await page.getByRole('button', { name: 'Roll back…' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Roll back' }).click();
  await page.getByRole('region', { name: 'Versions in service' }).getByText('1f0c9d2ab77e').waitFor();
  await page.getByRole('button', { name: 'Drain…' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Drain' }).click();
  await page.getByText('4 instances are being replaced').waitFor();
  host.assertNoProblems();
});

test('what cannot be rolled back says why, in the dialog', async () => {
  const { page } = host;
  await host.go('#/versions/demo-ollama');
  await page.getByRole('button', { name: 'Roll back…' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: 'Roll back' }).click();
  await dialog.getByText('There is no version before this one').waitFor();
  host.assertNoProblems(/409/);
});

test('a failed request that was recorded is saved as a case', async () => {
  const { fake, page } = host;
  await host.go(`#/traces/${failedTrace(fake).summary.trace}`);
  await page.getByRole('button', { name: 'Save as case' }).click();
  const dialog = page.getByRole('dialog', { name: 'Save as case' });
  await dialog.getByText('sqlstate = "57P01"').waitFor();
  await dialog.getByLabel('Folder').fill('failures');
  await picture(page, 'save-as-case');
  await dialog.getByRole('button', { name: 'Save', exact: true }).click();
  await dialog.getByText('components/weather/tests/failures/get-weather-').waitFor();
  host.assertNoProblems();
});

test('a failed request that was not recorded offers to record the next ones', async () => {
  const { fake, page } = host;
  const { trace } = fake.emitTrace('failed');
  await host.go(`#/traces/${trace}`);
  await page.getByRole('button', { name: 'Record the next failures' }).click();
  await page.getByText('Recording apiservice').click();
  await page.getByRole('region', { name: 'Under way' }).getByText('10 more failures').waitFor();
  assert.deepEqual(
    { ...fake.recorder.recording[0], since: 0 },
    { service: 'apiservice', left: 10, only: 'failures', since: 0 },
  );
  await page.getByRole('button', { name: 'Stop recording apiservice' }).click();
  await page.getByText('Nothing is being recorded.').waitFor();
  host.assertNoProblems();
});

test('the next requests of a service are recorded', async () => {
  const { fake, page } = host;
  await host.go('#/recordings');
  await page.getByLabel('Service').selectOption('ollamaservice');
  await page.getByLabel('Number').fill('3');
  await page.getByRole('button', { name: 'Record', exact: true }).click();
  await page.getByText('3 more requests').waitFor();
  fake.recorder.recording = [];
  await page.getByText('Nothing is being recorded.').waitFor();
  host.assertNoProblems();
});

test('a page that refreshes waits for an answer that takes longer', async () => {
  const { fake, page } = host;
  await page.clock.install();
  const pages = [
    ['#/metrics', /^api\/metrics$/],
    ['#/metrics', /^api\/metrics\/./],
    ['#/resources/apiservice', /^api\/resources\/apiservice$/],
    ['#/versions/apiservice', /^api\/resources\/apiservice$/],
  ];
  for (const [at, path] of pages) {
    await host.go('#/console');
    const before = asked('GET', path).length;
    const release = fake.hold(path);
    await host.go(at);
    const questions = async () => asked('GET', path).length - before;
    await eventually(page, 'the question', questions, (count) => count === 1);
    for (let round = 0; round < 3; round += 1) await page.clock.fastForward(15_000);
    // What is asked on a click comes behind whatever the timers asked.
    await page.getByRole('button', { name: 'Settings' }).click();
    await page.keyboard.press('Escape');
    assert.equal(await questions(), 1, `${at} ${path}`);
    release();
    await eventually(
      page,
      'the next question',
      async () => {
        await page.clock.fastForward(15_000);
        return questions();
      },
      (count) => count > 1,
    );
    await eventually(
      page,
      'what was asked for',
      () => page.getByText('Reading…').count(),
      (count) => count === 0,
    );
  }
  host.assertNoProblems();
});
