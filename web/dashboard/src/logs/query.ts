// The filters of log lines: what stands in the address bar, as the control plane wants it.
import type { Query } from '../api/query';
import type { LogLine } from '../api/types';

export const levels = ['error', 'warn', 'info', 'debug', 'trace'] as const;

export const ranges: readonly (readonly [string, string])[] = [
  ['', 'Any time'],
  ['1m', 'Last minute'],
  ['5m', 'Last 5 min'],
  ['15m', 'Last 15 min'],
  ['1h', 'Last hour'],
  ['6h', 'Last 6 h'],
  ['12h', 'Last 12 h'],
];

/** A range of the list, or whatever else a link asks for. */
export function rangesWith(since: string | null): typeof ranges {
  if (since === null || ranges.some(([key]) => key === since)) return ranges;
  return [...ranges, [since, /^\d+$/.test(since) ? 'From a moment on' : `Last ${since}`]];
}

export function logQuery(params: URLSearchParams): Query {
  return {
    service: params.getAll('service'),
    level: params.get('level'),
    search: params.get('search'),
    since: params.get('since'),
    until: params.get('until'),
    trace: params.get('trace'),
    request: params.get('request'),
    source: params.get('source'),
  };
}

export const keyOfLine = (line: LogLine) => String(line.id);
