import { expect, test } from 'vitest';
import type { LogLine, Page } from '../api/types';
import { line } from '../testkit';
import { heldMax, LiveList, pageSize, type Where } from './liveList';

/** A host that has the lines 1 to `newest`, and counts what it was asked. */
class Host {
  readonly asked: Where[] = [];
  broken = false;
  constructor(
    public newest: number,
    private readonly timeOf: (id: number) => number = (id) => id * 10,
  ) {}

  line = (id: number) => line(id, { time: this.timeOf(id) });

  page = async (where: Where): Promise<Page<LogLine>> => {
    this.asked.push(where);
    if (this.broken) throw new Error('broken');
    const before = where.at === 'newest' ? this.newest + 1 : Number(where.before);
    const items: LogLine[] = [];
    for (let id = before - 1; id > 0 && items.length < pageSize; id -= 1) items.push(this.line(id));
    const last = items.at(-1)?.id ?? 1;
    return { items, next: last > 1 ? String(last) : null };
  };
}

function listOf(host: Host) {
  const list = new LiveList<LogLine>({ page: host.page, key: (item) => String(item.id) }, 0);
  list.open();
  return list;
}

/** All that is under way is answered by microtasks. */
async function settle(list: LiveList<LogLine>) {
  do await Promise.resolve();
  while (list.loading);
  for (let i = 0; i < 10; i += 1) await Promise.resolve();
}

/** A stream begins with the newest that there are, oldest first. */
function open(list: LiveList<LogLine>, host: Host) {
  list.opened();
  for (let id = Math.max(1, host.newest - pageSize + 1); id <= host.newest; id += 1) list.push(host.line(id));
}

async function readToEnd(list: LiveList<LogLine>) {
  while (!list.complete) {
    list.look(list.length - 1, list.length - 1);
    await settle(list);
  }
}

const down = (from: number, to = 1) => Array.from({ length: from - to + 1 }, (_, row) => from - row);
const ids = (list: LiveList<LogLine>) => Array.from({ length: list.length }, (_, row) => list.at(row)?.id);

test('reads the newest page, and on near its end', async () => {
  const list = listOf(new Host(1200));
  list.readOn();
  await settle(list);
  expect([list.length, list.at(0)?.id, list.complete]).toEqual([500, 1200, false]);
  list.look(100, 400);
  await settle(list);
  expect(list.length).toBe(500);
  list.look(420, 470);
  await settle(list);
  expect(list.length).toBe(1000);
  list.look(970, 999);
  await settle(list);
  expect([list.length, list.complete]).toEqual([1200, true]);
  expect(ids(list)).toEqual(down(1200));
});

test('what the stream repeats is known, what is new comes first', async () => {
  const host = new Host(20);
  const list = listOf(host);
  list.readOn();
  await settle(list);
  list.opened();
  for (let id = 15; id <= 23; id += 1) list.push(line(id));
  expect(list.length).toBe(23);
  expect(list.at(0)?.id).toBe(23);
  expect(list.prepended).toBe(3);
});

test('an item that comes again takes the place of the old one', async () => {
  const list = listOf(new Host(3));
  list.readOn();
  await settle(list);
  list.push(line(4));
  list.push(line(4, { message: 'newer' }));
  list.push(line(2, { message: 'newer' }));
  expect(ids(list)).toEqual([4, 3, 2, 1]);
  expect([list.at(0)?.message, list.at(2)?.message]).toEqual(['newer', 'newer']);
});

test('after a hole in the stream nothing is missing', async () => {
  const host = new Host(600);
  const list = listOf(host);
  list.readOn();
  await settle(list);
  // The stream was lost; meanwhile 2,000 lines came, of which it repeats the last 500.
  host.newest = 2600;
  open(list, host);
  expect(list.epoch).toBe(1);
  await readToEnd(list);
  expect(ids(list)).toEqual(down(2600));
});

test('after a hole nothing is missing also when the clock of the host was set back', async () => {
  const host = new Host(600, (id) => (id <= 600 ? 1_000_000 + id : id));
  const list = listOf(host);
  list.readOn();
  await settle(list);
  host.newest = 2600;
  open(list, host);
  await readToEnd(list);
  expect(ids(list)).toEqual(down(2600));
});

test('behind a hole only what is in sight is read', async () => {
  const host = new Host(20_000);
  const list = listOf(host);
  list.readOn();
  await settle(list);
  while (list.length < 6000) {
    list.look(list.length - 40, list.length - 1);
    await settle(list);
  }
  host.newest = 30_000;
  const before = host.asked.length;
  open(list, host);
  list.readOn();
  await settle(list);
  expect(host.asked.length - before).toBe(1);
});

