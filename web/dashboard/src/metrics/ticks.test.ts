import { expect, test } from 'vitest';
import { inUnit } from '../shared/time';
import { steps } from './ticks';

/** The marks that a chart has room for, from zero on. */
const marks = (unit: string, rate: boolean, step: number) =>
  Array.from({ length: 12 }, (_, index) => inUnit(index * step, rate ? '1' : unit));

test.each([
  ['s', false],
  ['ms', false],
  ['By', false],
  ['1', false],
  ['{instance}', false],
  ['{request}', true],
])('no two marks in %s (rate: %s) look the same, and steps grow', (unit, rate) => {
  const all = steps(unit, rate);
  expect(all).toEqual([...all].sort((a, b) => a - b));
  expect(new Set(all).size).toBe(all.length);
  for (const step of all.filter((step) => step < 1e6)) {
    const shown = marks(unit, rate, step);
    expect(new Set(shown).size, `${step} ${unit}: ${shown.join(', ')}`).toBe(shown.length);
  }
});

test('bytes are marked at whole kibibytes, mebibytes, …', () => {
  const of = (step: number) => marks('By', false, step).slice(1, 4);
  expect(of(16 * 1024 * 1024)).toEqual(['16 MiB', '32 MiB', '48 MiB']);
  expect(steps('By', false).every((step) => Number.isInteger(Math.log2(step)))).toBe(true);
});

test('what is counted whole is marked whole', () => {
  expect(steps('{instance}', false)[0]).toBe(1);
});

test('what comes once in ten minutes has marks of its own', () => {
  const most = 1 / 600;
  const fitting = steps('{request}', true).filter((step) => step <= most);
  expect(fitting.length).toBeGreaterThan(3);
  expect(marks('{request}', true, 0.0005).slice(0, 4)).toEqual(['0', '0.0005', '0.001', '0.0015']);
});
