// Requests of the reference application as traces with their log lines.
import { versions } from './resources.mjs';

/** Spans in order, each with a begin and a length in microseconds from the trace's start. */
class Builder {
  constructor(chance, start) {
    this.chance = chance;
    this.start = start;
    this.trace = chance.hex(32);
    this.spans = [];
    this.logs = [];
  }

  span(service, name, parent, at, duration, more = {}) {
    const span = {
      span: this.chance.hex(16),
      parent: parent?.span ?? null,
      name,
      kind: 'internal',
      service,
      version: versions[service] ?? null,
      scope: 'wasm-host',
      start: this.start + at,
      duration,
      status: 'unset',
      message: null,
      attributes: {},
      events: [],
      links: [],
      ...more,
    };
    this.spans.push(span);
    return span;
  }

  log(span, at, level, message, more = {}) {
    this.logs.push({
      time: this.start + at,
      level,
      service: span.service,
      version: span.version,
      request: this.spans[0].span,
      trace: this.trace,
      span: span.span,
      source: 'guest',
      stream: level === 'error' || level === 'warn' ? 'stderr' : 'stdout',
      message,
      fields: {},
      ...more,
    });
  }

  /** The spans that the host makes of every request of a component. */
  request(service, method, route, path, duration, status, parent, at = 0) {
    const root = this.span(service, `${method} ${route}`, parent, at, duration, {
      kind: 'server',
      status: status >= 500 ? 'error' : 'unset',
      attributes: {
        'http.request.method': method,
        'http.response.status_code': status,
        'url.path': path,
        'http.route': route,
        'server.address': '127.0.0.1',
        'client.address': '127.0.0.1',
        'network.protocol.version': '1.1',
        'wasm_host.service.version': versions[service],
        'wasm_host.instance': this.chance.int(1, 40),
      },
    });
    const wait = Math.min(80, duration * 0.02);
    this.span(service, 'admission', root, at, Math.round(wait));
    this.span(service, 'instance', root, at + wait, Math.round(wait * 1.5));
    const guest = this.span(service, 'guest', root, at + wait * 2.5, Math.round(duration - wait * 3), {
      status: root.status,
      attributes: { 'wasm_host.guest.cpu_time': (duration * 0.2) / 1e6 },
    });
    return { root, guest };
  }

  done(why = 'sampled') {
    const [root] = this.spans;
    const services = [...new Set(this.spans.map((span) => span.service))].map((service) => {
      const own = this.spans.filter((span) => span.service === service);
      return { service, spans: own.length, errors: own.filter((span) => span.status === 'error').length };
    });
    const errors = this.spans.filter((span) => span.status === 'error').length;
    return {
      summary: {
        trace: this.trace,
        start: root.start,
        duration: root.duration,
        name: root.name,
        service: root.service,
        status: root.attributes['http.response.status_code'] ?? null,
        error: root.status === 'error',
        spans: this.spans.length,
        errors,
        services,
        why,
      },
      spans: this.spans,
      logs: this.logs,
    };
  }
}

export function forecast(chance, start) {
  const builder = new Builder(chance, start);
  const query = chance.int(380, 3_200);
  const duration = query + chance.int(500, 1_400);
  const { guest } = builder.request('apiservice', 'GET', '/weather', '/weather/forecast', duration, 200);
  const at = guest.start - start + 150;
  builder.span('apiservice', 'SELECT', guest, at, query, {
    kind: 'client',
    attributes: {
      'db.system.name': 'postgresql',
      'db.namespace': 'weather',
      'db.query.text': 'select summary from weathersummaries order by id limit $1',
      'db.operation.name': 'SELECT',
      'db.response.returned_rows': 10,
      'server.address': 'postgres.weather',
    },
  });
  builder.log(guest, at - 60, 'info', '\u001b[32mGET\u001b[0m /forecast', { fields: { days: 5 } });
  return builder.done();
}

export function failedForecast(chance, start) {
  const builder = new Builder(chance, start);
  const { root, guest } = builder.request('apiservice', 'GET', '/weather', '/weather/forecast', 31_400, 502);
  root.message = guest.message = 'the database ended the connection';
  root.attributes['error.type'] = 'backend';
  const at = guest.start - start + 150;
  builder.span('apiservice', 'SELECT', guest, at, 30_100, {
    kind: 'client',
    status: 'error',
    message: 'terminating connection due to administrator command',
    attributes: {
      'db.system.name': 'postgresql',
      'db.namespace': 'weather',
      'db.query.text': 'select summary from weathersummaries order by id limit $1',
      'db.operation.name': 'SELECT',
      'db.response.status_code': '57P01',
      'error.type': '57P01',
    },
  });
  builder.log(guest, at - 60, 'info', '\u001b[32mGET\u001b[0m /forecast', { fields: { days: 5 } });
  builder.log(
    guest,
    at + 30_200,
    'error',
    '\u001b[1;31mforecast failed:\u001b[0m terminating connection due to administrator command (57P01)',
    {
      fields: { sqlstate: '57P01', retry: false },
    },
  );
  return builder.done('error');
}

