// What a request is called: the name of its span has the route, which stands for many addresses.

/** `GET /weather` as `GET /weather/nope`, where it is known what was asked for. */
export function asked(name: string, path: string | null | undefined): string {
  if (path === null || path === undefined) return name;
  const [method] = name.split(' ', 1);
  return `${method} ${path}`;
}
