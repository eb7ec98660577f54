// A long list of which only a part is held: newest first, growing at its head while it is
// followed, read on page by page at its other end, and never more than `heldMax` items in memory.
//
// Pages that are out of sight are let go and remembered by the cursor that brings them back. What is
// known is known by its key and never by its time: clocks are set, and the browser's is another one.
// Knows nothing of React: it has a version and listeners.
import { asFailure, type ApiFailure, isAbort } from '../api/failure';
import type { Page } from '../api/types';

export interface Source<T> {
  /** One page, newest first. */
  page(where: Where, signal: AbortSignal): Promise<Page<T>>;
  key(item: T): string;
}

/** Where a page begins: at the newest, or behind what a cursor says. */
export type Where = { readonly at: 'newest' } | { readonly at: 'cursor'; readonly before: string };

/** What is read next. */
interface Next {
  readonly where: Where;
  /** It begins above what is held: until something known comes, the stream brings what is in it. */
  readonly above: boolean;
}

/** With the pages that are never let go, and those in sight, there may be four pages more. */
export const heldMax = 10_000;
export const pageSize = 500;
/** The first pages are never let go: a stream that comes back repeats them, and the first has no cursor. */
const keptPages = 2;
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
  private older: Next | null = { where: { at: 'newest' }, above: false };
  /** The newest that were cleared away, newest first: what is older was cleared with them. */
  private cleared: ReadonlySet<string> = new Set();
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
    const first = this.firstAfterOpen;
    this.firstAfterOpen = false;
    if (this.cleared.has(key)) return;
    if (this.keys.has(key)) {
      this.replace(key, item);
      return;
    }
    // The stream begins behind what is held: show what is new, and read on from there.
    if (first) this.forget(fromNewest());
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
  clear() {
    const newest: string[] = [];
    for (const item of this.items()) {
      newest.push(this.source.key(item));
      if (newest.length === pageSize) break;
    }
    this.cleared = new Set([...newest, ...this.cleared].slice(0, pageSize));
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

  private forget(older: Next | null) {
    this.live = [];
    this.pages = [];
    this.keys.clear();
    this.older = older;
    this.seen = [0, 0];
    this.prepended = 0;
    this.appended = 0;
    this.epoch += 1;
  }

  private dropOldest() {
    this.appended -= this.length - heldMax;
    this.pages = [];
    this.live = this.live.slice(-heldMax);
    this.keys = new Set(this.live.map((item) => this.source.key(item)));
    // No cursor leads behind it: to see that, what is held is gone through once.
    this.older = fromNewest();
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

  private async next(older: Next) {
    this.loading = true;
    const { signal } = this.abort;
    this.changed();
    try {
      const page = await this.source.page(older.where, signal);
      // Something else may be read next by now: then this page is no part of the list.
      if (!signal.aborted && this.older === older) {
        this.take(page, older);
        this.letGo();
      }
    } catch (error) {
      if (!isAbort(error) && !signal.aborted && this.older === older) this.failure = asFailure(error);
    } finally {
      if (!signal.aborted) {
        this.loading = false;
        this.changed();
      }
    }
    // The page may have been short or of no use, or the window is still at the end.
    if (!signal.aborted && this.failure === undefined) this.look(...this.seen);
  }

  /** Puts what is new of a page behind the list. */
  private take(page: Page<T>, { where, above }: Next) {
    const items: T[] = [];
    let unmet = above;
    let wasCleared = false;
    for (const item of page.items) {
      const key = this.source.key(item);
      wasCleared = this.cleared.has(key);
      if (wasCleared) break;
      if (this.keys.has(key)) unmet = false;
      else if (!unmet) items.push(item);
    }
    for (const item of items) this.keys.add(this.source.key(item));
    const [first] = items;
    if (first !== undefined) {
      const { length } = items;
      this.pages.push({ where, first: this.source.key(first), length, items, loading: false });
    }
    this.appended += items.length;
    this.older =
      wasCleared || page.next === null
        ? null
        : { where: { at: 'cursor', before: page.next }, above: unmet };
  }

  private async reload(page: Held<T>) {
    page.loading = true;
    try {
      const answer = await this.source.page(page.where, this.abort.signal);
      if (!this.pages.includes(page)) return;
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
      for (const [index, page] of this.pages.entries()) {
        const away = Math.abs(start + page.length / 2 - middle);
        if (index >= keptPages && page.items && away > distance && away > page.length) {
          farthest = page;
          distance = away;
        }
        start += page.length;
      }
      if (!farthest?.items) return;
      for (const item of farthest.items) this.keys.delete(this.source.key(item));
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

/** Down from the newest, of which the stream has brought the first. */
function fromNewest(): Next {
  return { where: { at: 'newest' }, above: true };
}
