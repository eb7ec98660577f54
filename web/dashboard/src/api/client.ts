// The only place that sends requests. Addresses are relative to the page, so the dashboard works
// below any prefix. An abort is passed on as it is: the caller asked for it and knows.
import { ApiFailure, fromAnswer, unreachable } from './failure';
import { takePlace } from './places';
import { type Query, withQuery } from './query';
import type { Session } from './types';

let csrf = '';
const signedOutListeners = new Set<() => void>();

/** Called when the control plane says that nobody is signed in here (401). */
export function onSignedOut(listener: () => void): () => void {
  signedOutListeners.add(listener);
  return () => signedOutListeners.delete(listener);
}

export async function openSession(signal: AbortSignal): Promise<Session> {
  const session = await getJson<Session>('api/session', {}, signal);
  csrf = session.csrf;
  return session;
}

/** The host answers within some seconds, or says why not; what takes longer is lost on the way. */
const answerMs = 60_000;

export async function getJson<T>(path: string, query?: Query, signal?: AbortSignal): Promise<T> {
  const late = AbortSignal.timeout(answerMs);
  const either = signal ? AbortSignal.any([signal, late]) : late;
  try {
    return (await parsed(await request(path, query, init('GET', either)))) as T;
  } catch (error) {
    if (!late.aborted || signal?.aborted) throw error;
    throw new ApiFailure(null, 'The control plane did not answer within a minute');
  }
}

export async function getText(path: string, signal?: AbortSignal): Promise<string> {
  const response = await request(path, {}, init('GET', signal));
  return response.text();
}

export async function sendJson<T>(
  method: 'POST' | 'DELETE',
  path: string,
  query?: Query,
  body?: unknown,
  signal?: AbortSignal,
): Promise<T> {
  const options = init(method, signal);
  options.headers = { 'X-CSRF-Token': csrf };
  if (body !== undefined) {
    options.headers['Content-Type'] = 'application/json';
    options.body = JSON.stringify(body);
  }
  return (await parsed(await request(path, query, options))) as T;
}

/**
 * The body of an answer as it comes, after an empty chunk that says that it has begun. Leaving the
 * loop early closes the connection.
 */
export async function* getStream(
  path: string,
  query: Query,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const response = await request(path, query, init('GET', signal));
  yield new Uint8Array(0);
  if (!response.body) return;
  const reader = response.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } catch (error) {
    if (signal.aborted) throw error;
    throw new ApiFailure(null, 'The connection was lost');
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

const newline = new TextEncoder().encode('\n');

/** A question that is asked again and again, as a stream with a line for each answer. Holds no connection in between. */
export async function* getAgain(
  path: string,
  everyMs: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  for (;;) {
    yield* getStream(path, {}, signal);
    yield newline;
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}

/** A stream in one of the few places that all windows have for them. */
export async function* getPlacedStream(
  path: string,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const leave = await takePlace(signal);
  try {
    yield* getStream(path, {}, signal);
  } finally {
    leave();
  }
}

export interface Upload {
  readonly done: Promise<unknown>;
  cancel(): void;
}

/** Sends a file and tells how far it is, which fetch cannot. */
export function upload(path: string, query: Query, file: Blob, onProgress: (share: number) => void): Upload {
  const sending = new XMLHttpRequest();
  const done = new Promise<unknown>((resolve, reject) => {
    sending.upload.onprogress = (event) => {
      if (event.lengthComputable) onProgress(event.loaded / event.total);
    };
    sending.onload = () => {
      if (sending.status === 401) tellSignedOut();
      const verdict = sending.status === 422 ? jsonOrUndefined(sending.responseText) : undefined;
      if (isVerdict(verdict)) return resolve(verdict);
      if (sending.status >= 200 && sending.status < 300) {
        return resolve(jsonOrUndefined(sending.responseText));
      }
      reject(fromAnswer(sending.status, sending.statusText, sending.responseText));
    };
    sending.onerror = () => reject(unreachable());
    sending.onabort = () => reject(new DOMException('cancelled', 'AbortError'));
  });
  sending.open('POST', withQuery(path, query));
  sending.setRequestHeader('X-CSRF-Token', csrf);
  sending.setRequestHeader('Content-Type', 'application/wasm');
  sending.send(file);
  return { done, cancel: () => sending.abort() };
}

/** A rejected version is an answer (422 with the attempt), not a failure of the request. */
function isVerdict(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'verdict' in value;
}

type Init = RequestInit & { headers?: Record<string, string> };

function init(method: string, signal?: AbortSignal): Init {
  // A session cookie is enough; nothing may be kept, since everything here is live.
  const base: Init = { method, cache: 'no-store', credentials: 'same-origin' };
  if (signal) base.signal = signal;
  return base;
}

async function request(path: string, query: Query | undefined, options: Init): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(withQuery(path, query), options);
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw unreachable(error);
  }
  if (response.ok) return response;
  if (response.status === 401) tellSignedOut();
  throw fromAnswer(response.status, response.statusText, await response.text().catch(() => ''));
}

async function parsed(response: Response): Promise<unknown> {
  const body = await response.text();
  if (body === '') return undefined;
  const value = jsonOrUndefined(body);
  if (value === undefined) {
    throw new ApiFailure(response.status, 'The answer is not one of the control plane', 'It is not JSON.');
  }
  return value;
}

function jsonOrUndefined(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

function tellSignedOut() {
  for (const listener of signedOutListeners) listener();
}
