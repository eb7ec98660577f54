// The only place that calls fetch. Turns its many ways to fail into the errors of `failure.ts`.
//
// Addresses are relative to the page, so the app works under any prefix. An abort is passed on as
// it is: the caller asked for it and knows.
import { ConnectionLost, httpError, UnexpectedAnswer, Unreachable } from './failure';
import { type JsonObject, readNdjson } from './ndjson';
import { type Span, tracing } from './trace';

export async function getJson(address: string, signal: AbortSignal): Promise<unknown> {
  const span = tracing.begin('GET', address);
  try {
    const response = await request(address, { signal }, span);
    const body = await bodyText(response, signal);
    try {
      return JSON.parse(body);
    } catch {
      throw new UnexpectedAnswer('The body is not JSON');
    }
  } catch (error) {
    if (!signal.aborted) span.failed(error);
    throw error;
  } finally {
    span.end();
  }
}

/** Streams the lines of the answer. Leaving the loop early closes the connection. */
export async function* postForLines(
  address: string,
  body: JsonObject,
  signal: AbortSignal,
): AsyncGenerator<JsonObject, void, undefined> {
  const span = tracing.begin('POST', address);
  try {
    const headers = { 'Content-Type': 'application/json' };
    const init = { method: 'POST', headers, body: JSON.stringify(body), signal };
    const response = await request(address, init, span);
    if (response.body) yield* readNdjson(chunksOf(response.body, signal));
  } catch (error) {
    // Who stops an answer got what they wanted.
    if (!signal.aborted) span.failed(error);
    throw error;
  } finally {
    span.end();
  }
}

interface Init {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal: AbortSignal;
}

async function request(address: string, init: Init, span: Span) {
  const headers = { ...init.headers, ...span.headers };
  let response: Response;
  try {
    response = await fetch(address, { ...init, headers, cache: 'no-store' });
  } catch (error) {
    if (init.signal.aborted) throw error;
    throw new Unreachable('fetch failed', { cause: error });
  }
  span.answered(response.status);
  if (response.ok) return response;
  throw httpError(
    response.status,
    response.statusText,
    response.headers.get('Retry-After'),
    await bodyText(response, init.signal),
  );
}

async function bodyText(response: Response, signal: AbortSignal): Promise<string> {
  try {
    return await response.text();
  } catch (error) {
    if (signal.aborted) throw error;
    throw new ConnectionLost('The body broke off', { cause: error });
  }
}

/** Not every browser can iterate a ReadableStream, so this does it by its reader. */
async function* chunksOf(stream: ReadableStream<Uint8Array>, signal: AbortSignal) {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } catch (error) {
    if (signal.aborted) throw error;
    throw new ConnectionLost('The stream broke off', { cause: error });
  } finally {
    // After an error line nobody reads on; without this the server would keep on producing.
    await reader.cancel().catch(() => undefined);
  }
}
