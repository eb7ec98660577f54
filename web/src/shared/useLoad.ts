// Loads something when its section appears and again on request.
//
// Data and failure are kept side by side, so a section can tell "loading for the first time",
// "loading again", "failed" and "failed, but this is the last known state" apart.
import { useCallback, useEffect, useRef, useState } from 'react';
import { describeFailure, type Failure } from '../api/failure';

export interface Load<T> {
  readonly data: T | undefined;
  readonly failure: Failure | undefined;
  readonly loading: boolean;
  /** Ends when the data is in; a failure is shown, not thrown. */
  readonly reload: () => Promise<void>;
}

/** `fetchData` must keep its identity between renders, or it would be called on each of them. */
export function useLoad<T>(fetchData: (signal: AbortSignal) => Promise<T>): Load<T> {
  const [state, setState] = useState<Omit<Load<T>, 'reload'>>({
    data: undefined,
    failure: undefined,
    loading: true,
  });
  const current = useRef<AbortController>(undefined);

  const reload = useCallback(async () => {
    // Only the newest request may write: an older one that answers late would show stale data.
    current.current?.abort();
    const controller = new AbortController();
    current.current = controller;
    setState((before) => ({ ...before, loading: true }));
    try {
      const data = await fetchData(controller.signal);
      if (!controller.signal.aborted) setState({ data, failure: undefined, loading: false });
    } catch (error) {
      if (controller.signal.aborted) return;
      const failure = describeFailure(error);
      setState((before) => ({ data: before.data, failure, loading: false }));
    }
  }, [fetchData]);

  useEffect(() => {
    void reload();
    return () => current.current?.abort();
  }, [reload]);

  return { ...state, reload };
}
