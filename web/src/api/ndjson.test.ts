// The seed's reader parsed chunks as if they were lines. These tests cut the stream everywhere.
import { describe, expect, test } from 'vitest';
import { ErrorLine, LineTooLong, MalformedLine, readNdjson } from './ndjson';

const bytes = (text: string) => new TextEncoder().encode(text);

async function read(chunks: Uint8Array[], lineMax?: number): Promise<unknown[]> {
  const lines: unknown[] = [];
  for await (const line of readNdjson(chunks, lineMax)) lines.push(line);
  return lines;
}

describe('readNdjson', () => {
  const objects = [
    { message: { content: 'Grüße, 世界 🌦️' }, done: false },
    { message: { content: 'line\nbreak inside' }, done: false },
    { message: { content: '' }, done: true, eval_count: 3 },
  ];
  const whole = bytes(objects.map((object) => JSON.stringify(object)).join('\n') + '\n');

  test('gives the same lines wherever one cut falls', async () => {
    for (let cut = 0; cut <= whole.length; cut += 1) {
      expect(await read([whole.subarray(0, cut), whole.subarray(cut)])).toEqual(objects);
    }
  });

  test('gives the same lines when every byte comes alone', async () => {
    expect(await read([...whole].map((byte) => Uint8Array.of(byte)))).toEqual(objects);
  });

  test('flushes a last line that has no newline, at every cut', async () => {
    const unterminated = whole.subarray(0, -1);
    for (let cut = 0; cut <= unterminated.length; cut += 1) {
      const chunks = [unterminated.subarray(0, cut), unterminated.subarray(cut)];
      expect(await read(chunks)).toEqual(objects);
    }
  });

  test('skips blank lines and takes CRLF', async () => {
    expect(await read([bytes('\n{"a":1}\r\n\r\n\n{"a":2}\n')])).toEqual([{ a: 1 }, { a: 2 }]);
  });

  test('an empty stream has no lines', async () => {
    expect(await read([])).toEqual([]);
    expect(await read([new Uint8Array()])).toEqual([]);
  });
});

describe('readNdjson throws', () => {
  async function linesBeforeError(text: string) {
    const lines: unknown[] = [];
    try {
      for await (const line of readNdjson([bytes(text)])) lines.push(line);
    } catch (error) {
      return { lines, error };
    }
    return { lines, error: undefined };
  }

  test.each([
    ['first', '{"error":"no such model"}\n{"a":1}\n', 0],
    ['in the middle', '{"a":1}\n{"error":"no such model"}\n{"a":2}\n', 1],
    ['last and unterminated', '{"a":1}\n{"a":2}\n{"error":"no such model"}', 2],
  ])('the text of an error line that comes %s', async (_place, text, before) => {
    const { lines, error } = await linesBeforeError(text);
    expect(lines).toHaveLength(before);
    expect(error).toBeInstanceOf(ErrorLine);
    expect((error as Error).message).toBe('no such model');
  });

  test('an error that is an object, as text', async () => {
    const { error } = await linesBeforeError('{"error":{"message":"odd"}}\n');
    expect((error as Error).message).toBe('{"message":"odd"}');
  });

  test.each(['{"a":', 'hello', '[1]', '"text"', 'null', '7'])('on the line %s', async (line) => {
    const { lines, error } = await linesBeforeError(`{"a":1}\n${line}\n`);
    expect(lines).toEqual([{ a: 1 }]);
    expect(error).toBeInstanceOf(MalformedLine);
  });

  test('on bytes that are not UTF-8', async () => {
    await expect(read([Uint8Array.of(0x22, 0xff, 0x22, 0x0a)])).rejects.toBeInstanceOf(MalformedLine);
  });

  test('on a line past the cap, without waiting for its end', async () => {
    const line = bytes(`{"a":"${'x'.repeat(92)}"}`);
    expect(line).toHaveLength(100);
    expect(await read([line], 100)).toHaveLength(1);
    await expect(read([line], 99)).rejects.toBeInstanceOf(LineTooLong);
    const endless = Array.from({ length: 11 }, () => new Uint8Array(10).fill(0x20));
    await expect(read(endless, 100)).rejects.toBeInstanceOf(LineTooLong);
  });

  test('the cap is per line, not per stream', async () => {
    expect(await read([bytes('{"a":1}\n'.repeat(50))], 10)).toHaveLength(50);
  });
});
