// The address bar as the state of the page.
import { useCallback, useMemo, useSyncExternalStore } from 'react';
import { type Params, parseRoute, type Route, withParams } from './route';

const listeners = new Set<() => void>();

function subscribe(listener: () => void) {
  listeners.add(listener);
  window.addEventListener('hashchange', listener);
  window.addEventListener('popstate', listener);
  return () => {
    listeners.delete(listener);
    window.removeEventListener('hashchange', listener);
    window.removeEventListener('popstate', listener);
  };
}

const current = () => window.location.hash;

/** `replace` is for what is typed letter by letter: going back should not undo single letters. */
export function navigate(hash: string, how: 'push' | 'replace' = 'push') {
  if (hash === window.location.hash) return;
  if (how === 'push') window.history.pushState(null, '', hash);
  else window.history.replaceState(null, '', hash);
  for (const listener of listeners) listener();
}

export function useRoute(): Route {
  const hash = useSyncExternalStore(subscribe, current);
  return useMemo(() => parseRoute(hash), [hash]);
}

/** Changes parameters of the page that is shown. */
export function useSetParams() {
  return useCallback((params: Params, how: 'push' | 'replace' = 'push') => {
    navigate(withParams(parseRoute(window.location.hash), params), how);
  }, []);
}
