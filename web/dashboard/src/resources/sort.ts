// The order of a table's rows: by one column, and back.

export interface Order {
  readonly by: string;
  readonly down: boolean;
}

export type SortValue = string | number | null;

export function sorted<T>(rows: readonly T[], value: (row: T) => SortValue, down: boolean): T[] {
  const compared = (a: T, b: T) => {
    const [x, y] = [value(a), value(b)];
    // What is not known stands last either way.
    if (x === null || y === null) return x === y ? 0 : x === null ? 1 : -1;
    const order = typeof x === 'number' && typeof y === 'number' ? x - y : String(x).localeCompare(String(y));
    return down ? -order : order;
  };
  return rows.toSorted(compared);
}

export function parseOrder(text: string | null): Order | undefined {
  if (text === null || text === '') return undefined;
  return text.startsWith('-') ? { by: text.slice(1), down: true } : { by: text, down: false };
}

export function nextOrder(current: Order | undefined, by: string): string {
  if (current?.by !== by) return by;
  return current.down ? '' : `-${by}`;
}
