import { expect, test } from 'vitest';
import type { MetricData } from '../api/types';
import { chartOf, linesMax, spread, summary } from './series';

const hue = () => 7;
const metric = (kind: MetricData['kind'], series: MetricData['series']): MetricData => ({
  name: 'm',
  kind,
  unit: 's',
  step: 1,
  series,
});

test('one histogram shows three percentiles, several are compared by one', () => {
  const points = [[1_000_000, 5, 0.1, 0.2, null]];
  const one = chartOf(metric('histogram', [{ labels: {}, points }]), 'p99', hue);
  expect(one.lines.map(({ label, values }) => [label, values])).toEqual([
    ['p50', [0.1]],
    ['p90', [0.2]],
    ['p99', [null]],
  ]);
  const two = chartOf(
    metric('histogram', [
      { labels: { service: 'a' }, points },
      { labels: { service: 'b' }, points },
    ]),
    'p90',
    hue,
  );
  expect(two.lines.map(({ label, values, hue: colour }) => [label, values, colour])).toEqual([
    ['a', [0.2], 7],
    ['b', [0.2], 7],
  ]);
  expect(chartOf(metric('histogram', [{ labels: {}, points }]), 'rate', hue).lines[0]?.values).toEqual([5]);
});

test('series of different times share one axis', () => {
  const chart = chartOf(
    metric('gauge', [
      { labels: { x: 'a' }, points: [[2e6, 2]] },
      {
        labels: { x: 'b' },
        points: [
          [1e6, 1],
          [3e6, 3],
        ],
      },
    ]),
    'p99',
    hue,
  );
  expect(chart.times).toEqual([1, 2, 3]);
  expect(chart.lines.map((line) => line.values)).toEqual([
    [null, 2, null],
    [1, null, 3],
  ]);
});

test('more lines than one can read are left out and counted', () => {
  const many = Array.from({ length: 20 }, (_, i) => ({ labels: { x: String(i) }, points: [[1e6, i]] }));
  const chart = chartOf(metric('gauge', many), 'p99', hue);
  expect([chart.lines.length, chart.omitted]).toEqual([linesMax, 8]);
});

test('of many exemplars the slowest of each part remain', () => {
  const exemplars = Array.from({ length: 1000 }, (_, i) => ({
    time: i,
    value: i % 100,
    trace: String(i),
    labels: {},
  }));
  const kept = spread(exemplars, 0, 999, 10);
  expect(kept.length).toBeLessThanOrEqual(11);
  expect(kept[0]?.value).toBe(99);
  expect(spread(exemplars, 2000, 3000, 10)).toEqual([]);
});

test('a summary leaves out what is unknown', () => {
  expect(summary([null, 1, 3, null])).toEqual({ last: 3, least: 1, most: 3, mean: 2 });
  expect(summary([null])).toEqual({ last: null, least: null, most: null, mean: null });
});