test('what comes while a hole is read stays in order', async () => {
  const host = new Host(600);
  const list = listOf(host);
  list.readOn();
  await settle(list);
  host.newest = 2600;
  open(list, host);
  // The page knows more than the stream has brought so far.
  host.newest = 4000;
  list.readOn();
  await settle(list);
  for (let id = 2601; id <= 4000; id += 1) list.push(host.line(id));
  await readToEnd(list);
  expect(ids(list)).toEqual(down(4000));
});

test('a page that was asked for before a hole is no part of the list behind it', async () => {
  const host = new Host(2600);
  const list = listOf(host);
  list.readOn();
  await settle(list);
  list.look(470, 499);
  expect(list.loading).toBe(true);
  host.newest = 9000;
  open(list, host);
  await settle(list);
  await readToEnd(list);
  expect(ids(list)).toEqual(down(9000));
});

test('a million lines are scrolled through with ten thousand in memory', async () => {
  const list = listOf(new Host(1_000_000));
  list.readOn();
  await settle(list);
  let most = 0;
  while (list.length < 100_000) {
    list.look(list.length - 40, list.length - 1);
    await settle(list);
    most = Math.max(most, list.held);
  }
  expect(most).toBeLessThanOrEqual(heldMax);
  expect(list.at(list.length - 1)?.id).toBe(1_000_000 - list.length + 1);
  // What is read again first stays; what follows was let go, and comes back when it is looked at.
  expect(list.at(999)?.id).toBe(999_001);
  expect(list.at(1000)).toBeUndefined();
  list.look(1000, 1040);
  await settle(list);
  expect(list.at(1040)?.id).toBe(998_960);
  expect(list.held).toBeLessThanOrEqual(heldMax);
});

test('a page comes back as it was, whatever came before it since', async () => {
  const host = new Host(100_000);
  const list = listOf(host);
  list.readOn();
  await settle(list);
  open(list, host);
  for (let id = 100_001; id <= 100_700; id += 1) list.push(line(id));
  host.newest = 100_700;
  while (list.length < 30_000) {
    list.look(list.length - 40, list.length - 1);
    await settle(list);
  }
  expect(list.at(1800)).toBeUndefined();
  // The stream comes back and repeats its last 500 items.
  host.newest = 100_701;
  open(list, host);
  list.look(1600, 2300);
  await settle(list);
  expect(list.epoch).toBe(0);
  expect(ids(list).slice(0, 2200)).toEqual(down(100_701, 98_502));
});

test('a flood of new lines is bounded, and what it pushed out can be read again', async () => {
  const host = new Host(100);
  const list = listOf(host);
  list.readOn();
  await settle(list);
  for (let id = 101; id <= 30_100; id += 1) list.push(line(id));
  host.newest = 30_100;
  expect(list.held).toBeLessThanOrEqual(heldMax + pageSize);
  expect(list.at(0)?.id).toBe(30_100);
  await readToEnd(list);
  expect(list.held).toBeLessThanOrEqual(heldMax + 4 * pageSize);
  expect(list.length).toBe(30_100);
  for (let row = 0; row < list.length; row += 1000) {
    list.look(row, row + 40);
    await settle(list);
    expect(list.at(row)?.id).toBe(30_100 - row);
    expect(list.held).toBeLessThanOrEqual(heldMax + 4 * pageSize);
  }
});

test('a cleared view shows only what comes later, whatever the clocks say', async () => {
  const host = new Host(50, (id) => -id);
  const list = listOf(host);
  list.readOn();
  await settle(list);
  list.clear();
  expect([list.length, list.complete]).toEqual([0, true]);
  open(list, host);
  for (let id = 51; id <= 52; id += 1) list.push(host.line(id));
  expect(ids(list)).toEqual([52, 51]);
  // Cleared once more, with what was cleared before it still in the stream's beginning.
  list.clear();
  host.newest = 53;
  open(list, host);
  expect(ids(list)).toEqual([53]);
  expect(list.complete).toBe(true);
});

test('a cleared view is read back to where it was cleared', async () => {
  const host = new Host(700);
  const list = listOf(host);
  list.readOn();
  await settle(list);
  list.clear();
  host.newest = 1900;
  open(list, host);
  await readToEnd(list);
  expect(ids(list)).toEqual(down(1900, 701));
});

test('a failure is kept until it is tried again', async () => {
  const host = new Host(10);
  host.broken = true;
  const list = listOf(host);
  list.readOn();
  await settle(list);
  expect(list.failure?.title).toBeDefined();
  list.look(0, 0);
  expect(host.asked).toHaveLength(1);
  host.broken = false;
  list.retry();
  await settle(list);
  expect([list.failure, list.length]).toEqual([undefined, 10]);
});