const question = 'Tell me in one sentence what the weather in the mountains is like in spring.';
const reply =
  'Spring in the mountains is a quick-change artist: bright, cold mornings, sudden showers after noon, and snow that lingers in the shade while the valleys are already green.';

export function chat(chance, start) {
  const builder = new Builder(chance, start);
  const tokens = chance.int(24, 96);
  const first = chance.int(90_000, 420_000);
  const talk = first + tokens * chance.int(18_000, 42_000);
  const { guest } = builder.request(
    'ollamaservice',
    'POST',
    '/ollama',
    '/ollama/api/chat',
    talk + 9_000,
    200,
  );
  const at = guest.start - start + 1_900;
  const call = builder.span('ollamaservice', 'chat qwen2:0.5b', guest, at, talk, {
    kind: 'client',
    attributes: {
      'gen_ai.operation.name': 'chat',
      'gen_ai.request.model': 'qwen2:0.5b',
      'gen_ai.provider.name': 'ollama',
      'gen_ai.usage.input_tokens': chance.int(18, 60),
      'gen_ai.usage.output_tokens': tokens,
      'gen_ai.response.time_to_first_chunk': first / 1_000_000,
      'gen_ai.input.messages': JSON.stringify([
        {
          role: 'system',
          parts: [{ type: 'text', content: 'You are a friendly weather host. Answer briefly.' }],
        },
        { role: 'user', parts: [{ type: 'text', content: question }] },
      ]),
      'gen_ai.output.messages': JSON.stringify([
        { role: 'assistant', parts: [{ type: 'text', content: reply }] },
      ]),
      'server.address': 'demo-ollama',
    },
    events: [{ time: start + at + first, name: 'first token', attributes: { tokens: 1 } }],
  });
  const inner = builder.request(
    'demo-ollama',
    'POST',
    '/api/chat',
    '/api/chat',
    talk - 2_000,
    200,
    call,
    at + 900,
  );
  builder.log(guest, at - 400, 'info', 'chat with qwen2:0.5b, 2 messages', {
    fields: { model: 'qwen2:0.5b', stream: true },
  });
  builder.log(inner.guest, at + 2_400, 'debug', `sampling ${tokens} tokens at temperature 0.8`);
  builder.log(
    inner.guest,
    at + talk - 2_000,
    'info',
    `\u001b[36mdone\u001b[0m ${tokens} tokens in ${Math.round(talk / 1000)} ms`,
  );
  return builder.done(talk > 2_500_000 ? 'slow' : 'sampled');
}

export function tags(chance, start) {
  const builder = new Builder(chance, start);
  const duration = chance.int(2_200, 6_100);
  const { guest } = builder.request('ollamaservice', 'GET', '/ollama', '/ollama/api/tags', duration, 200);
  builder.span('ollamaservice', 'list models', guest, guest.start - start + 200, duration - 1_100, {
    kind: 'client',
  });
  return builder.done();
}

export function page(chance, start) {
  const builder = new Builder(chance, start);
  const missing = chance.chance(0.08);
  builder.span('react', `GET ${missing ? '/favicon.png' : '/'}`, undefined, 0, chance.int(140, 610), {
    kind: 'server',
    attributes: {
      'http.request.method': 'GET',
      'http.response.status_code': missing ? 404 : 200,
      'url.path': missing ? '/favicon.png' : '/',
      'http.route': '/',
    },
  });
  return builder.done();
}

export function swap(chance, start) {
  const builder = new Builder(chance, start);
  const root = builder.span('apiservice', 'swap apiservice', undefined, 0, 480_000);
  let at = 0;
  for (const [name, duration] of [
    ['read', 4_000],
    ['compile', 391_000],
    ['link', 2_100],
    ['start', 31_000],
    ['health', 22_000],
    ['publish', 400],
    ['drain', 28_000],
  ]) {
    builder.span('apiservice', name, root, at, duration);
    at += duration;
  }
  builder.log(root, 450_500, 'info', 'activated 1f0c9d2ab77e -> 3f9c1ad27b40', {
    source: 'host',
    stream: null,
    request: null,
  });
  return builder.done('parent');
}

/** A mixture as a small site has it. */
export function some(chance, start) {
  const roll = chance.next();
  if (roll < 0.6) return forecast(chance, start);
  if (roll < 0.8) return page(chance, start);
  if (roll < 0.9) return tags(chance, start);
  if (roll < 0.97) return chat(chance, start);
  return failedForecast(chance, start);
}
