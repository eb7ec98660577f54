// What the page says of its requests, where to, and that it says nothing where nothing takes it.
import { expect, test } from 'vitest';
import { HttpError } from './failure';
import { addressOf, heldBackMs, type Outside, tracer, waitingMax } from './trace';

const address = 'http://a.example/otlp/v1/traces';

function outside(takes = true) {
  const sent: string[] = [];
  const beacons: string[] = [];
  const timers: (() => void)[] = [];
  let clock = 0;
  let byte = 0;
  const world: Outside = {
    post: async (to, body) => {
      expect(to).toBe(address);
      sent.push(body);
      return takes;
    },
    beacon: (_to, body) => void beacons.push(body),
    now: () => ({ date: 1_800_000_000_000 + clock, clock }),
    later: (run, ms) => {
      expect(ms).toBe(heldBackMs);
      timers.push(run);
    },
    path: (asked) => new URL(asked, 'http://a.example/').pathname,
    random: (bytes) => new Uint8Array(bytes).fill((byte += 1)),
  };
  const pass = (ms: number) => void (clock += ms);
  const run = () => timers.splice(0).forEach((timer) => timer());
  return { world, sent, beacons, timers, pass, run };
}

const spansOf = (body: string | undefined) => {
  const request = JSON.parse(body ?? '');
  return request.resourceSpans[0].scopeSpans[0].spans;
};

test('a request is a span with the ids that it carried', () => {
  const { world, sent, pass, run } = outside();
  const span = tracer(address, world).begin('GET', 'weather/forecast?key=secret');
  expect(span.headers.traceparent).toBe(`00-${'01'.repeat(16)}-${'02'.repeat(8)}-01`);
  pass(12.5);
  span.answered(200);
  span.end();
  span.end();
  run();
  expect(sent).toHaveLength(1);
  expect(spansOf(sent[0])).toEqual([
    {
      traceId: '01'.repeat(16),
      spanId: '02'.repeat(8),
      name: 'GET /weather/forecast',
      kind: 3,
      startTimeUnixNano: '1800000000000000000',
      endTimeUnixNano: '1800000000012500000',
      attributes: [
        { key: 'http.request.method', value: { stringValue: 'GET' } },
        { key: 'url.path', value: { stringValue: '/weather/forecast' } },
        { key: 'http.response.status_code', value: { intValue: 200 } },
      ],
      status: {},
    },
  ]);
});

test('what failed says so without what was said', () => {
  const { world, sent, run } = outside();
  const tracing = tracer(address, world);
  for (const error of [new HttpError(503, { title: 'Busy with secrets' }), new TypeError('secret'), 'secret']) {
    const span = tracing.begin('POST', 'ollama/api/chat');
    span.failed(error);
    span.end();
  }
  run();
  expect(spansOf(sent[0]).map((span: { status: object }) => span.status)).toEqual([
    { code: 2, message: '503' },
    { code: 2, message: 'TypeError' },
    { code: 2, message: 'Error' },
  ]);
  expect(sent[0]).not.toContain('secret');
});

test('a page that is left sends what it has, and none of it twice', () => {
  const { world, sent, beacons, run } = outside();
  const tracing = tracer(address, world);
  tracing.begin('GET', 'a').end();
  tracing.leave();
  tracing.leave();
  run();
  expect(beacons).toHaveLength(1);
  expect(sent).toHaveLength(0);
});

test('what waits is bounded, and nothing is sent to what does not take it', async () => {
  const { world, sent, run } = outside(false);
  const tracing = tracer(address, world);
  for (let count = 0; count < waitingMax + 9; count += 1) tracing.begin('GET', 'a').end();
  run();
  expect(spansOf(sent[0])).toHaveLength(waitingMax);
  // The most that a browser sends for a page that is being left.
  expect(sent[0]?.length).toBeLessThan(64 * 1024);
  await Promise.resolve();
  expect(tracing.begin('GET', 'a').headers).toEqual({});
});

test('a host that takes nothing is sent nothing', () => {
  const { world, timers } = outside();
  const tracing = tracer(undefined, world);
  const span = tracing.begin('GET', 'a');
  expect(span.headers).toEqual({});
  span.answered(200);
  span.end();
  tracing.leave();
  expect(timers).toHaveLength(0);
});

test.each([
  [[], 'http://a.example/', undefined],
  [[{ name: 'otlp', description: './otlp' }], 'http://a.example/', address],
  [[{ name: 'db', description: '' }, { name: 'otlp', description: '../otlp' }], 'http://a.example/x/', address],
  [[{ name: 'otlp', description: './otlp' }], 'http://a.example/app/', 'http://a.example/app/otlp/v1/traces'],
  [[{ name: 'otlp', description: 'http://evil.example/otlp' }], 'http://a.example/', undefined],
])('the host says %j with the page %s', (timings, page, expected) => {
  expect(addressOf(timings, page)).toBe(expected);
});
