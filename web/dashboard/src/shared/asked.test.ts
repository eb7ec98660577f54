import { expect, test } from 'vitest';
import { asked } from './asked';

test('the path that was asked for stands in the place of the route', () => {
  expect(asked('GET /weather', '/weather/nope')).toBe('GET /weather/nope');
  expect(asked('GET', '/nope')).toBe('GET /nope');
  expect(asked('swap weather', null)).toBe('swap weather');
});
