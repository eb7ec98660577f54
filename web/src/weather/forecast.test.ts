// A broken answer must not look like an empty one, and a day must not move with the time zone.
import { expect, test } from 'vitest';
import { UnexpectedAnswer } from '../api/failure';
import { dayLabel, parseForecast } from './forecast';

const day = { date: '2026-01-31', temperatureC: -20, temperatureF: -4, summary: 'Freezing' };

test('takes what the service sends', () => {
  expect(parseForecast([day])).toEqual([day]);
  expect(parseForecast([])).toEqual([]);
  expect(parseForecast([{ ...day, summary: null }])[0]?.summary).toBe('');
});

test.each([{}, null, 'text', [{}], [null], [{ ...day, temperatureC: '5' }]])('refuses %j', (value) => {
  expect(() => parseForecast(value)).toThrow(UnexpectedAnswer);
});

test('names the day that was sent, in any time zone', () => {
  const zone = process.env.TZ;
  for (const name of ['America/Los_Angeles', 'UTC', 'Pacific/Auckland']) {
    process.env.TZ = name;
    expect(dayLabel('2026-01-31', 'en-GB')).toMatch(/^Sat,? 31 Jan$/);
  }
  if (zone === undefined) delete process.env.TZ;
  else process.env.TZ = zone;
});

test('shows an unreadable date as it is', () => {
  expect(dayLabel('soon')).toBe('soon');
});
