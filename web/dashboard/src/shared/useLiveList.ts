// A long list of the control plane: its first page, its stream, and older pages on demand.
import { useCallback, useEffect, useMemo, useState, useSyncExternalStore } from 'react';
import { getJson } from '../api/client';
import { type Query, withQuery } from '../api/query';
import type { Page } from '../api/types';
import { LiveList, pageSize, type Where } from './liveList';
import { type StreamState, useFollow } from './useFollow';

export interface LiveListOptions<T> {
  readonly path: string;
  readonly query: Query;
  key(item: T): string;
  readonly following: boolean;
}

export interface LiveListView<T> {
  readonly list: LiveList<T>;
  /** Changes with every change of the list. */
  readonly version: number;
  readonly stream: StreamState;
  retryStream(): void;
}

/** `key` must be the same function at every call. */
export function useLiveList<T>(options: LiveListOptions<T>): LiveListView<T> {
  const { path, query, key, following } = options;
  // The address says all that a list depends on.
  const address = withQuery(path, query);
  const list = useMemo(() => {
    return new LiveList<T>({
      page: (where, signal) => getJson<Page<T>>(joined(address, paging(where)), {}, signal),
      key,
    });
  }, [address, key]);

  // Reading begins when the list is on the page, so that a list that React discards reads nothing.
  const [begun, setBegun] = useState<LiveList<T>>();
  useEffect(() => {
    const opened = list.open();
    list.readOn();
    setBegun(list);
    return opened;
  }, [list]);

  const version = useSyncExternalStore(
    list.subscribe,
    useCallback(() => list.version, [list]),
  );
  // The stream comes behind the first page: what both bring is recognised, a hole is not.
  const ready = begun === list && (list.length > 0 || list.complete || list.failure !== undefined);
  const onItem = useCallback((item: T) => list.push(item), [list]);
  const onOpen = useCallback(() => {
    list.opened();
    // The host is there again, so what failed meanwhile is worth another try.
    if (list.failure) list.retry();
  }, [list]);
  const { stream, retry } = useFollow<T>(
    following && ready ? joined(address, { follow: true, limit: pageSize }) : undefined,
    onItem,
    onOpen,
  );
  const retryStream = useCallback(() => {
    list.retry();
    retry();
  }, [list, retry]);
  return { list, version, stream, retryStream };
}

function paging(where: Where): Query {
  if (where.at === 'cursor') return { limit: pageSize, before: where.before };
  return { limit: pageSize };
}

function joined(address: string, query: Query): string {
  const extra = withQuery('', query);
  return address.includes('?') ? `${address}&${extra.slice(1)}` : `${address}${extra}`;
}
