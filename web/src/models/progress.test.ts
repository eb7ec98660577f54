// The shapes a real pull has: silent zeros, roll-backs, cached layers, layers one after the other.
import { describe, expect, test } from 'vitest';
import { advance, noProgress, phaseLabel, totals } from './progress';

type Line = Record<string, unknown>;
const after = (...lines: Line[]) => lines.reduce(advance, noProgress);
const layer = (digest: string, total?: number, completed?: number): Line => ({
  status: `pulling ${digest}`,
  digest: `sha256:${digest}`,
  total,
  completed,
});

describe('progress', () => {
  test('is unknown before the first layer', () => {
    expect(totals(after()).fraction).toBeUndefined();
    expect(totals(after({ status: 'pulling manifest' })).fraction).toBeUndefined();
  });

  test('takes a missing "completed" as zero', () => {
    expect(totals(after(layer('a', 100))).fraction).toBe(0);
  });

  test('is unknown while a layer has not told its size', () => {
    expect(totals(after(layer('a', 100, 50), layer('b'))).fraction).toBeUndefined();
    expect(totals(after(layer('a', 100, 50), layer('b'), layer('b', 100))).fraction).toBe(0.25);
  });

  test('sums all layers by digest', () => {
    const lines = [layer('a', 100, 40), layer('a', 100, 100), layer('b', 300, 20)];
    expect(totals(after(...lines))).toMatchObject({ completedBytes: 120, totalBytes: 400, fraction: 0.3 });
  });

  test('does not go backwards or past the end', () => {
    expect(totals(after(layer('a', 100, 60), layer('a', 100, 20))).completedBytes).toBe(60);
    expect(totals(after(layer('a', 100, 60), layer('a', 100))).completedBytes).toBe(60);
    expect(totals(after(layer('a', 100, 170))).fraction).toBe(1);
    expect(totals(after(layer('a', 100, -5))).fraction).toBe(0);
  });

  test('keeps the sums through the phases after the download', () => {
    const done = after(layer('a', 100, 100), { status: 'verifying sha256 digest' }, { status: 'success' });
    expect(totals(done).fraction).toBe(1);
    expect(done.status).toBe('success');
  });

  test('counts as transferred only what came during this pull', () => {
    const resumed = after(layer('cached', 50, 50), layer('a', 100, 70), layer('a', 100, 90));
    expect(totals(resumed)).toMatchObject({ completedBytes: 140, transferredBytes: 20 });
  });

  test('does not change what it was given', () => {
    const before = after(layer('a', 100, 10));
    advance(before, layer('a', 100, 90));
    expect(totals(before).completedBytes).toBe(10);
  });
});

test.each([
  ['', 'Starting'],
  ['pulling manifest', 'Reading the manifest'],
  ['pulling 8de95da68dc4', 'Downloading'],
  ['pulling model', 'Downloading'],
  ['verifying sha256 digest', 'Verifying'],
  ['writing manifest', 'Writing the manifest'],
  ['something new', 'something new'],
])('the status "%s" reads "%s"', (status, label) => {
  expect(phaseLabel(status)).toBe(label);
});
