// A stream of the control plane for as long as a component shows it.
//
// While the tab is hidden the stream is closed: a forgotten tab has no use for what it brings.
import { useEffect, useRef, useState, useSyncExternalStore } from 'react';
import { getPlacedStream } from '../api/client';
import { type Following, follow, type FollowState } from '../api/follow';

export type StreamState = FollowState | { readonly is: 'off' };

function useVisible(): boolean {
  return useSyncExternalStore(
    (listener) => {
      document.addEventListener('visibilitychange', listener);
      return () => document.removeEventListener('visibilitychange', listener);
    },
    () => document.visibilityState !== 'hidden',
  );
}

/** No address, no stream. The functions must stay the same while the address does. */
export function useFollow<T>(
  address: string | undefined,
  onItem: (item: T) => void,
  onOpen?: () => void,
  source: (address: string, signal: AbortSignal) => AsyncIterable<Uint8Array> = getPlacedStream,
): { stream: StreamState; retry: () => void } {
  const visible = useVisible();
  const [stream, setStream] = useState<StreamState>({ is: 'off' });
  const following = useRef<Following>(undefined);
  const open = visible ? address : undefined;

  useEffect(() => {
    if (open === undefined) {
      setStream({ is: 'off' });
      return;
    }
    const started = follow<T>({
      open: (signal) => source(open, signal),
      onItem,
      onState: setStream,
      ...(onOpen ? { onOpen } : {}),
    });
    following.current = started;
    return () => started.close();
  }, [open, onItem, onOpen, source]);

  return { stream, retry: () => following.current?.retry() };
}
