// Calls all that `wasm_host` has for buckets, a database and the configuration, and answers with what each call gave.
import { configured, execute, openBucket, query, text } from './wasm_host.js';

export function helpers(request) {
  const key = request.path.slice('/helpers/'.length);
  if (key) return text(`${configured(key) ?? 'nothing'}\n`);
  if (request.query === 'sql') return text(told().map((line) => `${line}\n`).join(''));
  const bucket = openBucket(request.query);
  const lines = [shown(bucket.get('note'))];
  bucket.set('note', Uint8Array.of(0, 255, 111));
  lines.push(shown(bucket.get('note')));
  bucket.set('other', Uint8Array.of(116, 101, 97));
  lines.push([...bucket.keys()].join(' '));
  bucket.delete('note');
  lines.push(shown(bucket.get('note')));
  for (const delta of [40, -41]) lines.push(`${bucket.increment('count', delta)}`);
  return text(lines.map((line) => `${line}\n`).join(''));
}

function told() {
  const rows = query('select text from greetings where id > $1 and text <> $2 order by id', 1, 'Bonjour');
  const inserted = execute('insert into greetings (text) values ($1)', 'Ciao');
  return [...rows.map(([line]) => line), inserted, execute('delete from greetings where text = $1', 'Ciao')];
}

function shown(value) {
  if (value === null) return 'nothing';
  return Array.from(value, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
