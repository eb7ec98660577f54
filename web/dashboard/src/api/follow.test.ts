import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ApiFailure } from './failure';
import { backoff, follow, type FollowState, silenceMs } from './follow';
import { LineReader } from './lines';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const bytes = (text: string) => new TextEncoder().encode(text);

/** A connection that a test feeds, breaks and ends. */
class Connection {
  private wake: () => void = () => undefined;
  private readonly queue: (Uint8Array | Error | undefined)[] = [];

  put(next: Uint8Array | Error | undefined) {
    this.queue.push(next);
    this.wake();
  }

  async *stream(signal: AbortSignal): AsyncGenerator<Uint8Array> {
    for (;;) {
      while (this.queue.length === 0 && !signal.aborted) {
        await new Promise<void>((resolve) => {
          this.wake = resolve;
          signal.addEventListener('abort', () => resolve());
        });
      }
      if (signal.aborted) throw new DOMException('aborted', 'AbortError');
      const next = this.queue.shift();
      if (next === undefined) return;
      if (next instanceof Error) throw next;
      yield next;
    }
  }
}

function setUp() {
  const connections: Connection[] = [];
  const states: FollowState[] = [];
  const items: unknown[] = [];
  let opened = 0;
  const following = follow<unknown>({
    open(signal) {
      const connection = new Connection();
      connections.push(connection);
      return connection.stream(signal);
    },
    onItem: (item) => items.push(item),
    onState: (state) => states.push(state),
    onOpen: () => {
      opened += 1;
    },
  });
  const last = () => states.at(-1);
  return { connections, states, items, following, last, opened: () => opened };
}

const turn = () => vi.advanceTimersByTimeAsync(0);

test('brings items, however the bytes are cut', async () => {
  const { connections, items, last, opened } = setUp();
  for (const byte of bytes('\n{"a":"ä€"}\n{"b":2}\n')) connections[0]?.put(Uint8Array.of(byte));
  await turn();
  expect(items).toEqual([{ a: 'ä€' }, { b: 2 }]);
  expect([last()?.is, opened()]).toEqual(['live', 1]);
});

test('is live as soon as the answer begins, also when there is nothing yet', async () => {
  const { connections, last } = setUp();
  connections[0]?.put(new Uint8Array(0));
  await turn();
  expect(last()?.is).toBe('live');
});

test('a lost stream comes back, each time a little later, to a bound', async () => {
  const { connections, last } = setUp();
  const delays: number[] = [];
  for (let attempt = 0; attempt < 9; attempt += 1) {
    connections.at(-1)?.put(new ApiFailure(null, 'The connection was lost'));
    await turn();
    expect(last()).toMatchObject({ is: 'waiting', why: 'The connection was lost' });
    const before = connections.length;
    let waited = 0;
    while (connections.length === before) {
      await vi.advanceTimersByTimeAsync(100);
      waited += 100;
    }
    delays.push(waited);
  }
  expect(delays).toEqual([500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000, 15_000]);
});

test('bytes begin the backoff anew, an empty answer does not', async () => {
  const { connections } = setUp();
  const lose = async () => {
    connections.at(-1)?.put(undefined);
    await turn();
  };
  await lose();
  await vi.advanceTimersByTimeAsync(backoff(0));
  connections.at(-1)?.put(new Uint8Array(0));
  await lose();
  await vi.advanceTimersByTimeAsync(backoff(0));
  expect(connections).toHaveLength(2);
  await vi.advanceTimersByTimeAsync(backoff(1) - backoff(0));
  expect(connections).toHaveLength(3);
  connections.at(-1)?.put(bytes('\n'));
  await lose();
  await vi.advanceTimersByTimeAsync(backoff(0));
  expect(connections).toHaveLength(4);
});

test('what the host left out is a loss, and no item', async () => {
  const { connections, items, last, opened } = setUp();
  connections[0]?.put(bytes('{"a":1}\n{"missed":250}\n{"a":300}\n'));
  await turn();
  expect(items).toEqual([{ a: 1 }]);
  expect(last()).toMatchObject({ is: 'waiting', why: '250 came too fast for this page' });
  // The next stream begins with the newest, which shows what is missing.
  await vi.advanceTimersByTimeAsync(backoff(0));
  connections[1]?.put(bytes('{"a":300}\n{"missed":1,"a":301}\n'));
  await turn();
  expect([connections.length, opened()]).toEqual([2, 2]);
  expect(items).toEqual([{ a: 1 }, { a: 300 }, { missed: 1, a: 301 }]);
});

test('silence is a loss', async () => {
  const { connections, last } = setUp();
  connections[0]?.put(bytes('\n'));
  await vi.advanceTimersByTimeAsync(silenceMs - 1);
  connections[0]?.put(bytes('\n'));
  await vi.advanceTimersByTimeAsync(silenceMs - 1);
  expect(last()?.is).toBe('live');
  await vi.advanceTimersByTimeAsync(1);
  expect(last()?.is).toBe('waiting');
});

test('what is refused is not asked for again, until a person does', async () => {
  const { connections, last, following } = setUp();
  connections[0]?.put(new ApiFailure(404, 'There is no such service'));
  await vi.advanceTimersByTimeAsync(600_000);
  expect(last()).toMatchObject({ is: 'stopped' });
  expect(connections).toHaveLength(1);
  following.retry();
  await turn();
  expect(connections).toHaveLength(2);
});

test('a closed stream does nothing any more', async () => {
  const { connections, states, following } = setUp();
  await turn();
  following.close();
  const before = states.length;
  await vi.advanceTimersByTimeAsync(600_000);
  expect([connections.length, states.length]).toEqual([1, before]);
});

test('one can ask at once', async () => {
  const { connections, following } = setUp();
  connections[0]?.put(new ApiFailure(503, 'Stopping'));
  await turn();
  following.retry();
  following.retry();
  await turn();
  expect(connections).toHaveLength(2);
});

test('lines keep their order and their blanks', () => {
  const reader = new LineReader();
  expect(reader.push(bytes('a\r\n\nb'))).toEqual(['a', '']);
  expect(reader.push(bytes('c\n'))).toEqual(['bc']);
});
