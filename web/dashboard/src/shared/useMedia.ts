// Whether a media query holds, as state.
import { useCallback, useSyncExternalStore } from 'react';

export function useMedia(query: string): boolean {
  const subscribe = useCallback(
    (listener: () => void) => {
      const media = window.matchMedia(query);
      media.addEventListener('change', listener);
      return () => media.removeEventListener('change', listener);
    },
    [query],
  );
  return useSyncExternalStore(subscribe, () => window.matchMedia(query).matches);
}

/** Phones: rows have two lines, panes cover the page. The style sheets use the same width. */
export function useNarrow(): boolean {
  return useMedia('(max-width: 700px)');
}
