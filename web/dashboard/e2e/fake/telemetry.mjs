// What the fake host has kept: traces and log lines, and how they are asked for.
import { sinceMicros } from './metrics.mjs';
import { random } from './random.mjs';
import { chat, failedForecast, forecast, some, swap } from './traces.mjs';

const levels = ['error', 'warn', 'info', 'debug', 'trace'];
const makers = { chat, failed: failedForecast, forecast, swap };

export class Telemetry {
  constructor(now, count = 700) {
    this.chance = random(42);
    this.lines = [];
    this.traces = [];
    this.lastLine = 0;
    const first = now - count * 1_700_000;
    this.#keep(swap(this.chance, now - 905_000_000));
    for (let i = 0; i < count; i += 1)
      this.#keep(some(this.chance, first + i * 1_700_000 + this.chance.int(0, 1_200_000)));
    // Each kind is there at least once near the newest, whatever chance gave.
    for (const [name, before] of [
      ['chat', 9e6],
      ['failed', 6e6],
      ['forecast', 3e6],
    ])
      this.#keep(makers[name](this.chance, now - before));
    for (const [before, level, message] of [
      [1_000e6, 'info', 'serving http://127.0.0.1:8080/ with 4 services'],
      [640e6, 'warn', 'postgres.weather: 1 of 8 connections was lost; another one is made'],
      [5e6, 'warn', 'apiservice: request failed: the database ended the connection'],
    ]) {
      this.lines.push({
        time: now - before,
        level,
        service: null,
        version: null,
        request: null,
        trace: null,
        span: null,
        source: 'host',
        stream: null,
        message,
        fields: {},
      });
    }
    this.lines.sort((a, b) => a.time - b.time);
    this.traces.sort((a, b) => a.summary.start - b.summary.start);
    for (const line of this.lines) line.id = this.lastLine += 1;
  }

  #keep(trace) {
    this.traces.push(trace);
    this.lines.push(...trace.logs);
  }

  /** A request that happens now. */
  make(kind, now) {
    const trace = (makers[kind] ?? some)(this.chance, now);
    this.traces.push(trace);
    for (const line of trace.logs) this.line(line);
    return trace;
  }

  line(line) {
    line.id = this.lastLine += 1;
    this.lines.push(line);
    return line;
  }

  clear(service) {
    this.lines = service === null ? [] : this.lines.filter((line) => line.service !== service);
    this.traces = service === null ? [] : this.traces.filter((trace) => trace.summary.service !== service);
  }
}

export function wantsLine(query, now) {
  const services = query.getAll('service');
  const level = query.get('level');
  const words = wordsOf(query.get('search'));
  const since = sinceMicros(query.get('since'), now);
  const until = sinceMicros(query.get('until'), now);
  return (line) =>
    (services.length === 0 || services.includes(line.service)) &&
    (!level || levels.indexOf(line.level) <= levels.indexOf(level)) &&
    (!query.get('source') || line.source === query.get('source')) &&
    (!query.get('trace') || line.trace === query.get('trace')) &&
    (!query.get('request') || line.request === query.get('request')) &&
    (since === undefined || line.time >= since) &&
    (until === undefined || line.time < until) &&
    words.every((word) => `${line.message} ${JSON.stringify(line.fields)}`.toLowerCase().includes(word));
}

export function wantsTrace(query, now) {
  const services = query.getAll('service');
  const words = wordsOf(query.get('search'));
  const since = sinceMicros(query.get('since'), now);
  const until = sinceMicros(query.get('until'), now);
  const slower = query.get('slower') ? now - sinceMicros(query.get('slower'), now) : 0;
  return (trace) =>
    (services.length === 0 || trace.services.some((part) => services.includes(part.service))) &&
    (query.get('errors') !== 'true' || trace.error) &&
    trace.duration >= slower &&
    (since === undefined || trace.start >= since) &&
    (until === undefined || trace.start < until) &&
    words.every((word) => `${trace.name} ${trace.trace} ${trace.status}`.toLowerCase().includes(word));
}

const wordsOf = (text) => (text ?? '').toLowerCase().split(/\s+/).filter(Boolean);

/** Newest first; the cursor is the place of the last item in the list of all. */
export function paged(all, wants, query) {
  const limit = Number(query.get('limit') ?? 100);
  const items = [];
  let place = query.get('before') === null ? all.length : Number(query.get('before'));
  while (place > 0 && items.length < limit) {
    place -= 1;
    if (wants(all[place])) items.push(all[place]);
  }
  const more = all.slice(0, place).some(wants);
  return { items, next: more ? String(place) : null, dropped: 0 };
}

/** So many lines that nobody could hold them: each is made when it is asked for. */
export function endlessLines(query, total, now) {
  const limit = Number(query.get('limit') ?? 100);
  const before = query.get('before') === null ? total + 1 : Number(query.get('before'));
  const items = [];
  for (let id = before - 1; id > 0 && items.length < limit; id -= 1) items.push(endlessLine(id, total, now));
  const last = items.at(-1)?.id ?? 1;
  return { items, next: last > 1 ? String(last) : null, dropped: 0 };
}

export function endlessLine(id, total, now) {
  return {
    id,
    time: now - (total - id) * 1000,
    level: id % 97 === 0 ? 'error' : id % 13 === 0 ? 'warn' : 'info',
    service: id % 3 === 0 ? 'ollamaservice' : 'apiservice',
    version: null,
    request: null,
    trace: null,
    span: null,
    source: 'guest',
    stream: 'stdout',
    message: `line ${id} of a service that prints a lot`,
    fields: {},
  };
}
