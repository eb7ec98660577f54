// A service as one writes it with version 2 of Spin's SDK for JavaScript.
import { Kv, Llm, Postgres } from '@fermyon/spin-sdk';

addEventListener('fetch', (event) => event.respondWith(answer(event.request)));

function answer(request) {
  const url = new URL(request.url);
  try {
    return new Response(shop(decodeURIComponent(url.search.slice(1))));
  } catch (error) {
    return new Response(JSON.stringify(error.payload) ?? `${error}`, { status: 502 });
  }
}

// Everything at once, as the service in Rust does it.
function shop(name) {
  const { rows } = Postgres.open('shop').query(`select ${name.length}::int as price`, []);
  const store = Kv.openDefault();
  store.set('last', name);
  const last = new TextDecoder().decode(store.get('last'));
  const { text } = Llm.infer('gemma3', `Praise ${name}`);
  return `javascript 2: ${name} for ${rows[0].price}, last ${last}: ${text}`;
}
