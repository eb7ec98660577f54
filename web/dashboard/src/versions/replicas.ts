// What the replicas of an application serve of one service, in short.
import type { ReplicaStatus } from '../api/types';

export interface Agreed {
  /** How many serve the newest generation. */
  readonly serving: number;
  /** All that are known, those that were lost a while ago included. */
  readonly all: number;
  /** None before any serves. */
  readonly generation: number | null;
}

export function agreed(replicas: readonly ReplicaStatus[]): Agreed {
  const serving = replicas.filter((replica) => replica.state === 'serving' && replica.generation !== null);
  const generation = serving.reduce<number | null>(
    (newest, replica) => Math.max(newest ?? 0, replica.generation ?? 0),
    null,
  );
  return {
    serving: serving.filter((replica) => replica.generation === generation).length,
    all: replicas.length,
    generation,
  };
}

/** `3` where all serve the same, `2 of 3` where they do not. */
export function agreedText({ serving, all }: Agreed): string {
  return serving === all ? String(all) : `${serving} of ${all}`;
}
