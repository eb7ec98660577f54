// A fake control plane: it answers as wasm-host would, from invented data, and serves the built
// dashboard with the policy that the host sends. For tests, and to look at the page without a host:
//
//   node e2e/fake-control-plane.mjs [PORT]
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { instruments, metric } from './fake/metrics.mjs';
import { Recorder } from './fake/recorder.mjs';
import { details, resources } from './fake/resources.mjs';
import { Streams } from './fake/streams.mjs';
import { endlessLines, paged, Telemetry, wantsLine, wantsTrace } from './fake/telemetry.mjs';
import { Versions } from './fake/versions.mjs';

const dist = fileURLToPath(new URL('../dist', import.meta.url));
const types = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css' };
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
  "font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
export const token = 'feedc0de';
const csrf = 'csrf-of-the-fake';

export class Problem extends Error {
  constructor(status, title, detail) {
    super(title);
    this.status = status;
    this.detail = detail;
  }
}

export class FakeControlPlane {
  /** `endless` is a number of log lines that are made when they are asked for. */
  constructor({ prefix = '/', endless = 0 } = {}) {
    this.prefix = prefix;
    this.endless = endless;
    this.now = Date.now() * 1000;
    this.telemetry = new Telemetry(this.now);
    this.resources = resources(this.now);
    this.streams = new Streams();
    this.recorder = new Recorder(this.telemetry);
    this.versions = new Versions(this.resources, Math.floor(this.now / 1000));
    this.failures = [];
    this.holds = [];
    this.requests = [];
    this.server = createServer((request, response) => void this.#handle(request, response));
  }

  async listen(port = 0) {
    await new Promise((resolve) => this.server.listen(port, '127.0.0.1', resolve));
    return this;
  }

  get url() {
    return `http://127.0.0.1:${this.server.address().port}${this.prefix}`;
  }

  async close() {
    this.streams.cut();
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  /** The next requests whose path matches fail; `count` of them, or all until it is taken back. */
  fail(path, status, title, detail, count = Infinity) {
    const failure = { path, problem: new Problem(status, title, detail), left: count };
    this.failures.push(failure);
    return () => {
      failure.left = 0;
    };
  }

  /** Requests whose path matches have no answer until the function that this returns is called. */
  hold(path) {
    let release;
    const released = new Promise((resolve) => {
      release = resolve;
    });
    this.holds.push({ path, released });
    return release;
  }

  emitTrace(kind) {
    const trace = this.telemetry.make(kind, Date.now() * 1000);
    this.streams.send('traces', [trace.summary]);
    this.streams.send('logs', trace.logs);
    return trace.summary;
  }

  emitLines(lines) {
    const made = this.#kept(lines);
    this.streams.send('logs', made);
  }

  /** Keeps lines, and tells the streams only how many there are, as to a reader that is too slow. */
  leaveOutLines(lines) {
    this.streams.leaveOut('logs', this.#kept(lines).length);
  }

  #kept(lines) {
    return lines.map((line) =>
      this.telemetry.line({
        time: Date.now() * 1000,
        level: 'info',
        service: 'apiservice',
        version: null,
        request: null,
        trace: null,
        span: null,
        source: 'guest',
        stream: 'stdout',
        fields: {},
        ...line,
      }),
    );
  }

  emitResources(change) {
    change?.(this.resources);
  }

  async #handle(request, response) {
    response.setHeader('content-security-policy', policy);
    response.setHeader('x-content-type-options', 'nosniff');
    try {
      const url = new URL(request.url, 'http://fake');
      if (!url.pathname.startsWith(this.prefix))
        throw new Problem(404, 'There is nothing here', url.pathname);
      const path = url.pathname.slice(this.prefix.length);
      this.requests.push({ method: request.method, path, query: url.searchParams });
      if (this.requests.length > 5000) this.requests.shift();
      if (path === 'login') return this.#login(url, response);
      if (!/^(api|services)(\/|$)/.test(path)) return await file(path, response);
      this.#guard(request, path);
      for (const hold of this.holds) if (hold.path.test(path)) await hold.released;
      await this.#answer(request, response, path, url.searchParams);
    } catch (error) {
      if (response.headersSent) return response.destroy();
      const status = error instanceof Problem ? error.status : 500;
      response.writeHead(status, { 'content-type': 'application/problem+json' });
      response.end(JSON.stringify({ title: error.message, detail: error.detail, status }));
    }
  }

  #login(url, response) {
    if (url.searchParams.get('t') !== token)
      throw new Problem(401, 'The link is not valid', 'Use the one that serve printed last.');
    response.writeHead(303, {
      location: './',
      'set-cookie': `session=fake; HttpOnly; SameSite=Strict; Path=${this.prefix}`,
    });
    response.end();
  }

