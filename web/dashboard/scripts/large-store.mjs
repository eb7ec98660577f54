// How fast the dashboard is with a million spans and a million lines in the store. Says figures, and asserts none.
//
//   export WASM_HOST_STATE=$(mktemp -d)
//   cargo test -p wasm-host-collector --lib -- --ignored a_store_of_a_million
//   wasm-host serve APP.toml --state $WASM_HOST_STATE       # with [telemetry] store-size = "2GiB"
//   DASHBOARD_URL=$(wasm-host dashboard --state $WASM_HOST_STATE) node scripts/large-store.mjs
//
// CHROMIUM        the browser (default /usr/bin/chromium)
import { launch } from '../e2e/browser.mjs';

const rounds = 5;
const link = process.env.DASHBOARD_URL;
if (!link) throw new Error('DASHBOARD_URL is not set');
const root = new URL('.', link).href;

const browser = await launch();
const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
const page = await context.newPage();
await page.goto(link);
await page.getByRole('navigation', { name: 'Pages' }).waitFor();

/** Median and worst of some rounds, in milliseconds. */
async function measure(what, act) {
  const took = [];
  for (let round = 0; round < rounds; round += 1) took.push(await act(round));
  took.sort((one, other) => one - other);
  console.log(`${what}: median ${Math.round(took[rounds >> 1])} ms, worst ${Math.round(took[rounds - 1])} ms`);
}

const since = (began) => performance.now() - began;
// The first row of a list is what a user waits for.
const row = (text) => page.getByText(text).first();

for (const [name, text] of [
  ['logs', 'was read from the database'],
  ['traces', 'GET /weather'],
]) {
  await measure(`${name}: from an empty page to its first rows`, async () => {
    await page.goto('about:blank');
    const began = performance.now();
    await page.goto(`${root}#/${name}`);
    await row(text).waitFor();
    return since(began);
  });
  const paint = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime);
  console.log(`${name}: first contentful paint of the last ${Math.round(paint)} ms`);
}

await measure('a search for everything, from the last key to its results', async (round) => {
  await page.goto(`${root}#/resources`);
  await page.keyboard.press('/');
  const field = page.getByRole('dialog').getByRole('searchbox').or(page.getByRole('dialog').getByRole('combobox'));
  await field.first().waitFor();
  const began = performance.now();
  await field.first().fill(`forecast ${77_000 + round}`);
  await page.getByText(`forecast ${77_000 + round} `).first().waitFor();
  return since(began);
});

await measure('a filter of the logs, from its address to its rows', async (round) => {
  await page.goto(`${root}#/logs`);
  await row('was read from the database').waitFor();
  const began = performance.now();
  const text = `forecast ${88_000 + round}`;
  await page.goto(`${root}#/logs?search=${encodeURIComponent(text)}`);
  await row(`${text} of`).waitFor();
  return since(began);
});

// Frames while the grid is scrolled as fast as a wheel turns. One that took longer than 100 ms is a pause.
await page.goto('about:blank');
await page.goto(`${root}#/logs`);
await row('was read from the database').waitFor();
await page.mouse.move(640, 500);
const scrolled = () =>
  page.evaluate(() => Math.max(...[...document.querySelectorAll('main *')].map((element) => element.scrollTop)));
const from = await scrolled();
const frames = page.evaluate(
  () =>
    new Promise((resolve) => {
      const gaps = [];
      const end = performance.now() + 5000;
      let last = performance.now();
      const frame = (now) => {
        gaps.push(now - last);
        last = now;
        if (now < end) requestAnimationFrame(frame);
        else resolve(gaps);
      };
      requestAnimationFrame(frame);
    }),
);
const wheel = (async () => {
  for (let turn = 0; turn < 200; turn += 1) await page.mouse.wheel(0, 400);
})();
const gaps = (await frames).sort((one, other) => one - other);
await wheel;
console.log(
  `scrolling over ${Math.abs((await scrolled()) - from)} pixels: ${gaps.length} frames in 5 s, 99 of 100 within ${Math.round(gaps[Math.floor(gaps.length * 0.99)])} ms, ` +
    `longest ${Math.round(gaps.at(-1))} ms`,
);
await browser.close();
