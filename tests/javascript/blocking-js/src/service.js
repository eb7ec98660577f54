// Words of a database, and what a model makes of one. Each call waits until it is done, and what went wrong is thrown
// with the interface's own error as `payload`.
import { begin, query } from 'wasm-host:postgres/blocking@0.1.0';
import { chat } from 'wasm-host:ollama/blocking@0.1.0';

const ROUTES = {
  'GET /words': words,
  'GET /words/first': first,
  'POST /words': add,
  'POST /chat': talk,
};

addEventListener('fetch', (event) => event.respondWith(answer(event.request)));

async function answer(request) {
  const url = new URL(request.url);
  const handle = ROUTES[`${request.method} ${url.pathname}`];
  if (!handle) return json({ error: 'There is no such resource.' }, 404);
  try {
    return handle(await request.text(), url);
  } catch (error) {
    const failure = error.payload ?? { tag: 'exception', val: String(error) };
    console.error(JSON.stringify(failure));
    return json({ error: failure.val?.sqlstate ?? failure.tag }, 500);
  }
}

/** How many there are up to a number, and the last one. */
function words(_text, url) {
  const parameters = [integer(Number(url.searchParams.get('until') ?? 10))];
  const statement = 'select id, text from words where id <= $1 order by id';
  const [columns, cursor] = query(statement, parameters);
  let count = 0;
  let last = null;
  for (let rows = cursor.next(); rows !== undefined; rows = cursor.next()) {
    count += rows.length;
    last = rows.at(-1).map((value) => value.val?.val ?? null);
  }
  return json({ columns: columns.map((column) => column.typeName), count, last });
}

/** The first one, however many there are. */
function first() {
  const [, cursor] = query('select id, text from words order by id', []);
  const rows = cursor.next();
  // Ends the statement on the server. Without it that would wait for the garbage collection, or the request's end.
  cursor[Symbol.dispose]();
  return json({ first: rows?.[0][1].val.val ?? null });
}

/** Adds all lines or none. */
function add(body) {
  const transaction = begin();
  let added = 0n;
  for (const line of body.split('\n').filter((line) => line !== '')) {
    added += transaction.execute('insert into words (text) values ($1)', [text(line)]);
  }
  transaction.commit();
  return json({ added: Number(added) }, 201);
}

/** Passes an answer on while it is made. */
function talk(body) {
  const stream = chat({ model: 'tinyllama', messages: [{ role: 'user', content: body }] });
  const encoder = new TextEncoder();
  const pieces = new ReadableStream({
    async pull(controller) {
      // The engine sends what it has when nothing else is due, and not while a call waits.
      await new Promise((sent) => setTimeout(sent, 0));
      const event = stream.next();
      if (event === undefined) controller.close();
      else controller.enqueue(encoder.encode(event.content));
    },
  });
  return new Response(pieces, { headers: { 'content-type': 'text/plain' } });
}

function integer(value) {
  return { tag: 'scalar', val: { tag: 'int32', val: value } };
}

function text(value) {
  return { tag: 'scalar', val: { tag: 'text', val: value } };
}

function json(value, status = 200) {
  return new Response(JSON.stringify(value), {
    status,
    headers: { 'content-type': 'application/json' },
  });
}
