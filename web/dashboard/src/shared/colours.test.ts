import { expect, test } from 'vitest';
import { namesOf } from './application';
import { colourCount, colourOf } from './colours';

const service = (name: string) => ({ service: name }) as never;

test('services of the application keep their colours, and others have colours of their own', () => {
  const own = namesOf({ services: ['web', 'api'].map(service), others: [] });
  const all = namesOf({ services: ['web', 'api'].map(service), others: ['walker', 'browser', 'a'] });
  expect(all).toEqual(['api', 'web', 'a', 'browser', 'walker']);
  for (const name of own) expect(colourOf(name, all)).toBe(colourOf(name, own));
  expect(new Set(all.map((name) => colourOf(name, all))).size).toBe(5);
  expect(colourCount).toBeGreaterThan(5);
});
