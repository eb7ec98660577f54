// The rounding borders, where a figure would read oddly.
import { expect, test } from 'vitest';
import { formatBytes, formatDate, formatWait } from './format';

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1.0 kB'],
  [352_151_968, '352 MB'],
  [4_661_224_676, '4.7 GB'],
  [999_499, '999 kB'],
  [999_500, '1.0 MB'],
  [99_970, '100 kB'],
])('%d bytes is %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

test.each([
  [0, '1 s'],
  [41.2, '42 s'],
  [61, '2 min'],
  [3600, '1 h 0 min'],
  [5400, '1 h 30 min'],
])('%d seconds is %s', (seconds, text) => {
  expect(formatWait(seconds)).toBe(text);
});

test('a date, or the text itself when it is none', () => {
  expect(formatDate('2026-01-31T12:00:00.123456789Z', 'en-GB')).toBe('31 Jan 2026');
  expect(formatDate('')).toBe('');
});
