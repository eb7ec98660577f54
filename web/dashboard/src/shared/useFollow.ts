// A stream of the control plane for as long as a component shows it.
//
// While the tab is hidden the stream is closed: browsers allow six connections to one host, and a
// few forgotten tabs would otherwise hold them all.
import { useEffect, useRef, useState, useSyncExternalStore } from 'react';
import { getStream } from '../api/client';
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
      open: (signal) => getStream(open, {}, signal),
      onItem,
      onState: setStream,
      ...(onOpen ? { onOpen } : {}),
    });
    following.current = started;
    return () => started.close();
  }, [open, onItem, onOpen]);

  return { stream, retry: () => following.current?.retry() };
}