  #guard(request, path) {
    if (!/(^|; )session=fake/.test(request.headers.cookie ?? ''))
      throw new Problem(401, 'Nobody is signed in');
    if (request.method !== 'GET' && request.headers['x-csrf-token'] !== csrf)
      throw new Problem(403, 'The request has no CSRF token');
    const failure = this.failures.find((one) => one.left > 0 && one.path.test(path));
    if (failure) {
      failure.left -= 1;
      throw failure.problem;
    }
  }

  async #answer(request, response, path, query) {
    const now = Date.now() * 1000;
    const asked = `${request.method} ${path}`;
    const id = (pattern) => decodeURIComponent(pattern.exec(asked)?.[1] ?? '');
    const follow = query.get('follow') === 'true';
    if (asked === 'GET api/session')
      return json(response, { csrf, application: 'aspiring-ollama', version: '0.1.0' });
    if (asked === 'POST api/logout')
      return json(response, {}, { 'set-cookie': `session=; Max-Age=0; Path=${this.prefix}` });
    if (asked === 'GET api/resources') return json(response, this.resources);
    if (asked === 'GET api/logs') return this.#logs(response, query, follow, now);
    if (asked === 'GET api/traces') return this.#traces(response, query, follow, now);
    if (asked.startsWith('GET api/traces/')) return json(response, this.#trace(id(/^GET api\/traces\/(.+)/)));
    if (asked.startsWith('GET api/resources/'))
      return json(response, this.#details(id(/^GET api\/resources\/(.+)/), now));
    if (asked === 'GET api/metrics') return json(response, instruments);
    if (asked.startsWith('GET api/metrics/'))
      return json(response, this.#metric(id(/^GET api\/metrics\/(.+)/), query, now));
    if (asked === 'GET api/search') return json(response, this.#search(query));
    if (asked === 'DELETE api/telemetry') {
      this.telemetry.clear(query.get('service'));
      return json(response, {});
    }
    if (asked === 'GET api/export') {
      response.writeHead(200, {
        'content-type': 'application/zip',
        'content-disposition': 'attachment; filename="telemetry.zip"',
      });
      return response.end('PK\u0005\u0006'.padEnd(22, '\0'));
    }
    if (/^\w+ api\/recordings/.test(asked))
      return this.recorder.answer(request, response, asked, body, json, Problem);
    if (/^\w+ services/.test(asked)) {
      return this.versions.answer(request, response, asked, query, body, json, Problem, () =>
        this.emitResources(),
      );
    }
    throw new Problem(404, 'There is no such address', path);
  }

  #logs(response, query, follow, now) {
    if (this.endless > 0) {
      if (!follow) return json(response, endlessLines(query, this.endless, this.now));
      const newest = endlessLines(query, this.endless, this.now).items;
      return this.streams.add(response, 'logs', newest.reverse(), () => true);
    }
    const wants = wantsLine(query, now);
    const answer = paged(this.telemetry.lines, wants, query);
    if (!follow) return json(response, answer);
    this.streams.add(response, 'logs', answer.items.reverse(), wants);
  }

  #traces(response, query, follow, now) {
    const wants = wantsTrace(query, now);
    const answer = paged(
      this.telemetry.traces.map((trace) => trace.summary),
      wants,
      query,
    );
    if (!follow) return json(response, answer);
    this.streams.add(response, 'traces', answer.items.reverse(), wants);
  }

  #trace(id) {
    const found = this.telemetry.traces.find((trace) => trace.summary.trace === id);
    if (!found)
      throw new Problem(
        404,
        'There is no such trace',
        'It was not sampled, or it was dropped for newer ones.',
      );
    const { summary, spans } = found;
    const logs = this.telemetry.lines.filter((line) => line.trace === id);
    const recording = this.recorder.of(id);
    return {
      trace: id,
      start: summary.start,
      duration: summary.duration,
      dropped: 0,
      spans,
      logs,
      recording,
    };
  }

  #details(name, now) {
    const service = this.resources.services.find((one) => one.service === name);
    if (!service)
      throw new Problem(
        404,
        'There is no such service',
        `The services are ${this.resources.services.map((one) => one.service).join(', ')}.`,
      );
    const failures = this.telemetry.traces
      .filter(({ summary }) => summary.service === name && summary.error)
      .slice(-10)
      .reverse()
      .map(({ summary, spans }) => ({
        time: summary.start,
        trace: summary.trace,
        status: summary.status,
        message: spans[0].message,
      }));
    return { ...details(service, now), failures, ...this.versions.details(name) };
  }

  #metric(name, query, now) {
    const instrument = instruments.find((one) => one.name === name);
    if (!instrument) throw new Problem(404, 'There is no such instrument', name);
    const slow = this.telemetry.traces
      .map((trace) => trace.summary)
      .filter((trace) => trace.duration > 20_000);
    return metric(instrument, query, now, slow);
  }

  #search(query) {
    const words = new URLSearchParams({ search: query.get('q') ?? '', limit: query.get('limit') ?? '20' });
    const traces = this.telemetry.traces.map((trace) => trace.summary);
    return {
      services: this.resources.services
        .filter((one) => one.service.includes(query.get('q') ?? ''))
        .map(({ service }) => ({ service })),
      traces: paged(traces, wantsTrace(words, this.now), words).items,
      logs: paged(this.telemetry.lines, wantsLine(words, this.now), words).items,
    };
  }
}

async function file(path, response) {
  const name = normalize(path === '' ? 'index.html' : path);
  const bytes = await readFile(join(dist, name)).catch(() => undefined);
  if (!bytes || name.startsWith('..')) throw new Problem(404, 'There is no such file', path);
  response.writeHead(200, { 'content-type': types[extname(name)] ?? 'application/octet-stream' });
  response.end(bytes);
}

function json(response, value, headers = {}, status = 200) {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers });
  response.end(JSON.stringify(value));
}

async function body(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const fake = await new FakeControlPlane().listen(Number(process.argv[2] ?? 8081));
  console.log(`${fake.url}login?t=${token}`);
  setInterval(() => fake.emitTrace(), 700);
  setInterval(() => {
    fake.emitResources((now) => {
      for (const service of now.services) service.served += Math.round(service.rate * 2);
    });
  }, 2000);
}
