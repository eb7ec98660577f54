import { expect, test } from 'vitest';
import { line, span, trace } from '../testkit';
import { ticks, visibleRows, waterfall } from './waterfall';

const shape = (rows: readonly { span: { span: string }; depth: number }[]) =>
  rows.map((row) => `${'-'.repeat(row.depth)}${row.span.span}`);

test('children stand below their parent in the order of time', () => {
  const tree = waterfall(
    trace([
      span('c', { parent: 'a', start: 50, duration: 20 }),
      span('d', { parent: 'b', start: 15, duration: 5 }),
      span('a'),
      span('b', { parent: 'a', start: 10, duration: 30 }),
    ]),
  );
  expect(shape(tree.rows)).toEqual(['a', '-b', '--d', '-c']);
  expect(tree.depth).toBe(3);
  expect(tree.rows.map((row) => [row.left, row.width])).toEqual([
    [0, 100],
    [10, 30],
    [15, 5],
    [50, 20],
  ]);
});

test('a span without its parent stands at the top', () => {
  expect(shape(waterfall(trace([span('a'), span('b', { parent: 'gone', start: 5 })])).rows)).toEqual([
    'a',
    'b',
  ]);
});

test('a circle of parents is shown once', () => {
  const tree = waterfall(
    trace([span('a', { parent: 'b' }), span('b', { parent: 'a', start: 1 }), span('c', { parent: 'c' })]),
  );
  expect(tree.rows).toHaveLength(3);
});

test('a chain of ten thousand is no problem', () => {
  const chain = Array.from({ length: 10_000 }, (_, i) =>
    span(`s${i}`, { parent: i === 0 ? null : `s${i - 1}` }),
  );
  expect(waterfall(trace(chain)).depth).toBe(10_000);
});

test('what lies outside of the trace stretches it', () => {
  const tree = waterfall(
    trace([span('a', { start: 0, duration: 100 }), span('b', { start: -100, duration: 50 })]),
  );
  expect([tree.start, tree.duration]).toEqual([-100, 200]);
  for (const row of tree.rows) expect(row.left + row.width).toBeLessThanOrEqual(100);
});

test('a trace of no duration divides by nothing', () => {
  const tree = waterfall(trace([span('a', { duration: 0 })], [], { duration: 0 }));
  expect(tree.rows[0]).toMatchObject({ left: 0, width: 0 });
});

test('log lines are points on the bar of their span', () => {
  const tree = waterfall(
    trace([span('a'), span('b', { parent: 'a' })], [line(5, { span: 'b' }), line(9, { span: 'gone' })]),
  );
  expect(tree.rows[1]?.logs.map(({ left }) => left)).toEqual([50]);
  expect(tree.rows[0]?.logs).toEqual([]);
});

test('a collapsed row hides what is below it and tells of its failures', () => {
  const tree = waterfall(
    trace([
      span('a'),
      span('b', { parent: 'a', start: 1 }),
      span('c', { parent: 'b', start: 2, status: 'error' }),
      span('d', { parent: 'a', start: 3 }),
    ]),
  );
  expect(shape(visibleRows(tree.rows, new Set(['b'])))).toEqual(['a', '-b', '-d']);
  expect(shape(visibleRows(tree.rows, new Set(['a', 'b'])))).toEqual(['a']);
  expect(tree.rows.map((row) => [row.below, row.errorsBelow])).toEqual([
    [3, 1],
    [1, 1],
    [0, 0],
    [0, 0],
  ]);
});

test('ticks begin at nothing and end at all', () => {
  expect(ticks(200)).toEqual([0, 50, 100, 150, 200]);
});
