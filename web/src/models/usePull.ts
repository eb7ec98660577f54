// The one pull that this page runs, and how the last one ended.
import { useCallback, useEffect, useRef, useState } from 'react';
import { describeFailure, type Failure } from '../api/failure';
import { throttle } from '../shared/throttle';
import { pullModel, pullStarting, type PullUpdate } from './pull';

export type PullState =
  | { readonly phase: 'idle' }
  | { readonly phase: 'running'; readonly model: string; readonly update: PullUpdate }
  | { readonly phase: 'done' | 'cancelled'; readonly model: string }
  | { readonly phase: 'failed'; readonly model: string; readonly failure: Failure };

export interface Pull {
  readonly state: PullState;
  readonly start: (model: string) => void;
  readonly cancel: () => void;
}

const redrawIntervalMs = 250;

/** `onPulled` runs before the pull counts as done, so the list already holds the model then. */
export function usePull(onPulled: (model: string) => Promise<void>): Pull {
  const [state, setState] = useState<PullState>({ phase: 'idle' });
  const running = useRef<AbortController>(undefined);

  const start = useCallback(
    (model: string) => {
      if (running.current) return;
      const controller = new AbortController();
      running.current = controller;
      void run(model, controller.signal, setState, onPulled).finally(() => {
        running.current = undefined;
      });
    },
    [onPulled],
  );
  const cancel = useCallback(() => running.current?.abort(), []);
  useEffect(() => cancel, [cancel]);

  return { state, start, cancel };
}

async function run(
  model: string,
  signal: AbortSignal,
  setState: (state: PullState) => void,
  onPulled: (model: string) => Promise<void>,
): Promise<void> {
  const redraw = throttle<PullUpdate>(redrawIntervalMs, (update) =>
    setState({ phase: 'running', model, update }),
  );
  redraw.offer(pullStarting);
  try {
    await pullModel(model, signal, redraw.offer);
    redraw.flush();
    await onPulled(model);
    setState({ phase: 'done', model });
  } catch (error) {
    redraw.flush();
    if (signal.aborted) setState({ phase: 'cancelled', model });
    else setState({ phase: 'failed', model, failure: describeFailure(error) });
  }
}
