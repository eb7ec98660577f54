// Errors that came since somebody last looked, as a number beside Logs.
//
// Which line was the last one that was read is kept in the browser, by the id that the host gave it: ids of lines only
// grow. What there was before the first visit counts as read.
import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useState } from 'react';
import { getJson } from '../api/client';
import { withQuery } from '../api/query';
import type { LogLine } from '../api/types';
import { useApplication } from './application';
import { useFollow } from './useFollow';
import { useRoute } from './useRoute';

/** More are not counted. */
export const unreadMax = 100;

const storageKey = 'wasm-host-dashboard-read';
const address = withQuery('api/logs', { level: 'error', limit: unreadMax, follow: true });

export interface Unread {
  readonly count: number;
  markRead(): void;
}

const Context = createContext<Unread>({ count: 0, markRead: () => undefined });

export function UnreadProvider({ children }: { children: ReactNode }) {
  const { application } = useApplication().session;
  const { page, query } = useRoute();
  const [read, setRead] = useState<number>();
  /** Of the newest errors, oldest first. */
  const [ids, setIds] = useState<readonly number[]>([]);

  useEffect(() => {
    const abort = new AbortController();
    getJson<{ items: readonly LogLine[] }>('api/logs', { level: 'error', limit: 1 }, abort.signal)
      .then(({ items }) => {
        const newest = items[0]?.id ?? 0;
        // A store that was begun anew counts anew.
        setRead(Math.min(kept(application) ?? newest, newest));
      })
      // Without it there is no number, and everything else is as it was.
      .catch(() => undefined);
    return () => abort.abort();
  }, [application]);

  useEffect(() => {
    if (read !== undefined) keep(application, read);
  }, [application, read]);

  const onItem = useCallback((line: Partial<LogLine>) => {
    const { id } = line;
    // A stream also says how many lines it left out, which are of any level.
    if (id !== undefined) setIds((before) => [...before, id].slice(-unreadMax));
  }, []);
  const onOpen = useCallback(() => setIds([]), []);
  useFollow(read === undefined ? undefined : address, onItem, onOpen);

  const count = read === undefined ? 0 : ids.filter((id) => id > read).length;
  const newest = ids.at(-1);
  const markRead = useCallback(() => setRead((before) => newest ?? before), [newest]);
  const looks = page === 'logs' && query.get('level') === 'error' && !query.has('service');
  useEffect(() => {
    if (looks && count > 0) markRead();
  }, [looks, count, markRead]);

  const unread = useMemo(() => ({ count, markRead }), [count, markRead]);
  return <Context value={unread}>{children}</Context>;
}

export function useUnread(): Unread {
  return useContext(Context);
}

/** As it is written: what is beyond the bound is not known. */
export const unreadText = (count: number) => (count < unreadMax ? String(count) : `${unreadMax - 1}+`);

function kept(application: string): number | undefined {
  try {
    const all = JSON.parse(localStorage.getItem(storageKey) ?? '{}') as Record<string, unknown>;
    const id = all[application];
    return typeof id === 'number' ? id : undefined;
  } catch {
    // No storage, or what is in it is not ours.
    return undefined;
  }
}

function keep(application: string, read: number) {
  try {
    // Of one application: another one at this address is another host.
    localStorage.setItem(storageKey, JSON.stringify({ [application]: read }));
  } catch {
    // It lasts as long as the page.
  }
}
