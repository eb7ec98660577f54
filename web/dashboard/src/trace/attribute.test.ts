import { expect, test } from 'vitest';
import { attribute } from './attribute';

test('processor time is a duration, other attributes are as they are', () => {
  expect(attribute('wasm_host.guest.cpu_time', 0.0123)).toBe('12.3 ms');
  expect(attribute('http.response.status_code', 200)).toBe('200');
  expect(attribute('url.path', '/a')).toBe('/a');
});
