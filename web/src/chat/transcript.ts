// Conversations, one per model, as plain values. Messages are addressed by id and never by place:
// in the seed, two streams wrote to "the last message" and overwrote what the user had said.
import type { Failure } from '../api/failure';
import { type Answer, noAnswer } from './answer';

export interface UserMessage {
  readonly id: string;
  readonly role: 'user';
  readonly text: string;
}

export type AnswerState = 'streaming' | 'complete' | 'stopped' | 'failed';

export interface AssistantMessage {
  readonly id: string;
  readonly role: 'assistant';
  readonly state: AnswerState;
  readonly answer: Answer;
  /** Set when failed, which includes "cut off". */
  readonly failure: Failure | undefined;
}

export type Message = UserMessage | AssistantMessage;
export type Transcripts = ReadonlyMap<string, readonly Message[]>;

export function messagesOf(transcripts: Transcripts, model: string): readonly Message[] {
  return transcripts.get(model) ?? [];
}

/** Adds a question and the empty answer that will stream into `answerId`. */
export function ask(
  transcripts: Transcripts,
  model: string,
  prompt: string,
  ids: { readonly question: string; readonly answer: string },
): Transcripts {
  return withMessages(transcripts, model, [
    ...messagesOf(transcripts, model),
    { id: ids.question, role: 'user', text: prompt },
    streaming(ids.answer),
  ]);
}

/** Empties an answer that is to be tried again, in its old place. */
export function restart(transcripts: Transcripts, model: string, answerId: string): Transcripts {
  return update(transcripts, model, answerId, streaming(answerId));
}

/** A message that is gone (its conversation was cleared) stays gone. */
export function update(
  transcripts: Transcripts,
  model: string,
  answerId: string,
  change: Partial<AssistantMessage>,
): Transcripts {
  const messages = messagesOf(transcripts, model).map((message) =>
    message.role === 'assistant' && message.id === answerId ? { ...message, ...change } : message,
  );
  return withMessages(transcripts, model, messages);
}

export function clear(transcripts: Transcripts, model: string): Transcripts {
  return withMessages(transcripts, model, []);
}

export interface ApiMessage {
  readonly role: 'user' | 'assistant';
  readonly content: string;
}

/** What the model is told: everything before the answer it is to give, as far as it has text. */
export function historyBefore(messages: readonly Message[], answerId: string): ApiMessage[] {
  const end = messages.findIndex((message) => message.id === answerId);
  return messages
    .slice(0, end < 0 ? messages.length : end)
    .map((message) => ({
      role: message.role,
      content: message.role === 'user' ? message.text : message.answer.text,
    }))
    .filter((message) => message.content !== '');
}

function streaming(id: string): AssistantMessage {
  return { id, role: 'assistant', state: 'streaming', answer: noAnswer, failure: undefined };
}

function withMessages(transcripts: Transcripts, model: string, messages: readonly Message[]) {
  return new Map(transcripts).set(model, messages);
}
