// Both error dialects, and bodies that are neither, must end as text somebody can act on.
import { describe, expect, test } from 'vitest';
import { ConnectionLost, describeFailure, EndedEarly, httpError, Unreachable } from './failure';
import { ErrorLine, MalformedLine } from './ndjson';

const failure = (status: number, body: string, retryAfter: string | null = null) =>
  describeFailure(httpError(status, 'Reason', retryAfter, body));

describe('a failed response', () => {
  test('that is a problem document', () => {
    const body = '{"type":"about:blank","title":"Database is down","detail":"42P01","requestId":"r1"}';
    expect(failure(503, body)).toEqual({ title: 'Database is down', detail: '42P01', requestId: 'r1' });
  });

  test('of Ollama', () => {
    expect(failure(500, '{"error":"out of memory"}').title).toBe('Out of memory');
  });

  test('says that a model is missing only when Ollama says so', () => {
    expect(failure(404, `{"error":"model 'x' not found"}`).modelMissing).toBe(true);
    expect(failure(404, '{"title":"No such route"}').modelMissing).toBeUndefined();
    expect(failure(500, '{"error":"boom"}').modelMissing).toBe(false);
  });

  test.each(['', '<h1>Bad gateway</h1>', '[]', 'null', '{"title":7}', '{"error":""}'])(
    'without a usable body falls back to the status: %j',
    (body) => expect(failure(502, body).title).toBe('HTTP 502 Reason'),
  );

  test('passes on when to come back', () => {
    expect(failure(503, '{"title":"Busy","detail":"Full."}', '2').detail).toBe('Full. Try again in 2 s.');
    expect(failure(503, '{"title":"Busy"}', 'Tue, 01 Jan 2030').detail).toBeUndefined();
  });
});

test.each([
  [new Unreachable('x'), 'The server cannot be reached'],
  [new ConnectionLost('x'), 'The connection was lost before the end'],
  [new ErrorLine('disk full'), 'Disk full'],
  [new EndedEarly('the answer was cut off'), 'The answer was cut off'],
  [new MalformedLine('x'), 'The server sent an answer this page does not understand'],
  [new Error('x'), 'Something went wrong in this page'],
])('%s has a title', (error, title) => {
  expect(describeFailure(error).title).toBe(title);
});
