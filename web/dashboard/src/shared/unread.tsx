// Errors that came since somebody last looked, as a number beside Logs.
//
// Which line was the last one that was read is kept in the browser, by the id that the host gave it: ids of lines only
// grow. What there was before the first visit counts as read. It is asked for now and then, as every window shows it
// and a browser has few connections.
import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useState } from 'react';
import { getJson } from '../api/client';
import type { LogLine, Page } from '../api/types';
import { useApplication } from './application';
import { useEvery, useLoad } from './useLoad';

/** More are not counted. */
export const unreadMax = 100;

const refreshMs = 10_000;
const storageKey = 'wasm-host-dashboard-read';

export interface Unread {
  readonly count: number;
  /** Up to this line, or to the newest. */
  markRead(id?: number): void;
}

const Context = createContext<Unread>({ count: 0, markRead: () => undefined });

export function UnreadProvider({ children }: { children: ReactNode }) {
  const { application } = useApplication().session;
  const [read, setRead] = useState<number>();
  // Without an answer there is no number, and everything else is as it was.
  const loaded = useLoad(newestErrors);
  useEvery(refreshMs, loaded);
  const ids = loaded.data;
  const newest = ids && (ids[0] ?? 0);

  useEffect(() => {
    if (newest === undefined) return;
    // A store that was begun anew counts anew.
    setRead((before) => before ?? Math.min(kept(application) ?? newest, newest));
  }, [application, newest]);

  useEffect(() => {
    if (read !== undefined) keep(application, read);
  }, [application, read]);

  const count = ids === undefined || read === undefined ? 0 : ids.filter((id) => id > read).length;
  const markRead = useCallback(
    (id = newest ?? 0) => setRead((before) => Math.max(before ?? 0, id)),
    [newest],
  );
  const unread = useMemo(() => ({ count, markRead }), [count, markRead]);
  return <Context value={unread}>{children}</Context>;
}

/** Their ids, newest first. */
async function newestErrors(signal: AbortSignal): Promise<readonly number[]> {
  const page = await getJson<Page<LogLine>>('api/logs', { level: 'error', limit: unreadMax }, signal);
  return page.items.map((line) => line.id);
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
