import { expect, test } from 'vitest';
import { ago, bytes, clock, count, counted, dateTime, duration, inUnit, rate } from './time';

const noon = Date.UTC(2026, 2, 1, 12, 3, 7, 45) * 1000;

test('times have all their digits', () => {
  expect(clock(noon, 'utc')).toBe('12:03:07.045');
  expect(dateTime(noon + 999, 'utc')).toBe('2026-03-01 12:03:07.045');
});

test.each([
  [0, '0 µs'],
  [999, '999 µs'],
  [1000, '1 ms'],
  [1234, '1.23 ms'],
  [12_340, '12.3 ms'],
  [123_400, '123 ms'],
  [999_499, '999 ms'],
  [999_500, '1 s'],
  [1_250_000, '1.25 s'],
  [59_940_000, '59.9 s'],
  [59_950_000, '1 min'],
  [185_000_000, '3 min 5 s'],
  [3_600_000_000, '1 h'],
  [3_599_600_000, '1 h'],
  [90_061_000_000, '1 d 1 h'],
  [-1500, '-1.5 ms'],
])('%d microseconds are %s', (micros, text) => expect(duration(micros)).toBe(text));

test('no duration below an hour is told with sixty of anything', () => {
  for (let micros = 1; micros < 3_700_000_000; micros = Math.ceil(micros * 1.003)) {
    expect(duration(micros)).not.toMatch(/\b60 (s|min)|1000 (ms|µs)/);
  }
});

test('one is one, and all others are several', () => {
  expect([0, 1, 2, 1234].map((number) => counted(number, 'line'))).toEqual([
    '0 lines',
    '1 line',
    '2 lines',
    `${count(1234)} lines`,
  ]);
});

test('what is in the future is now', () => {
  expect(ago(noon + 5_000_000, noon / 1000)).toBe('now');
  expect(ago(noon - 61_000_000, noon / 1000)).toBe('1 min ago');
  expect(ago(noon - 90_000_000_000, noon / 1000)).toBe('1 d ago');
});

test('rates, sizes and counts', () => {
  expect([0, 0.004, 0.03, 1.5, 12.44, 1234].map(rate)).toEqual([
    '0/s',
    '<0.01/s',
    '0.03/s',
    '1.5/s',
    '12.4/s',
    '1234/s',
  ]);
  expect([0, 1023, 1024, 148_897_792, 5 * 2 ** 40].map(bytes)).toEqual([
    '0 B',
    '1023 B',
    '1 KiB',
    '142 MiB',
    '5 TiB',
  ]);
  expect(count(1234567)).toBe('1\u2009234\u2009567');
});

test('values of metrics in their units', () => {
  expect(inUnit(0.21, 's')).toBe('210 ms');
  expect(inUnit(2048, 'By')).toBe('2 KiB');
  expect(inUnit(3, '{instance}')).toBe('3');
  expect(inUnit(0.5, 'Cel')).toBe('0.5 Cel');
});
