// The npm package `ollama`, unmodified, must work against the Ollama service of a running host: it stands for all the clients
// that people already have. Needs APP_URL, as app.test.mjs does, and the demo models.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ollama } from 'ollama';

const page = process.env.APP_URL;
assert.ok(page, 'set APP_URL to the address of a running host, for example http://127.0.0.1:8080/');

const ollama = new Ollama({ host: new URL('ollama', page).href });
const hello = [{ role: 'user', content: 'Hello there' }];
// Deadline of each test, in milliseconds.
const timeout = 30_000;

test('it lists and shows models', { timeout }, async () => {
  const { models } = await ollama.list();
  assert.ok(models.some((model) => model.name === 'demo:latest'), JSON.stringify(models));
  const shown = await ollama.show({ model: 'demo:latest' });
  assert.equal(shown.details.family, 'n-gram (demo)');
});

test('it chats in pieces to the end', { timeout }, async () => {
  let text = '';
  let pieces = 0;
  let last;
  for await (const part of await ollama.chat({ model: 'demo:latest', messages: hello, stream: true })) {
    text += part.message.content;
    pieces += 1;
    last = part;
  }
  assert.ok(pieces > 3, `only ${pieces} pieces`);
  assert.ok(text.length > 10, text);
  assert.equal(last.done, true);
  assert.ok(last.eval_count > 0);
});

test('it chats and generates in one piece', { timeout }, async () => {
  const chat = await ollama.chat({ model: 'demo:latest', messages: hello });
  assert.ok(chat.done && chat.message.content.length > 10);
  const generated = await ollama.generate({ model: 'demo:latest', prompt: 'The weather is' });
  assert.ok(generated.done && generated.response.length > 10);
});

test('it pulls a model with progress', { timeout }, async () => {
  const statuses = [];
  for await (const part of await ollama.pull({ model: 'demo:tiny', stream: true })) {
    statuses.push(part.status);
  }
  assert.equal(statuses[0], 'pulling manifest');
  assert.equal(statuses.at(-1), 'success');
});

test('it embeds', { timeout }, async () => {
  const { embeddings } = await ollama.embed({ model: 'demo:latest', input: ['rain', 'sun'] });
  assert.equal(embeddings.length, 2);
  const length = Math.hypot(...embeddings[0]);
  assert.ok(Math.abs(length - 1) < 1e-3, `not of unit length: ${length}`);
});

test('a model that is not there is an error with its status', { timeout }, async () => {
  await assert.rejects(ollama.chat({ model: 'absent:1b', messages: hello }), (error) => {
    assert.equal(error.status_code, 404);
    assert.match(error.message, /not found/);
    return true;
  });
});

test('a failing pull throws what the server said', { timeout }, async () => {
  await assert.rejects(async () => {
    for await (const part of await ollama.pull({ model: 'absent:1b', stream: true })) {
      assert.ok(part.status);
    }
  }, /demo/);
});

test('abort ends a chat', { timeout }, async () => {
  const stream = await ollama.chat({ model: 'demo:latest', messages: hello, stream: true });
  await assert.rejects(async () => {
    for await (const part of stream) {
      assert.equal(part.done, false);
      stream.abort();
    }
  }, { name: 'AbortError' });
});
