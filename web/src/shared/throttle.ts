// Streams deliver more often than a page is worth redrawing. Keeps the newest value and hands it
// over at most once per interval, at once when idle.

export interface Throttle<T> {
  offer(value: T): void;
  /** Hands over what is waiting now, so that an end is never shown late. */
  flush(): void;
}

export function throttle<T>(intervalMs: number, deliver: (value: T) => void): Throttle<T> {
  let waiting: { value: T } | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const deliverWaiting = () => {
    timer = undefined;
    if (!waiting) return;
    const { value } = waiting;
    waiting = undefined;
    timer = setTimeout(deliverWaiting, intervalMs);
    deliver(value);
  };
  return {
    offer(value) {
      waiting = { value };
      if (timer === undefined) deliverWaiting();
    },
    flush() {
      clearTimeout(timer);
      deliverWaiting();
    },
  };
}
