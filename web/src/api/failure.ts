// What went wrong, in words for the person at the page.
//
// Two error dialects reach us: RFC 9457 problem documents from the host and the weather service,
// `{"error": ...}` from Ollama. Both become one `Failure`, so every section shows them alike.
import { ErrorLine, isObject, LineTooLong, MalformedLine } from './ndjson';

export interface Failure {
  readonly title: string;
  readonly detail?: string | undefined;
  /** Lets whoever runs the host find the request in its log. */
  readonly requestId?: string | undefined;
  /** Ollama does not have the model; the way on is to pull it. */
  readonly modelMissing?: boolean | undefined;
}

/** A status outside 2xx. */
export class HttpError extends Error {
  override readonly name = 'HttpError';
  constructor(
    readonly status: number,
    readonly failure: Failure,
  ) {
    super(failure.title);
  }
}

/** No answer at all: the host is down or the network is. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable';
}

/** The answer had begun and its connection broke. */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost';
}

/** A clean end, before the line that should have been the last. */
export class EndedEarly extends Error {
  override readonly name = 'EndedEarly';
}

/** A 2xx whose body is not what the service promises. */
export class UnexpectedAnswer extends Error {
  override readonly name = 'UnexpectedAnswer';
}

/** Reads the body of a failed response, whatever dialect it speaks. */
export function httpError(
  status: number,
  statusText: string,
  retryAfter: string | null,
  body: string,
): HttpError {
  const fallback = `HTTP ${status} ${statusText}`.trim();
  const wait = retryAfter !== null && /^\d+$/.test(retryAfter) ? `Try again in ${retryAfter} s.` : undefined;
  const parsed = parseObject(body);

  if (typeof parsed?.error === 'string' && parsed.error !== '') {
    return new HttpError(status, {
      title: sentence(parsed.error),
      detail: wait,
      modelMissing: status === 404,
    });
  }
  const title = text(parsed?.title) ?? fallback;
  const detail = [text(parsed?.detail), wait].filter(Boolean).join(' ') || undefined;
  return new HttpError(status, { title, detail, requestId: text(parsed?.requestId) });
}

export function describeFailure(error: unknown): Failure {
  if (error instanceof HttpError) return error.failure;
  if (error instanceof Unreachable) {
    return { title: 'The server cannot be reached', detail: 'Check that it is running, then try again.' };
  }
  if (error instanceof ConnectionLost) return { title: 'The connection was lost before the end' };
  if (error instanceof ErrorLine || error instanceof EndedEarly) {
    return { title: sentence(error.message) };
  }
  if (
    error instanceof MalformedLine ||
    error instanceof LineTooLong ||
    error instanceof UnexpectedAnswer
  ) {
    return { title: 'The server sent an answer this page does not understand', detail: error.message };
  }
  return { title: 'Something went wrong in this page', detail: String(error) };
}

function parseObject(body: string) {
  try {
    const value: unknown = JSON.parse(body);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** Ollama's messages begin in lower case, ours do not; side by side that looks broken. */
function sentence(message: string): string {
  return message.charAt(0).toUpperCase() + message.slice(1);
}
