// A service as one writes it with Spin's tools for JavaScript: each path asks one of Spin's interfaces. Models come by the
// SDK's package; the others are named as its packages name them.
import { Store } from 'fermyon:spin/key-value@2.0.0';
import { Connection as Notes } from 'fermyon:spin/sqlite@2.0.0';
import { get } from 'fermyon:spin/variables@2.0.0';
import { Connection } from 'spin:postgres/postgres@3.0.0';
import { generateEmbeddings, infer } from '@spinframework/spin-llm';

const ANSWERS = {
  '/': () => "Hello from Spin's JavaScript\n",
  '/shop': shop,
  '/query': query,
  '/sqlite': notes,
  '/store': store,
  '/variable': get,
  '/infer': said,
  '/embed': embed,
  '/fetch': outside,
};

addEventListener('fetch', (event) => event.respondWith(answer(event.request)));

async function answer(request) {
  const url = new URL(request.url);
  const answers = ANSWERS[url.pathname];
  if (!answers) return new Response(`there is no ${url.pathname}`, { status: 404 });
  try {
    return new Response(await answers(decodeURIComponent(url.search.slice(1))));
  } catch (error) {
    return new Response(told(error), { status: 502 });
  }
}

// What an interface says of its failure, or else what the engine says.
function told(error) {
  return error.payload === undefined ? `${error}` : JSON.stringify(error.payload);
}

function query(statement) {
  const { columns, rows } = Connection.open('shop').query(statement, []);
  return lines(columns.map(({ name }) => name), rows);
}

function notes(statement) {
  const { columns, rows } = Notes.open('default').execute(statement, []);
  return lines(columns, rows.map(({ values }) => values));
}

function lines(columns, rows) {
  return [columns, ...rows.map((row) => row.map(({ val }) => `${val}`))]
    .map((line) => line.join(' '))
    .join('\n');
}

function store(value) {
  const bucket = Store.open('default');
  bucket.set('one', new TextEncoder().encode(value));
  return new TextDecoder().decode(bucket.get('one'));
}

function said(prompt) {
  return infer('gemma3', prompt).text;
}

function embed(text) {
  const { embeddings, usage } = generateEmbeddings('all-minilm', [text]);
  const numbers = embeddings.map((embedding) => Array.from(embedding));
  return `${JSON.stringify(numbers)} (${usage.promptTokenCount})`;
}

async function outside(url) {
  const response = await fetch(url);
  return `${response.status} ${await response.text()}`;
}

// Everything at once, as the service in Rust does it.
function shop(name) {
  const [, price] = query(`select ${name.length}::int as price`).split('\n');
  return `javascript: ${name} for ${price}, last ${store(name)}: ${said(`Praise ${name}`)}`;
}
