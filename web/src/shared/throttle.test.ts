// The rate bound, and that the last value always arrives.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { throttle } from './throttle';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('delivers the first value at once, then the newest once per interval', () => {
  const seen: number[] = [];
  const updates = throttle<number>(250, (value) => seen.push(value));
  for (let tick = 0; tick < 100; tick += 1) {
    updates.offer(tick);
    vi.advanceTimersByTime(10);
  }
  vi.advanceTimersByTime(250);
  expect(seen).toEqual([0, 24, 49, 74, 99]);
});

test('flush delivers what waits, once', () => {
  const seen: string[] = [];
  const updates = throttle<string>(250, (value) => seen.push(value));
  updates.offer('first');
  updates.offer('last');
  updates.flush();
  updates.flush();
  vi.runAllTimers();
  expect(seen).toEqual(['first', 'last']);
});

test('is immediate again after a quiet interval', () => {
  const seen: number[] = [];
  const updates = throttle<number>(250, (value) => seen.push(value));
  updates.offer(1);
  vi.advanceTimersByTime(1000);
  updates.offer(2);
  expect(seen).toEqual([1, 2]);
});
