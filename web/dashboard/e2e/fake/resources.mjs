// The services and backends of the reference application, as the fake host reports them.

export const versions = {
  apiservice: '3f9c1ad27b40',
  ollamaservice: '8d20e6617c3a',
  'demo-ollama': 'c41b7705e9d2',
};

const service = (name, more) => ({
  service: name,
  kind: 'component',
  route: null,
  version: versions[name] ?? null,
  canary: null,
  state: 'running',
  address: `http://${name}.localhost:8080/`,
  instances: 1,
  in_flight: 0,
  queued: 0,
  served: 0,
  failed: 0,
  refused: 0,
  cancelled: 0,
  rate: 0,
  errors: 0,
  p50: null,
  p99: null,
  grants: [],
  ...more,
});

export function resources(now) {
  return {
    application: 'aspiring-ollama',
    host: {
      version: '0.1.0',
      started: now - 5_025_000_000,
      address: 'http://127.0.0.1:8080/',
      pid: 4711,
      memory: 148_897_792,
    },
    services: [
      service('apiservice', {
        route: '/weather',
        address: 'http://127.0.0.1:8080/weather',
        instances: 4,
        in_flight: 2,
        served: 18_342,
        failed: 27,
        cancelled: 3,
        rate: 12.4,
        errors: 0.03,
        p50: 1_210,
        p99: 8_930,
        grants: ['postgres.weather'],
      }),
      service('demo-ollama', {
        in_flight: 1,
        served: 934,
        cancelled: 11,
        rate: 0.42,
        p50: 912_000,
        p99: 4_310_000,
      }),
      service('ollamaservice', {
        state: 'standing in',
        route: '/ollama',
        address: 'http://127.0.0.1:8080/ollama',
        instances: 2,
        in_flight: 1,
        served: 2_281,
        failed: 2,
        cancelled: 11,
        rate: 0.8,
        p50: 3_480,
        p99: 4_350_000,
        grants: ['ollama.local', 'service.demo-ollama'],
      }),
      service('react', {
        kind: 'static',
        route: '/',
        address: 'http://127.0.0.1:8080/',
        instances: 0,
        served: 4_410,
        rate: 1.7,
        p50: 190,
        p99: 640,
      }),
    ],
    others: ['browser', 'walker'],
    backends: [
      {
        backend: 'ollama.local',
        kind: 'ollama',
        state: 'standing in',
        detail: 'no Ollama answers for local; its demo stands in',
        calls: 1,
        rate: 0.42,
        errors: 0,
        p50: 915_000,
        p99: 4_312_000,
      },
      {
        backend: 'postgres.weather',
        kind: 'postgres',
        state: 'up',
        detail: null,
        calls: 2,
        rate: 12.4,
        errors: 0.03,
        p50: 640,
        p99: 4_100,
      },
    ],
    edges: [
      { from: 'apiservice', to: 'postgres.weather', rate: 12.4, errors: 0.03 },
      { from: 'ollamaservice', to: 'ollama.local', rate: 0.42, errors: 0 },
      { from: 'ollama.local', to: 'demo-ollama', rate: 0.42, errors: 0 },
    ],
  };
}

const hex = (text) => text.padEnd(64, '0');
const attempt = (number, more) => ({
  number,
  digest: hex('3f9c1ad27b40'),
  path: 'target/components/weather.wasm',
  cause: 'serve --watch',
  verdict: 'activated',
  reason: null,
  at_ms: 0,
  took_ms: 480,
  imports_added: [],
  imports_removed: [],
  served: null,
  drained_in_ms: null,
  cut: null,
  ...more,
});

