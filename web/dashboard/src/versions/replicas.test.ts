import { expect, test } from 'vitest';
import type { ReplicaStatus } from '../api/types';
import { agreed, agreedText } from './replicas';

const replica = (state: ReplicaStatus['state'], generation: number | null): ReplicaStatus => ({
  replica: `host-${state}-${generation}`,
  generation,
  state,
  lease_ms: 8000,
});

test('replicas are counted by the newest generation that any serves', () => {
  const cases: [ReplicaStatus[], string, number | null][] = [
    [[replica('serving', 4), replica('serving', 4)], '2', 4],
    // In the middle of a swap, one that comes later, and one that was lost.
    [[replica('serving', 4), replica('serving', 5), replica('serving', 5)], '2 of 3', 5],
    [[replica('serving', 5), replica('joining', null)], '1 of 2', 5],
    [[replica('serving', 5), replica('lost', null)], '1 of 2', 5],
    // What joins may have loaded it, and takes no requests yet.
    [[replica('joining', 5)], '0 of 1', null],
    [[], '0', null],
  ];
  for (const [replicas, text, generation] of cases) {
    const found = agreed(replicas);
    expect([agreedText(found), found.generation]).toEqual([text, generation]);
  }
});
