import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ApiFailure } from './failure';
import { placesMax, takePlace } from './places';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => void vi.useRealTimers());

/** The locks of a browser, of which all windows have the same. */
class Locks {
  private readonly queues = new Map<string, (() => Promise<void>)[]>();

  request = (async (name: string, { signal }: LockOptions, hold: () => Promise<void> | undefined) => {
    const queue = this.queues.get(name) ?? [];
    this.queues.set(name, queue);
    return new Promise<void>((resolve, reject) => {
      const turn = async () => {
        resolve(await hold());
        queue.shift();
        void queue[0]?.();
      };
      queue.push(turn);
      if (queue.length === 1) queueMicrotask(() => void turn());
      signal?.addEventListener('abort', () => {
        // What is held stays so.
        if (queue.indexOf(turn) > 0) queue.splice(queue.indexOf(turn), 1);
        reject(signal.reason);
      });
    });
  }) as unknown as LockManager['request'];

  /** How many are held or waited for. */
  get asked() {
    return [...this.queues.values()].reduce((sum, queue) => sum + queue.length, 0);
  }
}

const never = new AbortController().signal;

test('so many windows have a place, and the next one has it when one leaves', async () => {
  const locks = new Locks();
  const leave = [];
  for (let i = 0; i < placesMax; i += 1) leave.push(await takePlace(never, locks));
  expect(locks.asked).toBe(placesMax);
  const next = takePlace(never, locks);
  leave[2]?.();
  (await next)();
  for (const one of leave) one();
  await vi.advanceTimersByTimeAsync(0);
  expect(locks.asked).toBe(0);
});

test('where others have all places that is told', async () => {
  const locks = new Locks();
  for (let i = 0; i < placesMax; i += 1) await takePlace(never, locks);
  const late = new AbortController();
  vi.spyOn(AbortSignal, 'timeout').mockReturnValueOnce(late.signal);
  const next = takePlace(never, locks);
  late.abort();
  await expect(next).rejects.toBeInstanceOf(ApiFailure);
  expect(locks.asked).toBe(placesMax);
});

test('who leaves while waiting takes no place', async () => {
  const locks = new Locks();
  const leave = await takePlace(never, locks);
  const left = new AbortController();
  for (let i = 1; i < placesMax; i += 1) await takePlace(never, locks);
  const next = takePlace(left.signal, locks);
  left.abort();
  await expect(next).rejects.toMatchObject({ name: 'AbortError' });
  leave();
  await vi.advanceTimersByTimeAsync(0);
  expect(locks.asked).toBe(placesMax - 1);
});

test('without locks there is no bound', async () => {
  for (let i = 0; i <= placesMax; i += 1) await takePlace(never, undefined);
});
