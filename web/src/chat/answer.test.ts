// The ends an answer can have, and which figures may be shown.
import { describe, expect, test } from 'vitest';
import { EndedEarly } from '../api/failure';
import type { JsonObject } from '../api/ndjson';
import { type Answer, readAnswer } from './answer';

const token = (content: string): JsonObject => ({ message: { role: 'assistant', content }, done: false });
const end = (figures: object = {}): JsonObject => ({ message: { content: '' }, done: true, ...figures });

async function read(lines: JsonObject[]): Promise<Answer[]> {
  let clockMs = 0;
  const stream = async function* () {
    for (const line of lines) {
      clockMs += 100;
      yield line;
    }
  };
  const answers: Answer[] = [];
  for await (const answer of readAnswer(stream(), () => clockMs)) answers.push(answer);
  return answers;
}

describe('readAnswer', () => {
  test('joins tokens as they are, without adding spaces', async () => {
    const answers = await read([token('wea'), token('ther'), token(' is'), end()]);
    expect(answers.map((answer) => answer.text)).toEqual(['wea', 'weather', 'weather is', 'weather is']);
    expect(answers.map((answer) => answer.done)).toEqual([false, false, false, true]);
  });

  test('takes text from the last line', async () => {
    const lines = [token('a'), { message: { content: 'b' }, done: true }];
    expect((await read(lines)).at(-1)?.text).toBe('ab');
  });

  test('keeps thinking apart', async () => {
    const lines = [{ message: { content: '', thinking: 'hm' } }, token('yes'), end()];
    expect((await read(lines)).at(-1)).toMatchObject({ text: 'yes', thinking: 'hm' });
  });

  test.each([[[]], [[token('half a')]]])('an end without done is a cut-off', async (lines) => {
    await expect(read(lines)).rejects.toBeInstanceOf(EndedEarly);
  });
});

describe('metrics', () => {
  const last = async (lines: JsonObject[]) => (await read(lines)).at(-1)?.metrics;

  test('come from the last line, the first token from the clock', async () => {
    const lines = [token(''), token('a'), end({ eval_count: 30, eval_duration: 1.5e9 })];
    expect(await last(lines)).toEqual({ tokensPerSecond: 20, firstTokenMs: 200 });
  });

  test.each([{}, { eval_count: 3 }, { eval_duration: 5 }, { eval_count: 0, eval_duration: 5 }])(
    'are absent with %j',
    async (figures) => expect(await last([token('a'), end(figures)])).toBeUndefined(),
  );

  test('are absent when no token came', async () => {
    expect(await last([end({ eval_count: 1, eval_duration: 1 })])).toBeUndefined();
  });
});
