import { expect, test } from 'vitest';
import { formatRoute, parseRoute, withParams } from './route';

test('an address says what is shown', () => {
  const route = parseRoute('#/traces/abc?service=x&service=y&errors=true');
  expect([route.page, route.subject]).toEqual(['traces', 'abc']);
  expect(route.query.getAll('service')).toEqual(['x', 'y']);
});

test.each(['', '#', '#/', '#/nothing', '#resources', '#/resources/'])('%j leads to the resources', (hash) => {
  const route = parseRoute(hash);
  expect([route.page, route.subject]).toEqual(['resources', undefined]);
});

test('subjects come back as they went', () => {
  for (const subject of ['http.server.request.duration', 'a b', 'ä/ö?#%', '100%']) {
    expect(parseRoute(formatRoute('metrics', subject)).subject).toBe(subject);
  }
  expect(parseRoute('#/metrics/100%').subject).toBe('100%');
});

test('values come back as they went', () => {
  const hash = formatRoute('logs', undefined, {
    search: 'a=b&c?#/ü',
    service: ['x', 'y'],
    errors: true,
    none: '',
  });
  const { query } = parseRoute(hash);
  expect(query.get('search')).toBe('a=b&c?#/ü');
  expect(query.getAll('service')).toEqual(['x', 'y']);
  expect([query.get('errors'), query.has('none')]).toEqual(['true', false]);
});

test('parameters are replaced one by one', () => {
  const route = parseRoute('#/logs?service=x&level=warn');
  expect(withParams(route, { service: ['a', 'b'] })).toBe('#/logs?level=warn&service=a&service=b');
  expect(withParams(route, { service: undefined, level: '' })).toBe('#/logs');
  expect(withParams(route, { errors: false })).toBe('#/logs?service=x&level=warn');
});
