// A stream that is held open: what it brings, and how it comes back when it is lost.
//
// Knows nothing of fetch or React: the source of bytes and the clock are given, so that every
// state can be reached in a test without waiting.
import { ApiFailure, asFailure } from './failure';
import { LineReader } from './lines';

export type FollowState =
  | { readonly is: 'connecting' }
  | { readonly is: 'live' }
  | { readonly is: 'waiting'; readonly why: string; readonly seconds: number }
  | { readonly is: 'stopped'; readonly failure: ApiFailure };

export interface FollowOptions<T> {
  open(signal: AbortSignal): AsyncIterable<Uint8Array>;
  onItem(item: T): void;
  /** A new connection is open; what it brings first may be known already. */
  onOpen?(): void;
  onState(state: FollowState): void;
}

/** The server says that it is alive every 15 seconds; after three misses it is not. */
export const silenceMs = 45_000;
const backoffMs = [500, 1_000, 2_000, 4_000, 8_000, 15_000];

export function backoff(attempt: number): number {
  return backoffMs[Math.min(attempt, backoffMs.length - 1)] ?? 15_000;
}

export interface Following {
  close(): void;
  /** Does not wait for the rest of the backoff. */
  retry(): void;
}

export function follow<T>(options: FollowOptions<T>): Following {
  let attempt = 0;
  let closed = false;
  /** Neither connected nor on the way to it. */
  let idle = false;
  let connection: AbortController | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const connect = async () => {
    timer = undefined;
    idle = false;
    options.onState({ is: 'connecting' });
    const abort = new AbortController();
    connection = abort;
    let silent = false;
    let watchdog: ReturnType<typeof setTimeout> | undefined;
    const alive = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => {
        silent = true;
        abort.abort();
      }, silenceMs);
    };
    let why: ApiFailure;
    try {
      alive();
      const lines = new LineReader();
      let first = true;
      for await (const chunk of options.open(abort.signal)) {
        if (closed) return;
        alive();
        if (first) {
          first = false;
          options.onState({ is: 'live' });
          options.onOpen?.();
        }
        // Only bytes prove the stream: a proxy may answer 200 for a host that is down.
        if (chunk.length > 0) attempt = 0;
        for (const line of lines.push(chunk)) {
          if (line === '') continue;
          const item: unknown = JSON.parse(line);
          const missed = leftOut(item);
          // A new stream begins with the newest, so that the reader sees what is missing.
          if (missed !== undefined) throw new ApiFailure(null, `${missed} came too fast for this page`);
          options.onItem(item as T);
        }
      }
      why = new ApiFailure(null, 'The stream ended');
    } catch (error) {
      why = silent ? new ApiFailure(null, 'Nothing was heard for 45 seconds') : asFailure(error);
    } finally {
      clearTimeout(watchdog);
      abort.abort();
    }
    if (closed || connection !== abort) return;
    idle = true;
    // What the server refuses once it refuses again: only what may pass is tried again.
    if (why.status !== null && why.status >= 400 && why.status < 500 && why.status !== 429) {
      options.onState({ is: 'stopped', failure: why });
      return;
    }
    const delay = backoff(attempt);
    attempt += 1;
    options.onState({ is: 'waiting', why: why.title, seconds: Math.ceil(delay / 1000) });
    timer = setTimeout(() => void connect(), delay);
  };

  void connect();
  return {
    close() {
      closed = true;
      clearTimeout(timer);
      connection?.abort();
    },
    retry() {
      if (!idle || closed) return;
      clearTimeout(timer);
      void connect();
    },
  };
}

/** How many items the host left out for a reader that was too slow, if it says that. */
function leftOut(item: unknown): number | undefined {
  if (typeof item !== 'object' || item === null || Object.keys(item).join() !== 'missed') return undefined;
  const { missed } = item as { missed: unknown };
  return typeof missed === 'number' ? missed : undefined;
}
