// What is shown, as text: `#/traces/ID?span=x`. Every page can be linked to and gone back to.
//
// The part behind `#` never reaches a server, so the page works wherever its files are served.

export const pages = ['resources', 'console', 'logs', 'traces', 'metrics', 'versions', 'recordings'] as const;
export type PageName = (typeof pages)[number];

export interface Route {
  readonly page: PageName;
  /** A service, a trace, an instrument; whatever the page shows one of. */
  readonly subject: string | undefined;
  readonly query: URLSearchParams;
}

export function parseRoute(hash: string): Route {
  const text = hash.replace(/^#?\/?/, '');
  const question = text.indexOf('?');
  const path = question < 0 ? text : text.slice(0, question);
  const query = new URLSearchParams(question < 0 ? '' : text.slice(question + 1));
  const slash = path.indexOf('/');
  const name = slash < 0 ? path : path.slice(0, slash);
  const page = pages.find((known) => known === name) ?? 'resources';
  const rest = slash < 0 ? '' : path.slice(slash + 1);
  return { page, subject: rest === '' ? undefined : decoded(rest), query };
}

export type Params = Readonly<Record<string, string | readonly string[] | boolean | undefined>>;

export function formatRoute(page: PageName, subject?: string, params: Params = {}): string {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) put(query, key, value);
  return join(page, subject, query);
}

/** The same page with some parameters replaced; undefined, false and empty take them away. */
export function withParams(route: Route, params: Params): string {
  const query = new URLSearchParams(route.query);
  for (const [key, value] of Object.entries(params)) {
    query.delete(key);
    put(query, key, value);
  }
  return join(route.page, route.subject, query);
}

function put(query: URLSearchParams, key: string, value: Params[string]) {
  if (value === undefined || value === false || value === '') return;
  const values = typeof value === 'object' ? value : [value === true ? 'true' : value];
  for (const one of values) query.append(key, one);
}

function join(page: PageName, subject: string | undefined, query: URLSearchParams): string {
  const path = subject === undefined ? `#/${page}` : `#/${page}/${encodeURIComponent(subject)}`;
  const text = query.toString();
  return text === '' ? path : `${path}?${text}`;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // A hand-typed address with a stray percent sign.
    return text;
  }
}
