// A request that fails in the browser becomes a case of a test, which fails in the same way with nothing running.
//
// SCREENSHOT_DIR  if set, pictures of what is clicked
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { deadlineMs, launch } from './browser.mjs';
import { component, startHost } from './host.mjs';

// Nothing listens on port 1.
const application = `name = "failing"
[postgres.weather]
url = "postgres://weather@127.0.0.1:1/weather"
[service.apiservice]
component = "${component('weather')}"
route = "/weather"
postgres = "weather"
`;

let browser;
let host;

before(async () => {
  host = await startHost(application);
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await host?.stop();
});

async function picture(page, name) {
  const directory = process.env.SCREENSHOT_DIR;
  if (directory) await page.screenshot({ path: join(directory, `failure-${name}.png`) });
}

test('a failure that was seen is recorded when it comes again, and saved as a case by one click', async () => {
  const page = await browser.newPage();
  page.setDefaultTimeout(deadlineMs);
  const fail = async () => assert.equal((await page.request.get(host.url('/weather/forecast'))).status(), 503);
  await fail();
  const link = (await host.run('dashboard')).text.trim();
  await page.goto(link);
  // What failed is seen, and was not recorded.
  await page.getByRole('link', { name: 'Traces' }).first().click();
  await page.getByText('GET /weather').first().click();
  await page.getByRole('button', { name: 'Record the next failures' }).click();
  await page.getByRole('link', { name: 'Recording apiservice' }).waitFor();
  await picture(page, 'ordered');
  await fail();
  // The recording leads to its trace, and the trace has what to save.
  await page.getByRole('link', { name: 'Recording apiservice' }).click();
  await page.getByRole('link', { name: 'GET /forecast' }).click();
  await page.getByRole('button', { name: 'Save as case' }).click();
  const dialog = page.getByRole('dialog', { name: 'Save as case' });
  await dialog.getByText('select summary from weathersummaries').waitFor();
  await dialog.getByRole('button', { name: 'Save', exact: true }).click();
  const told = await dialog.getByText('Written to').textContent();
  await picture(page, 'saved');
  const [, file] = /Written to (\S+)/.exec(told) ?? [];
  assert.equal(file, 'cases/apiservice/get-forecast-503-1.toml');

  // Without the host, and without a database that is away.
  const test = () => host.run('test', component('weather'), '--cases', dirname(file));
  const replayed = await test();
  assert.ok(replayed.succeeded, replayed.text);
  const path = join(host.folder, file);
  const text = await readFile(path, 'utf8');
  assert.match(text, /^status = 503$/m);
  await writeFile(path, text.replace(/^status = 503$/m, 'status = 200'));
  const failed = await test();
  assert.ok(!failed.succeeded, failed.text);
  assert.match(failed.text, /503/);
});
