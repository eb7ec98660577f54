// What went wrong, in words for the person at the page: what happened, and why.

/** An answer of the control plane that is an error, or no answer at all (status null). */
export class ApiFailure extends Error {
  override readonly name = 'ApiFailure';
  constructor(
    readonly status: number | null,
    readonly title: string,
    readonly detail?: string,
  ) {
    super(title);
  }
}

export function unreachable(cause?: unknown): ApiFailure {
  const failure = new ApiFailure(
    null,
    'The control plane cannot be reached',
    'Check that wasm-host is still running, then try again.',
  );
  failure.cause = cause;
  return failure;
}

/** Reads the body of a failed answer: a problem document (RFC 9457), or whatever a proxy says. */
export function fromAnswer(status: number, statusText: string, body: string): ApiFailure {
  const problem = parseObject(body);
  const title = text(problem?.title) ?? `HTTP ${status} ${statusText}`.trim();
  // A rejected swap answers 422 with its verdict, which has a reason and no title.
  const detail = text(problem?.detail) ?? text(problem?.reason);
  return new ApiFailure(status, title, detail);
}

export function asFailure(error: unknown): ApiFailure {
  if (error instanceof ApiFailure) return error;
  return new ApiFailure(null, 'Something went wrong in this page', String(error));
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}

function parseObject(body: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
