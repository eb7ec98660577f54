// Pages of other origins in a real browser: what they cannot do with a service, and can when the application file
// lists them. The host is one of this file's own, because its file has to name an origin that is known only now.
//
// CHROMIUM        the browser (default /usr/bin/chromium)
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { deadlineMs, launch } from './browser.mjs';
import { component, startHost } from './host.mjs';

let browser;
let host;
let listed;
let other;

/** A server of one empty page, on a port of its own. */
async function pages() {
  const server = createServer((_request, response) => {
    response.setHeader('content-type', 'text/html');
    response.end('<!doctype html><title>a page</title>');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

/** An application that one origin may use, by one of two services. Nothing listens on port 1: the demo answers. */
const application = (origin) => `name = "origins"
[ollama.local]
url = "http://127.0.0.1:1"
fallback = "demo-ollama"
[service.demo-ollama]
component = "${component('demo-ollama')}"
internal = true
instances = 1
per-instance = 256
reuse = 1000000
idle = "24h"
[service.closed]
component = "${component('ollama')}"
ollama = "local"
[service.open]
component = "${component('ollama')}"
ollama = "local"
max-body = "64KiB"
cors = { origins = ["${origin}"], methods = ["GET", "POST"] }
`;

before(async () => {
  listed = await pages();
  other = await pages();
  host = await startHost(application(`http://127.0.0.1:${listed.address().port}`));
  // A name that its owner points at this machine.
  browser = await launch('--host-resolver-rules=MAP evil.example 127.0.0.1');
});

after(async () => {
  await browser?.close();
  listed?.close();
  other?.close();
  await host?.stop();
});

const url = (path) => host.url(path);

async function open(address) {
  const page = await browser.newPage();
  page.setDefaultTimeout(deadlineMs);
  await page.goto(address, { waitUntil: 'load' });
  return page;
}

/** What a page sees of a request: the status and the text, or that it sees nothing. */
const ask = (page, path, init) =>
  page.evaluate(
    async ([address, options]) => {
      try {
        const response = await fetch(address, options);
        return { status: response.status, text: await response.text() };
      } catch (error) {
        return { hidden: error.name };
      }
    },
    [url(path), init],
  );

/** The status with which the host answered, whatever the page sees of it. */
async function statusOf(page, path, act) {
  const answered = page.waitForResponse((response) => response.url() === url(path));
  await act();
  return (await answered).status();
}

const models = async () => (await (await fetch(url('/closed/api/tags'))).json()).models.map((model) => model.name);
const json = { 'content-type': 'application/json' };
const chat = JSON.stringify({ model: 'demo:latest', messages: [{ role: 'user', content: 'Hello' }] });
const pull = JSON.stringify({ model: 'demo:tiny' });
const remove = JSON.stringify({ model: 'demo:latest' });

test('a page of another origin cannot use the models', async () => {
  const before = await models();
  // Another port of this name, which the browser calls the same site, and another name.
  for (const name of ['127.0.0.1', 'localhost']) {
    const page = await open(`http://${name}:${other.address().port}/`);
    for (const service of ['/closed', '/open']) {
      for (const [path, body] of [['/api/chat', chat], ['/api/pull', pull]]) {
        // Such a request is sent without asking first.
        const simple = { method: 'POST', mode: 'no-cors', headers: { 'content-type': 'text/plain' }, body };
        const status = await statusOf(page, service + path, () => ask(page, service + path, simple));
        assert.equal(status, 403, `${path} of ${service} from ${name}`);
        const seen = await ask(page, service + path, { method: 'POST', headers: json, body });
        assert.deepEqual(seen, { hidden: 'TypeError' });
      }
      const seen = await ask(page, `${service}/api/delete`, { method: 'DELETE', body: remove });
      assert.deepEqual(seen, { hidden: 'TypeError' });
      assert.deepEqual(await ask(page, `${service}/api/tags`, {}), { hidden: 'TypeError' });
    }
    await page.close();
  }
  assert.deepEqual(await models(), before);
});

test('a form of another origin cannot use the models', async () => {
  const before = await models();
  for (const enctype of ['text/plain', 'application/x-www-form-urlencoded']) {
    const page = await open(`http://localhost:${other.address().port}/`);
    const submit = () =>
      page.evaluate(
        ([action, kind]) => {
          const form = Object.assign(document.createElement('form'), { method: 'post', enctype: kind, action });
          // As text/plain it is JSON.
          form.append(Object.assign(document.createElement('input'), { name: '{"model":"demo:tiny","x":"', value: '"}' }));
          document.body.append(form);
          form.submit();
        },
        [url('/closed/api/pull'), enctype],
      );
    assert.equal(await statusOf(page, '/closed/api/pull', submit), 403, enctype);
    await page.close();
  }
  assert.deepEqual(await models(), before);
});

test('a name that was bent to this machine is answered nothing', async () => {
  const page = await browser.newPage();
  const answer = await page.goto(`http://evil.example:${host.port}/closed/api/tags`);
  assert.equal(answer.status(), 421);
  assert.match(await answer.text(), /add hosts = \[\\"evil.example\\"\] under \[http\]/);
  await page.close();
});

test('a page that the file lists chats, and reads what went wrong', async () => {
  const page = await open(`http://127.0.0.1:${listed.address().port}/`);
  for (const headers of [json, { 'content-type': 'text/plain' }]) {
    const { status, text } = await ask(page, '/open/api/chat', { method: 'POST', headers, body: chat });
    assert.equal(status, 200, text);
    assert.equal(JSON.parse(text.trimEnd().split('\n').at(-1)).done, true);
  }
  const body = 'x'.repeat(100_000);
  const large = await ask(page, '/open/api/chat', { method: 'POST', headers: json, body });
  assert.equal(large.status, 413);
  assert.match(JSON.parse(large.text).detail, /65536|64/);
  // What is not listed stays closed: a method, and the other service.
  const removed = await ask(page, '/open/api/delete', { method: 'DELETE', body: remove });
  assert.deepEqual(removed, { hidden: 'TypeError' });
  const closed = await ask(page, '/closed/api/chat', { method: 'POST', headers: json, body: chat });
  assert.deepEqual(closed, { hidden: 'TypeError' });
  assert.ok((await models()).includes('demo:latest'));
  await page.close();
});

test('a page of the host itself notices nothing', async () => {
  for (const name of ['127.0.0.1', 'localhost']) {
    const page = await open(`http://${name}:${host.port}/closed/`);
    const status = await page.evaluate(
      async (body) => (await fetch('/closed/api/chat', { method: 'POST', body })).status,
      chat,
    );
    assert.equal(status, 200, name);
    await page.close();
  }
});