export function history(name, nowMs) {
  if (name !== 'apiservice')
    return [attempt(1, { digest: hex(versions[name] ?? 'aa'), at_ms: nowMs - 5_020_000, cause: 'start' })];
  return [
    attempt(1, {
      digest: hex('1f0c9d2ab77e'),
      at_ms: nowMs - 5_020_000,
      cause: 'start',
      served: 11_204,
      drained_in_ms: 38,
      took_ms: 1_210,
    }),
    attempt(2, {
      digest: hex('77b0c0ffee12'),
      at_ms: nowMs - 3_300_000,
      verdict: 'rejected',
      reason: 'it does not start: wasm trap: wasm `unreachable` instruction executed',
      took_ms: 702,
    }),
    attempt(3, {
      digest: hex('a71e20b45c3d'),
      at_ms: nowMs - 2_400_000,
      verdict: 'taken-back',
      reason: '14 of 60 answers were errors, before 0 of 412',
      served: 46,
      cut: 0,
      drained_in_ms: 12,
      cause: 'swap, command line',
    }),
    attempt(4, {
      at_ms: nowMs - 900_000,
      imports_added: ['wasi:clocks/monotonic-clock@0.3.0'],
      served: 7_031,
    }),
  ];
}

const limit = (key, value, source, what) => ({ key, value, source, what });

export function details(service, now) {
  const component = service.kind === 'component';
  const demo = service.service === 'demo-ollama';
  return {
    service,
    imports: component
      ? [
          service.service === 'apiservice'
            ? 'wasm-host:postgres/client@0.1.0'
            : 'wasm-host:ollama/client@0.1.0',
          'wasi:http/types@0.3.0',
          'wasi:clocks/wall-clock@0.3.0',
        ]
      : [],
    grants: service.grants,
    limits: component
      ? [
          limit('concurrent', '256', 'default', 'Requests that run at once; more wait in the queue.'),
          limit('queue', '1024', 'default', 'Requests that wait for a place; more are refused with 503.'),
          limit(
            'queue-timeout',
            '10s',
            'default',
            'How long a request waits for a place before it is told 503.',
          ),
          limit(
            'instances',
            demo ? '1' : '64',
            demo ? 'wasm-host.toml:35' : 'default',
            'Instances of the component at once.',
          ),
          limit(
            'per-instance',
            demo ? '256' : '16',
            demo ? 'wasm-host.toml:36' : 'default',
            'Requests that one instance serves at once.',
          ),
          limit(
            'reuse',
            demo ? '1000000' : '128',
            demo ? 'wasm-host.toml:37' : 'default',
            'Requests that one instance serves before it is replaced.',
          ),
          limit(
            'idle',
            demo ? '24h' : '1s',
            demo ? 'wasm-host.toml:38' : 'default',
            'How long an instance without requests is kept.',
          ),
          limit(
            'memory',
            '256MiB',
            'default',
            'Memory of one instance, with what the host holds because of it.',
          ),
          limit('timeout', '60s', 'default', 'From the beginning of a request to the end of its answer.'),
          limit('cpu-timeout', '5s', 'default', 'Time that one request may compute.'),
          limit('max-body', '16MiB', 'default', 'Bytes of a request body.'),
        ]
      : [],
    environment: component
      ? [
          { name: 'OTEL_SERVICE_NAME', value: service.service, secret: false, source: 'host' },
          {
            name: 'services__demo-ollama__http__0',
            value: 'http://demo-ollama/',
            secret: false,
            source: 'host',
          },
          { name: 'GREETING', value: 'hello', secret: false, source: 'application file' },
          { name: 'WEATHER_API_KEY', value: null, secret: true, source: 'application file' },
        ]
      : [],
    health: {
      path: service.service === 'apiservice' ? '/health' : null,
      state: service.service === 'apiservice' ? 'healthy' : 'unknown',
      detail: null,
      checked: service.service === 'apiservice' ? now - 3_000_000 : null,
    },
    history: component ? history(service.service, Math.floor(now / 1000)) : [],
    failures: [],
    versions: component
      ? [
          {
            version: service.version,
            state: 'serving',
            in_flight: service.in_flight,
            served: service.served,
            errors: service.failed,
            instances: service.instances,
            rate: service.rate,
            p50: service.p50,
            p99: service.p99,
          },
        ]
      : [],
  };
}
