// One request of a component: its answer, its failure, and again.
import { useCallback, useEffect, useState } from 'react';
import { type ApiFailure, asFailure, isAbort } from '../api/failure';

export interface Loaded<T> {
  readonly data: T | undefined;
  readonly failure: ApiFailure | undefined;
  readonly loading: boolean;
  reload(): void;
}

/** `load` must be the same function as long as it asks for the same. */
export function useLoad<T>(load: (signal: AbortSignal) => Promise<T>): Loaded<T> {
  const [state, setState] = useState<{ of: typeof load; data?: T; failure?: ApiFailure }>({ of: load });
  const [round, setRound] = useState(0);
  const [loading, setLoading] = useState(true);

  useEffect(() => {
    const abort = new AbortController();
    setLoading(true);
    load(abort.signal)
      .then((data) => setState({ of: load, data }))
      .catch((error: unknown) => {
        if (isAbort(error) || abort.signal.aborted) return;
        // What was read before stays: old figures with a note are better than none.
        setState((before) => ({
          ...(before.of === load && before.data !== undefined ? { data: before.data } : {}),
          of: load,
          failure: asFailure(error),
        }));
      })
      .finally(() => {
        if (!abort.signal.aborted) setLoading(false);
      });
    return () => abort.abort();
  }, [load, round]);

  const reload = useCallback(() => setRound((before) => before + 1), []);
  // The answer to another question is no answer.
  const mine = state.of === load;
  return {
    data: mine ? state.data : undefined,
    failure: mine ? state.failure : undefined,
    loading,
    reload,
  };
}

/** Loads again so long after each answer, while the tab is seen: a question that is slow is not asked twice. */
export function useEvery(milliseconds: number | undefined, { loading, reload }: Loaded<unknown>) {
  const pause = loading ? undefined : milliseconds;
  useEffect(() => {
    if (pause === undefined) return;
    const timer = setInterval(() => {
      if (document.visibilityState !== 'hidden') reload();
    }, pause);
    return () => clearInterval(timer);
  }, [pause, reload]);
}
