import { expect, test } from 'vitest';
import type { LogLine, Page } from '../api/types';
import { line } from '../testkit';
import { heldMax, LiveList, pageSize, type Where } from './liveList';

/** A host that has the lines 1 to `newest`, and counts what it was asked. */
class Host {
  readonly asked: Where[] = [];
  broken = false;
  constructor(public newest: number) {}

  page = async (where: Where): Promise<Page<LogLine>> => {
    this.asked.push(where);
    if (this.broken) throw new Error('broken');
    const before =
      where.at === 'newest'
        ? this.newest + 1
        : where.at === 'cursor'
          ? Number(where.before)
          : Math.ceil(where.until / 10);
    const items: LogLine[] = [];
    for (let id = before - 1; id > 0 && items.length < pageSize; id -= 1) items.push(line(id));
    const last = items.at(-1)?.id ?? 1;
    return { items, next: last > 1 ? String(last) : null };
  };
}

function listOf(host: Host) {
  const list = new LiveList<LogLine>(
    { page: host.page, key: (item) => String(item.id), time: (item) => item.time },
    0,
  );
  list.open();
  return list;
}

/** All that is under way is answered by microtasks. */
async function settle(list: LiveList<LogLine>) {
  do await Promise.resolve();
  while (list.loading);
  for (let i = 0; i < 10; i += 1) await Promise.resolve();
}

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
  expect(ids(list)).toEqual(Array.from({ length: 1200 }, (_, row) => 1200 - row));
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
  list.opened();
  for (let id = 2101; id <= 2600; id += 1) list.push(line(id));
  expect(list.epoch).toBe(1);
  while (!list.complete) {
    list.look(list.length - 1, list.length - 1);
    await settle(list);
  }
  expect(ids(list)).toEqual(Array.from({ length: 2600 }, (_, row) => 2600 - row));
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
  // The beginning was let go, and comes back when it is looked at.
  expect(list.at(0)).toBeUndefined();
  list.look(0, 40);
  await settle(list);
  expect(list.at(40)?.id).toBe(999_960);
  expect(list.held).toBeLessThanOrEqual(heldMax);
});

test('the first page comes back as it was, whatever came before it since', async () => {
  const host = new Host(100_000);
  const list = listOf(host);
  list.readOn();
  await settle(list);
  list.opened();
  for (let id = 100_001; id <= 100_050; id += 1) list.push(line(id));
  host.newest = 100_050;
  while (list.length < 30_000) {
    list.look(list.length - 40, list.length - 1);
    await settle(list);
  }
  expect(list.at(60)).toBeUndefined();
  // The stream comes back and repeats its last 500 items.
  list.opened();
  for (let id = 99_552; id <= 100_051; id += 1) list.push(line(id));
  host.newest = 100_051;
  list.look(0, 600);
  await settle(list);
  expect(ids(list).slice(0, 900)).toEqual(Array.from({ length: 900 }, (_, row) => 100_051 - row));
});

test('the first page comes back also when more has come since than a page holds', async () => {
  const host = new Host(100_000);
  const list = listOf(host);
  list.readOn();
  await settle(list);
  for (let id = 100_001; id <= 100_700; id += 1) list.push(line(id));
  host.newest = 100_700;
  while (list.length < 30_000) {
    list.look(list.length - 40, list.length - 1);
    await settle(list);
  }
  expect(list.at(800)).toBeUndefined();
  list.look(600, 1300);
  await settle(list);
  expect(ids(list).slice(0, 1200)).toEqual(Array.from({ length: 1200 }, (_, row) => 100_700 - row));
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
  const { length } = list;
  list.look(length - 1, length - 1);
  await settle(list);
  expect(list.length).toBe(length + pageSize - 1);
  expect(ids(list)).toEqual(Array.from({ length: list.length }, (_, row) => 30_100 - row));
});

test('a cleared view shows only what comes later', async () => {
  const list = listOf(new Host(50));
  list.readOn();
  await settle(list);
  list.clear(500);
  list.opened();
  for (let id = 40; id <= 52; id += 1) list.push(line(id));
  expect(ids(list)).toEqual([52, 51]);
  expect(list.complete).toBe(true);
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
