// The answer of the control plane as lines of a chart.
import type { Exemplar, MetricData } from '../api/types';

export interface Line {
  readonly label: string;
  readonly hue: number;
  readonly values: readonly (number | null)[];
  /** Percentiles of one thing are told apart by the kind of line. */
  readonly dash: boolean;
}

export interface Chart {
  /** Seconds since 1970, which the chart wants. */
  readonly times: readonly number[];
  readonly lines: readonly Line[];
  /** Series that were left out, since nobody can read more. */
  readonly omitted: number;
}

export const percentiles = ['p50', 'p90', 'p99', 'rate'] as const;
export type Percentile = (typeof percentiles)[number];
export const linesMax = 12;

const columns: Readonly<Record<Percentile, number>> = { rate: 1, p50: 2, p90: 3, p99: 4 };

/** Histograms: one series shows its percentiles, several are compared by one of them. */
export function chartOf(data: MetricData, chosen: Percentile, hueOf: (service: string) => number): Chart {
  const times = [
    ...new Set(data.series.flatMap((series) => series.points.map((point) => point[0] ?? 0))),
  ].sort((a, b) => a - b);
  const place = new Map(times.map((time, index) => [time, index]));
  const values = (points: MetricData['series'][number]['points'], column: number) => {
    const row: (number | null)[] = Array<null>(times.length).fill(null);
    for (const point of points) row[place.get(point[0] ?? 0) ?? 0] = point[column] ?? null;
    return row;
  };
  const [only] = data.series;
  const lines: Line[] = [];
  if (data.kind === 'histogram' && data.series.length === 1 && only && chosen !== 'rate') {
    for (const [index, name] of (['p50', 'p90', 'p99'] as const).entries()) {
      lines.push({
        label: name,
        hue: [0, 3, 1][index] ?? 0,
        values: values(only.points, columns[name]),
        dash: false,
      });
    }
  } else {
    const column = data.kind === 'histogram' ? columns[chosen] : 1;
    for (const [index, series] of data.series.slice(0, linesMax).entries()) {
      lines.push({
        label: labelOf(series.labels),
        // A service has its colour everywhere.
        hue: series.labels.service === undefined ? index % 8 : hueOf(series.labels.service),
        values: values(series.points, column),
        dash: index >= 8,
      });
    }
  }
  return {
    times: times.map((time) => time / 1_000_000),
    lines,
    omitted: Math.max(0, data.series.length - linesMax),
  };
}

export function labelOf(labels: Readonly<Record<string, string>>): string {
  return Object.values(labels).join(', ') || 'all';
}

/** Exemplars are points of single requests: the slowest of each part of the time are enough. */
export function spread(exemplars: readonly Exemplar[], from: number, to: number, parts: number): Exemplar[] {
  const best = new Map<number, Exemplar>();
  for (const exemplar of exemplars) {
    if (exemplar.time < from || exemplar.time > to) continue;
    const part = Math.floor((parts * (exemplar.time - from)) / Math.max(1, to - from));
    const held = best.get(part);
    if (!held || exemplar.value > held.value) best.set(part, exemplar);
  }
  return [...best.values()].sort((a, b) => a.time - b.time);
}

export interface Summary {
  readonly last: number | null;
  readonly least: number | null;
  readonly most: number | null;
  readonly mean: number | null;
}

export function summary(values: readonly (number | null)[]): Summary {
  const known = values.filter((value) => value !== null);
  if (known.length === 0) return { last: null, least: null, most: null, mean: null };
  return {
    last: known.at(-1) ?? null,
    least: Math.min(...known),
    most: Math.max(...known),
    mean: known.reduce((sum, value) => sum + value, 0) / known.length,
  };
}
