// Messages keep their own text whatever else happens in the conversation.
import { expect, test } from 'vitest';
import { noAnswer } from './answer';
import { ask, clear, historyBefore, messagesOf, restart, type Transcripts, update } from './transcript';

const empty: Transcripts = new Map();
const answered = (text: string) => ({ state: 'complete' as const, answer: { ...noAnswer, text, done: true } });

const twoTurns = () => {
  let transcripts = ask(empty, 'm', 'one?', { question: 'q1', answer: 'a1' });
  transcripts = update(transcripts, 'm', 'a1', answered('one!'));
  return ask(transcripts, 'm', 'two?', { question: 'q2', answer: 'a2' });
};

test('an answer is written to its own message, even after later ones were added', () => {
  const transcripts = update(twoTurns(), 'm', 'a1', answered('late'));
  const messages = messagesOf(transcripts, 'm');
  expect(messages.map((message) => message.id)).toEqual(['q1', 'a1', 'q2', 'a2']);
  expect(messages[1]).toMatchObject({ answer: { text: 'late' } });
  expect(messages[2]).toMatchObject({ role: 'user', text: 'two?' });
  expect(messages[3]).toMatchObject({ state: 'streaming', answer: { text: '' } });
});

test('an id of a question is not an answer', () => {
  expect(messagesOf(update(twoTurns(), 'm', 'q1', answered('x')), 'm')[0]).toMatchObject({ text: 'one?' });
});

test('models do not share a conversation', () => {
  const transcripts = ask(twoTurns(), 'other', 'hello', { question: 'q3', answer: 'a3' });
  expect(messagesOf(transcripts, 'm')).toHaveLength(4);
  expect(messagesOf(transcripts, 'other')).toHaveLength(2);
});

test('the history ends before the answer, and leaves out answers without text', () => {
  const transcripts = twoTurns();
  expect(historyBefore(messagesOf(transcripts, 'm'), 'a2')).toEqual([
    { role: 'user', content: 'one?' },
    { role: 'assistant', content: 'one!' },
    { role: 'user', content: 'two?' },
  ]);
  const failed = update(transcripts, 'm', 'a1', { state: 'failed', answer: noAnswer });
  expect(historyBefore(messagesOf(failed, 'm'), 'a2').map(({ content }) => content)).toEqual([
    'one?',
    'two?',
  ]);
});

test('a retry starts empty and in the old place', () => {
  const failed = update(twoTurns(), 'm', 'a1', { state: 'failed', failure: { title: 'Broken' } });
  const messages = messagesOf(restart(failed, 'm', 'a1'), 'm');
  expect(messages[1]).toEqual({
    id: 'a1',
    role: 'assistant',
    state: 'streaming',
    answer: noAnswer,
    failure: undefined,
  });
});

test('a token that comes after clearing does not bring the message back', () => {
  expect(messagesOf(update(clear(twoTurns(), 'm'), 'm', 'a2', answered('x')), 'm')).toEqual([]);
});
