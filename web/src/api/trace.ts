// What this page asks for, as spans of OpenTelemetry, for a host that takes them.
//
// Such a host says so with the page itself, in a Server-Timing header; without it nothing here does anything. A request
// carries its span's place in `traceparent`, so that what the host does for it is found below it. Spans go out as OTLP in
// JSON a moment after they ended, and at the latest when the page is left. What is said in them is where a request went,
// how long it took and how it ended, and nothing of what was asked or answered.
//
// The packages of OpenTelemetry for browsers do more than this, in fifteen times as many bytes: 20 KB instead of 1.3, both
// gzipped.
import { HttpError } from './failure';

/** One request of this page. */
export interface Span {
  /** What the request carries. */
  readonly headers: Readonly<Record<string, string>>;
  answered(status: number): void;
  failed(error: unknown): void;
  /** Once, whatever came before. */
  end(): void;
}

export interface Tracer {
  begin(method: string, address: string): Span;
  /** Sends what has ended, in a way that outlives the page. */
  leave(): void;
}

/** How a tracer reaches the world; tests have another one. */
export interface Outside {
  /** False: what takes spans does not take them, and none are sent again. */
  post(address: string, body: string): Promise<boolean>;
  beacon(address: string, body: string): void;
  /** Milliseconds since 1970, and milliseconds of a clock that nobody sets. */
  now(): { readonly date: number; readonly clock: number };
  later(run: () => void, ms: number): void;
  /** The path that an address relative to the page leads to. */
  path(address: string): string;
  random(bytes: number): Uint8Array;
}

const none: Span = { headers: {}, answered: () => undefined, failed: () => undefined, end: () => undefined };
const off: Tracer = { begin: () => none, leave: () => undefined };

/** So that what happens together is sent together. */
export const heldBackMs = 1000;
/** Far more than the page makes in that time. */
export const waitingMax = 64;

export function tracer(address: string | undefined, outside: Outside): Tracer {
  if (address === undefined) return off;
  let waiting: object[] = [];
  let scheduled = false;
  let stopped = false;

  const taken = () => {
    const spans = waiting;
    waiting = [];
    return spans.length === 0 ? undefined : JSON.stringify(requestOf(spans));
  };
  const flush = async () => {
    scheduled = false;
    const body = taken();
    if (body !== undefined && !(await outside.post(address, body))) stopped = true;
  };
  const add = (span: object) => {
    if (stopped || waiting.length >= waitingMax) return;
    waiting.push(span);
    if (scheduled) return;
    scheduled = true;
    outside.later(() => void flush(), heldBackMs);
  };
  return {
    begin: (method, asked) => (stopped ? none : begin(method, asked, outside, add)),
    leave: () => {
      const body = taken();
      if (body !== undefined) outside.beacon(address, body);
    },
  };
}

function begin(method: string, asked: string, outside: Outside, add: (span: object) => void): Span {
  const traceId = hex(outside.random(16));
  const spanId = hex(outside.random(8));
  const { date, clock } = outside.now();
  const path = outside.path(asked);
  const attributes = [text('http.request.method', method), text('url.path', path)];
  let status = {};
  let ended = false;
  return {
    headers: { traceparent: `00-${traceId}-${spanId}-01` },
    answered: (code) =>
      void attributes.push({ key: 'http.response.status_code', value: { intValue: code } }),
    failed: (error) => {
      // Its message may quote what was asked or answered.
      const kind = error instanceof HttpError ? String(error.status) : nameOf(error);
      attributes.push(text('error.type', kind));
      status = { code: 2, message: kind };
    },
    end: () => {
      if (ended) return;
      ended = true;
      const duration = outside.now().clock - clock;
      add({
        traceId,
        spanId,
        name: `${method} ${path}`,
        kind: 3,
        startTimeUnixNano: nanos(date),
        endTimeUnixNano: nanos(date + duration),
        attributes,
        status,
      });
    },
  };
}

type Attribute = { readonly key: string; readonly value: object };

function text(key: string, value: string): Attribute {
  return { key, value: { stringValue: value } };
}

function requestOf(spans: readonly object[]) {
  const resource = { attributes: [text('service.name', 'browser')] };
  return { resourceSpans: [{ resource, scopeSpans: [{ scope: { name: 'page' }, spans }] }] };
}

/** Microseconds are as many digits as a number has. */
function nanos(ms: number): string {
  return `${Math.round(ms * 1000)}000`;
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : 'Error';
}

/** Where the host takes spans, as it said with the page. */
export function addressOf(
  timings: readonly { readonly name: string; readonly description: string }[],
  page: string,
): string | undefined {
  const told = timings.find((timing) => timing.name === 'otlp')?.description;
  if (!told) return undefined;
  const address = new URL(`${told}/v1/traces`, page);
  return address.origin === new URL(page).origin ? address.href : undefined;
}

const browser: Outside = {
  post: async (address, body) => {
    const headers = { 'Content-Type': 'application/json' };
    try {
      const answer = await fetch(address, { method: 'POST', headers, body, keepalive: true });
      // A host that is busy has time for the next ones.
      return answer.ok || answer.status === 503;
    } catch {
      return true;
    }
  },
  beacon: (address, body) => {
    navigator.sendBeacon(address, new Blob([body], { type: 'application/json' }));
  },
  now: () => ({ date: Date.now(), clock: performance.now() }),
  later: (run, ms) => void setTimeout(run, ms),
  path: (address) => new URL(address, document.baseURI).pathname,
  random: (bytes) => crypto.getRandomValues(new Uint8Array(bytes)),
};

function ofThisPage(): Tracer {
  if (typeof document === 'undefined') return off;
  const [page] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[];
  const tracing = tracer(addressOf(page?.serverTiming ?? [], document.baseURI), browser);
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'hidden') tracing.leave();
  });
  return tracing;
}

export const tracing: Tracer = ofThisPage();
