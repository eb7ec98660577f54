// Instruments of the fake host: figures that look like those of a small site.

const services = ['apiservice', 'demo-ollama', 'ollamaservice', 'react'];
const statuses = ['200', '404', '502'];

export const instruments = [
  {
    name: 'http.server.request.duration',
    kind: 'histogram',
    unit: 's',
    description: 'From the beginning of a request to the end of its answer.',
    dimensions: { service: services, 'http.response.status_code': statuses },
    overflow: false,
  },
  {
    name: 'wasm_host.requests',
    kind: 'counter',
    unit: '{request}',
    description: 'Requests that came to an end.',
    dimensions: { service: services, outcome: ['served', 'failed', 'cancelled'] },
    overflow: false,
  },
  {
    name: 'wasm_host.instances',
    kind: 'gauge',
    unit: '{instance}',
    description: 'Instances of components that are alive.',
    dimensions: { service: services.slice(0, 3) },
    overflow: false,
  },
  {
    name: 'wasm_host.memory',
    kind: 'gauge',
    unit: 'By',
    description: 'Memory of all guests, with what the host holds because of them.',
    dimensions: { service: services.slice(0, 3) },
    overflow: false,
  },
  {
    name: 'db.client.operation.duration',
    kind: 'histogram',
    unit: 's',
    description: 'Statements of services, as their databases answered them.',
    dimensions: { backend: ['postgres.weather'], 'db.operation.name': ['SELECT'] },
    overflow: true,
  },
  {
    name: 'gen_ai.client.token.usage',
    kind: 'counter',
    unit: '{token}',
    description: 'Tokens of model calls.',
    dimensions: { 'gen_ai.token.type': ['input', 'output'], service: ['ollamaservice'] },
    overflow: false,
  },
];

const scale = { s: 0.004, By: 24_000_000, '{instance}': 3, '{request}': 12, '{token}': 31 };
const spanUnits = { ms: 1e3, s: 1e6, m: 60e6, h: 3600e6 };

export function sinceMicros(text, now) {
  if (!text) return undefined;
  const match = /^(\d+)(ms|s|m|h)$/.exec(text);
  return match ? now - Number(match[1]) * spanUnits[match[2]] : Number(text);
}

export function metric(instrument, query, now, slowTraces) {
  const since = sinceMicros(query.get('since') ?? '15m', now);
  const count = Number(query.get('points') ?? 120);
  const step = Math.max(1_000_000, Math.round((now - since) / count));
  const by = query.get('by');
  const groups = by
    ? (instrument.dimensions[by] ?? []).filter((value) => !query.get(by) || query.get(by) === value)
    : [''];
  const size = scale[instrument.unit] ?? 1;
  const series = groups.map((group, index) => ({
    labels: by ? { [by]: group } : {},
    points: Array.from({ length: count }, (_, i) =>
      point(instrument.kind, since + i * step, i, index, size, now),
    ),
  }));
  const exemplars = slowTraces
    .filter(({ start }) => start >= since)
    .map((trace) => ({
      time: trace.start,
      value: 0.006 + ((trace.start % 31) / 31) * 0.026,
      trace: trace.trace,
      labels: { service: trace.service },
    }));
  return {
    name: instrument.name,
    kind: instrument.kind,
    unit: instrument.unit,
    step,
    series,
    exemplars: instrument.kind === 'histogram' ? exemplars : [],
  };
}

function point(kind, time, i, index, size, now) {
  // A slow wave with a faster one on it: it looks alive and is the same at every run.
  const wave = 1 + 0.35 * Math.sin(i / 17 + index) + 0.12 * Math.sin(i / 2.3 + index * 2);
  const value = (size * wave) / (1 + index * 0.6);
  if (kind !== 'histogram') return [time, value];
  if (index === 0 && i > 40 && i < 44) return [time, 0, null, null, null];
  return [
    time,
    12 * wave,
    value,
    value * (2.1 + 0.4 * Math.sin(i / 5)),
    value * (4.5 + 1.2 * Math.sin(i / 3)),
  ];
}
