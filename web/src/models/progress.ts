// One progress for a pull that comes in layers, one after the other.
//
// Ollama counts each layer from nothing to full, so a bar that shows the newest line runs several
// times. Here all layers are summed by digest. A layer's size is only told when its turn comes:
// the fraction can fall when a new layer appears, but never because one is re-downloaded in part.
import type { JsonObject } from '../api/ndjson';

export interface Layer {
  readonly totalBytes: number;
  readonly completedBytes: number;
  /** Already here when its first line came; not to be counted as speed. */
  readonly resumedBytes: number;
}

export interface Progress {
  readonly status: string;
  readonly layers: ReadonlyMap<string, Layer>;
}

export const noProgress: Progress = { status: '', layers: new Map() };

/** Takes in one line of the stream. */
export function advance(progress: Progress, line: JsonObject): Progress {
  const status = typeof line.status === 'string' ? line.status : progress.status;
  if (typeof line.digest !== 'string') return { ...progress, status };

  const before = progress.layers.get(line.digest);
  const totalBytes = Math.max(before?.totalBytes ?? 0, bytes(line.total));
  // Zero is left out of the JSON, and a part that failed its check is subtracted again.
  const completedBytes = Math.min(
    Math.max(before?.completedBytes ?? 0, bytes(line.completed)),
    totalBytes,
  );
  const resumedBytes = before?.resumedBytes ?? completedBytes;
  const layers = new Map(progress.layers);
  layers.set(line.digest, { totalBytes, completedBytes, resumedBytes });
  return { status, layers };
}

export interface Totals {
  readonly completedBytes: number;
  readonly totalBytes: number;
  readonly transferredBytes: number;
  /** From 0 to 1; unknown until every layer that has begun told its size. */
  readonly fraction: number | undefined;
}

export function totals(progress: Progress): Totals {
  let completedBytes = 0;
  let totalBytes = 0;
  let transferredBytes = 0;
  let sizesKnown = progress.layers.size > 0;
  for (const layer of progress.layers.values()) {
    completedBytes += layer.completedBytes;
    totalBytes += layer.totalBytes;
    transferredBytes += layer.completedBytes - layer.resumedBytes;
    if (layer.totalBytes === 0) sizesKnown = false;
  }
  const fraction = sizesKnown ? completedBytes / totalBytes : undefined;
  return { completedBytes, totalBytes, transferredBytes, fraction };
}

/** What is being done, for people; an unknown status is shown as it came. */
export function phaseLabel(status: string): string {
  if (status === '') return 'Starting';
  if (status === 'pulling manifest') return 'Reading the manifest';
  if (status.startsWith('pulling ')) return 'Downloading';
  if (status.startsWith('verifying ')) return 'Verifying';
  if (status === 'writing manifest') return 'Writing the manifest';
  if (status === 'removing unused layers') return 'Removing unused layers';
  if (status === 'success') return 'Done';
  return status;
}

function bytes(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) ? Math.max(0, value) : 0;
}
