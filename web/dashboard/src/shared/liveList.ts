// A long list of which only a part is held: newest first, growing at its head while it is
// followed, read on page by page at its other end, and never more than `heldMax` items in memory.
//
// Pages that are out of sight are let go and remembered by the cursor that brings them back.
// Knows nothing of React: it has a version and listeners.
import { asFailure, type ApiFailure, isAbort } from '../api/failure';
import type { Page } from '../api/types';

export interface Source<T> {
  /** One page, newest first. */
  page(where: Where, signal: AbortSignal): Promise<Page<T>>;
  key(item: T): string;
  time(item: T): number;
}

/** Where a page begins: at the newest, at a cursor, or at a time where a cursor was lost. */
export type Where =
  | { readonly at: 'newest' }
  | { readonly at: 'cursor'; readonly before: string }
  | { readonly at: 'time'; readonly until: number };

export const heldMax = 10_000;
export const pageSize = 500;
/** So near to the end of what is known the next page is asked for. */
const nearRows = 60;

interface Held<T> {
  /** Brings the page back: its beginning, whatever has come before it since. */
  readonly where: Where;
  /** The key of its first item; what an answer has before it is in other pages. */
  readonly first: string;
  length: number;
  items: readonly T[] | undefined;
  loading: boolean;
}

export class LiveList<T> {
  /** Oldest first, since that is where an array grows cheaply. */
  private live: T[] = [];
  private pages: Held<T>[] = [];
  private keys = new Set<string>();
  private older: Where | null = { at: 'newest' };
  private floor = -Infinity;
  private firstAfterOpen = false;
  private seen: readonly [number, number] = [0, 0];
  private readonly listeners = new Set<() => void>();
  private notifyTimer: ReturnType<typeof setTimeout> | undefined;
  private abort = new AbortController();

  version = 0;
  loading = false;
  failure: ApiFailure | undefined;
  /** Rows that came before the first one since the beginning: what a scroll position moves by. */
  prepended = 0;
  /** Rows that were added behind the last one, less those that were dropped there. */
  appended = 0;
  /** Counts up when the list is another one, and positions in it mean nothing any more. */
  epoch = 0;

  constructor(
    private readonly source: Source<T>,
    private readonly notifyMs = 100,
  ) {}

