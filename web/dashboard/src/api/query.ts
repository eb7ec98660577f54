// The query of an address. Absent values are left out, lists repeat their key.

export type QueryValue = string | number | boolean | null | undefined | readonly string[];
export type Query = Readonly<Record<string, QueryValue>>;

export function withQuery(path: string, query: Query = {}): string {
  const pairs = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value === undefined || value === null || value === '') continue;
    const values = typeof value === 'object' ? value : [String(value)];
    for (const one of values) pairs.append(key, one);
  }
  const text = pairs.toString();
  return text === '' ? path : `${path}?${text}`;
}
