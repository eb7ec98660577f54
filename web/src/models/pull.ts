// One pull, from the request to "success", as a series of updates.
import { EndedEarly } from '../api/failure';
import { postForLines } from '../api/http';
import { advance, noProgress, phaseLabel, type Totals, totals } from './progress';
import { SpeedMeter } from './speed';

export interface PullUpdate extends Totals {
  readonly phase: string;
  readonly bytesPerSecond: number | undefined;
}

export const pullStarting: PullUpdate = {
  ...totals(noProgress),
  phase: phaseLabel(''),
  bytesPerSecond: undefined,
};

/** Returns once the model is usable, throws otherwise. Aborting closes the connection. */
export async function pullModel(
  model: string,
  signal: AbortSignal,
  onUpdate: (update: PullUpdate) => void,
): Promise<void> {
  const speed = new SpeedMeter();
  let progress = noProgress;
  for await (const line of postForLines('ollama/api/pull', { model, stream: true }, signal)) {
    progress = advance(progress, line);
    const sums = totals(progress);
    speed.add(performance.now(), sums.transferredBytes);
    onUpdate({
      ...sums,
      phase: phaseLabel(progress.status),
      bytesPerSecond: speed.bytesPerSecond(),
    });
  }
  // A clean end is not a success: the server may have been stopped in the middle.
  if (progress.status !== 'success') {
    throw new EndedEarly('the download ended before it was complete');
  }
}