  readonly subscribe = (listener: () => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  get length(): number {
    return this.live.length + this.pages.reduce((sum, page) => sum + page.length, 0);
  }

  /** All that there is has been read. */
  get complete(): boolean {
    return this.older === null;
  }

  /** How many items are in memory. */
  get held(): number {
    return this.live.length + this.pages.reduce((sum, page) => sum + (page.items?.length ?? 0), 0);
  }

  /** The row, newest is 0; undefined while its page is not in memory. */
  at(index: number): T | undefined {
    if (index < this.live.length) return this.live[this.live.length - 1 - index];
    let rest = index - this.live.length;
    for (const page of this.pages) {
      if (rest < page.length) return page.items?.[rest];
      rest -= page.length;
    }
    return undefined;
  }

  /** What is in memory, newest first. */
  *items(): Generator<T> {
    for (let i = this.live.length - 1; i >= 0; i -= 1) yield this.live[i] as T;
    for (const page of this.pages) if (page.items) yield* page.items;
  }

  find(key: string): T | undefined {
    for (const item of this.items()) if (this.source.key(item) === key) return item;
    return undefined;
  }

  /** A stream was opened; the first item tells whether something was missed in between. */
  opened() {
    this.firstAfterOpen = true;
  }

  /** Takes an item of the stream, which may be known. */
  push(item: T) {
    const key = this.source.key(item);
    const known = this.keys.has(key);
    const first = this.firstAfterOpen;
    this.firstAfterOpen = false;
    if (this.source.time(item) <= this.floor) return;
    if (known) {
      this.replace(key, item);
      return;
    }
    const newest = this.newest();
    if (first && newest !== undefined && this.source.time(item) > this.source.time(newest)) {
      // The stream begins behind what is held: show what is new, and read on from there.
      this.forget({ at: 'time', until: this.source.time(item) + 1 });
    }
    this.live.push(item);
    this.keys.add(key);
    this.prepended += 1;
    if (this.live.length > heldMax + pageSize) this.dropOldest();
    this.changed();
  }

  /** Tells which rows are looked at: loads those, reads on near the end, lets others go. */
  look(from: number, to: number) {
    this.seen = [from, to];
    let start = this.live.length;
    for (const page of this.pages) {
      const end = start + page.length;
      if (!page.items && !page.loading && end > from && start <= to) void this.reload(page);
      start = end;
    }
    if (to >= this.length - nearRows) this.readOn();
  }

  /** Reads the next older page, unless it is being read or there is none. */
  readOn() {
    if (this.older !== null && !this.loading && this.failure === undefined) void this.next(this.older);
  }

  retry() {
    this.failure = undefined;
    this.readOn();
    this.changed();
  }

  /** Empties what is shown; only what comes later will be shown. */
  clear(now: number) {
    this.floor = now;
    this.forget(null);
    this.changed();
  }

  /** Requests run until the list is left; React may leave and come back (strict mode). */
  open(): () => void {
    if (this.abort.signal.aborted) {
      this.abort = new AbortController();
      this.loading = false;
    }
    return () => {
      this.abort.abort();
      clearTimeout(this.notifyTimer);
      this.notifyTimer = undefined;
    };
  }

  private newest(): T | undefined {
    return this.live.at(-1) ?? this.pages[0]?.items?.[0];
  }

  private forget(older: Where | null) {
    this.live = [];
    this.pages = [];
    this.keys.clear();
    this.older = older;
    this.prepended = 0;
    this.appended = 0;
    this.epoch += 1;
  }

  private dropOldest() {
    this.appended -= this.pages.reduce((sum, page) => sum + page.length, 0) + pageSize;
    this.pages = [];
    this.live = this.live.slice(-heldMax);
    this.keys = new Set(this.live.map((item) => this.source.key(item)));
    const oldest = this.live[0];
    // Its cursor is not known, but its time is; what is held already is left out of the page.
    if (oldest !== undefined) this.older = { at: 'time', until: this.source.time(oldest) + 1 };
  }

  private replace(key: string, item: T) {
    for (let i = this.live.length - 1; i >= 0; i -= 1) {
      if (this.source.key(this.live[i] as T) !== key) continue;
      this.live[i] = item;
      this.changed();
      return;
    }
    for (const page of this.pages) {
      const index = page.items?.findIndex((held) => this.source.key(held) === key) ?? -1;
      if (index < 0) continue;
      page.items = page.items?.with(index, item);
      this.changed();
      return;
    }
  }

  private async next(where: Where) {
    this.loading = true;
    const epoch = this.epoch;
    const { signal } = this.abort;
    this.changed();
    try {
      const page = await this.source.page(where, signal);
      if (signal.aborted || epoch !== this.epoch) return;
      const items = page.items.filter(
        (item) => !this.keys.has(this.source.key(item)) && this.source.time(item) > this.floor,
      );
      for (const item of items) this.keys.add(this.source.key(item));
      const [first] = items;
      if (first !== undefined) {
        const again: Where =
          where.at === 'cursor' ? where : { at: 'time', until: this.source.time(first) + 1 };
        const { length } = items;
        this.pages.push({ where: again, first: this.source.key(first), length, items, loading: false });
      }
      this.appended += items.length;
      this.older = page.next === null ? null : { at: 'cursor', before: page.next };
      this.letGo();
    } catch (error) {
      if (isAbort(error) || signal.aborted || epoch !== this.epoch) return;
      this.failure = asFailure(error);
    } finally {
      if (!signal.aborted) {
        this.loading = false;
        this.changed();
      }
    }
    // The page may have been short, or the window is still at the end.
    if (this.failure === undefined) this.look(...this.seen);
  }

  private async reload(page: Held<T>) {
    page.loading = true;
    try {
      const answer = await this.source.page(page.where, this.abort.signal);
      const start = answer.items.findIndex((item) => this.source.key(item) === page.first);
      const items = answer.items.slice(Math.max(0, start), Math.max(0, start) + page.length);
      page.length = items.length;
      page.items = items;
      for (const item of items) this.keys.add(this.source.key(item));
      this.letGo();
    } catch (error) {
      if (!isAbort(error)) this.failure = asFailure(error);
    } finally {
      page.loading = false;
      this.changed();
    }
  }

  /** Lets the pages go that are farthest from what is looked at. */
  private letGo() {
    const middle = (this.seen[0] + this.seen[1]) / 2;
    while (this.held > heldMax) {
      let farthest: Held<T> | undefined;
      let distance = -1;
      let start = this.live.length;
      for (const page of this.pages) {
        const away = Math.abs(start + page.length / 2 - middle);
        if (page.items && away > distance && away > page.length) {
          farthest = page;
          distance = away;
        }
        start += page.length;
      }
      if (!farthest?.items) return;
      // A stream that comes back repeats the newest items, which must be known also when they are
      // out of memory.
      if (!this.pages.slice(0, 2).includes(farthest)) {
        for (const item of farthest.items) this.keys.delete(this.source.key(item));
      }
      farthest.items = undefined;
    }
  }

  /** At once when idle, then at most once per interval: a flood must not redraw per line. */
  private changed() {
    this.version += 1;
    if (this.notifyTimer !== undefined) return;
    const told = this.version;
    this.notifyTimer = setTimeout(() => {
      this.notifyTimer = undefined;
      if (this.version !== told) this.changed();
    }, this.notifyMs);
    for (const listener of this.listeners) listener();
  }
}
