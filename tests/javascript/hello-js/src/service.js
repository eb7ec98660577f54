// A small JSON API. It knows nothing of the host: `fetch` is the web's, and where
// `http://apiservice/` leads is decided by whoever runs it.
import { advice, dice, greeting } from './answers.js';

const ROUTES = {
  '/': ['GET', home],
  '/greeting': ['POST', greet],
  '/dice': ['GET', roll],
  '/now': ['GET', now],
  '/tomorrow': ['GET', tomorrow],
  '/stream': ['GET', stream],
};

const LARGEST_BODY = 4096;

addEventListener('fetch', (event) => event.respondWith(answer(event.request)));

async function answer(request) {
  const url = new URL(request.url);
  const [method, handle] = ROUTES[url.pathname] ?? [];
  if (!handle) return problem(404, 'There is no such resource.');
  if (request.method !== method) {
    return problem(405, `This resource takes ${method}.`, { allow: method });
  }
  try {
    return await handle(request, url);
  } catch (error) {
    if (error instanceof Wrong) return problem(error.status, error.message);
    console.error(`${method} ${url.pathname} failed: ${error.message}`);
    return problem(500, 'The answer could not be made.');
  }
}

class Wrong extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

function home() {
  return json({ routes: Object.keys(ROUTES) });
}

async function greet(request) {
  const text = await request.text();
  if (text.length > LARGEST_BODY) throw new Wrong(413, `At most ${LARGEST_BODY} characters.`);
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    throw new Wrong(400, 'The body is not JSON.');
  }
  if (typeof body?.name !== 'string' || body.name === '') {
    throw new Wrong(400, '`name` must be a text that is not empty.');
  }
  return json({ greeting: greeting(body.name, body.language) });
}

function roll(_request, url) {
  const sides = Number(url.searchParams.get('sides') ?? 6);
  if (!Number.isInteger(sides) || sides < 2 || sides > 100) {
    throw new Wrong(400, '`sides` is a whole number from 2 to 100.');
  }
  const [word] = crypto.getRandomValues(new Uint32Array(1));
  return json({ sides, rolled: dice(word, sides) });
}

function now() {
  return json({ now: new Date().toISOString() });
}

/// Asks the weather service, and says what to wear.
async function tomorrow() {
  let reply;
  try {
    reply = await fetch('http://apiservice/forecast?days=1', {
      headers: { accept: 'application/json' },
    });
  } catch {
    throw new Wrong(503, 'The weather service cannot be reached.');
  }
  if (!reply.ok) throw new Wrong(502, `The weather service answered ${reply.status}.`);
  let day;
  try {
    [day] = await reply.json();
  } catch {
    throw new Wrong(502, 'The weather service did not answer in JSON.');
  }
  if (!Number.isFinite(day?.temperatureC)) {
    throw new Wrong(502, 'The weather service answered without a temperature.');
  }
  return json({ date: day.date, summary: day.summary, advice: advice(day.temperatureC) });
}

/** An answer that is made while it is sent. */
function stream() {
  const encoder = new TextEncoder();
  let piece = 0;
  const body = new ReadableStream({
    pull(controller) {
      if (piece === 100) controller.close();
      else controller.enqueue(encoder.encode(`piece ${piece++}\n`));
    },
  });
  return new Response(body, { headers: { 'content-type': 'text/plain' } });
}

function json(value, status = 200, headers = {}) {
  return new Response(JSON.stringify(value), {
    status,
    headers: { 'content-type': 'application/json', ...headers },
  });
}

function problem(status, detail, headers = {}) {
  return json({ error: detail }, status, headers);
}
