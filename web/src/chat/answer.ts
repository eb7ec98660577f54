// One answer as it streams in: text so far, and the figures of the last line.
import { EndedEarly } from '../api/failure';
import { isObject, type JsonObject } from '../api/ndjson';

export interface Metrics {
  readonly tokensPerSecond: number;
  readonly firstTokenMs: number;
}

export interface Answer {
  readonly text: string;
  /** What a reasoning model thought before it answered. */
  readonly thinking: string;
  readonly done: boolean;
  readonly metrics: Metrics | undefined;
}

export const noAnswer: Answer = { text: '', thinking: '', done: false, metrics: undefined };

/**
 * Yields the answer after each line. An end without `done` throws: Ollama ends so when a model
 * loops on one token, and half a sentence must not pass for a whole one.
 */
export async function* readAnswer(
  lines: AsyncIterable<JsonObject>,
  nowMs: () => number,
): AsyncGenerator<Answer, void, undefined> {
  const startedMs = nowMs();
  let firstTokenMs: number | undefined;
  let answer = noAnswer;
  for await (const line of lines) {
    const message = isObject(line.message) ? line.message : {};
    const text = typeof message.content === 'string' ? message.content : '';
    const thinking = typeof message.thinking === 'string' ? message.thinking : '';
    if (firstTokenMs === undefined && (text !== '' || thinking !== '')) {
      firstTokenMs = nowMs() - startedMs;
    }
    answer = {
      // The last line may still carry text.
      text: answer.text + text,
      thinking: answer.thinking + thinking,
      done: answer.done || line.done === true,
      metrics: metricsOf(line, firstTokenMs) ?? answer.metrics,
    };
    yield answer;
  }
  if (!answer.done) throw new EndedEarly('the answer was cut off');
}

/** Ollama leaves counts of zero out, and no speed can be had from them. */
function metricsOf(line: JsonObject, firstTokenMs: number | undefined): Metrics | undefined {
  const { eval_count: tokens, eval_duration: nanoseconds } = line;
  if (typeof tokens !== 'number' || typeof nanoseconds !== 'number') return undefined;
  if (tokens <= 0 || nanoseconds <= 0 || firstTokenMs === undefined) return undefined;
  return { tokensPerSecond: (tokens / nanoseconds) * 1e9, firstTokenMs };
}
