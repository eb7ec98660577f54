// Values for tests, complete but for what a test is about.
import type { LogLine, Span, Trace } from './api/types';

export function span(id: string, more: Partial<Span> = {}): Span {
  return {
    span: id,
    parent: null,
    name: id,
    kind: 'internal',
    service: 'apiservice',
    version: null,
    scope: 'wasm-host',
    start: 0,
    duration: 100,
    status: 'unset',
    message: null,
    attributes: {},
    events: [],
    links: [],
    ...more,
  };
}

export function line(id: number, more: Partial<LogLine> = {}): LogLine {
  return {
    id,
    time: id * 10,
    level: 'info',
    service: 'apiservice',
    version: null,
    request: null,
    trace: null,
    span: null,
    source: 'guest',
    stream: 'stdout',
    message: `line ${id}`,
    fields: {},
    ...more,
  };
}

export function trace(
  spans: readonly Span[],
  logs: readonly LogLine[] = [],
  more: Partial<Trace> = {},
): Trace {
  return {
    trace: 'a'.repeat(32),
    start: 0,
    duration: 100,
    dropped: 0,
    spans,
    logs,
    recording: null,
    ...more,
  };
}
