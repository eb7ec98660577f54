import { expect, test } from 'vitest';
import type { Resources } from '../api/types';
import { graphLayout, nodeHeight, nodeWidth, shapeOf } from './graphLayout';
import { nextOrder, parseOrder, sorted } from './sort';

const resources = {
  services: [
    { service: 'api', grants: ['postgres.db', 'service.other', 'host.example.org'] },
    { service: 'other', grants: [] },
  ],
  backends: [{ backend: 'postgres.db' }],
  edges: [
    { from: 'api', to: 'postgres.db', rate: 1, errors: 0 },
    { from: 'api', to: 'unknown', rate: 1, errors: 0 },
  ],
} as unknown as Resources;

test('grants that were not used yet are links, too; unknown ends are none', () => {
  expect(shapeOf(resources).links).toEqual([
    ['api', 'postgres.db'],
    ['api', 'other'],
  ]);
});

test.each(['LR', 'TB'] as const)('%s: no node covers another, callers stand first', (direction) => {
  const layout = graphLayout(shapeOf(resources), direction);
  const at = (name: string) => layout.nodes.find((node) => node.name === name);
  const axis = direction === 'LR' ? 'x' : 'y';
  expect(at('api')?.[axis]).toBeLessThan(at('postgres.db')?.[axis] ?? 0);
  for (const a of layout.nodes) {
    for (const b of layout.nodes) {
      if (a === b) continue;
      expect(Math.abs(a.x - b.x) >= nodeWidth || Math.abs(a.y - b.y) >= nodeHeight).toBe(true);
    }
  }
});

test('unknown values stand last in both orders', () => {
  const rows = [2, null, 1, null, 3];
  expect(sorted(rows, (row) => row, false)).toEqual([1, 2, 3, null, null]);
  expect(sorted(rows, (row) => row, true)).toEqual([3, 2, 1, null, null]);
});

test('a column is sorted up, down, and not', () => {
  expect(nextOrder(undefined, 'p99')).toBe('p99');
  expect(nextOrder(parseOrder('p99'), 'p99')).toBe('-p99');
  expect(nextOrder(parseOrder('-p99'), 'p99')).toBe('');
  expect(nextOrder(parseOrder('-p99'), 'p50')).toBe('p50');
});
