// Runs the one answer that may stream at a time and keeps the conversations.
import { useCallback, useEffect, useRef, useState } from 'react';
import { describeFailure } from '../api/failure';
import { postForLines } from '../api/http';
import { throttle } from '../shared/throttle';
import { type Answer, noAnswer, readAnswer } from './answer';
import {
  ask,
  type AssistantMessage,
  clear,
  historyBefore,
  messagesOf,
  restart,
  type Transcripts,
  update,
} from './transcript';

export interface Chat {
  readonly transcripts: Transcripts;
  /** The model that is answering now. */
  readonly answering: string | undefined;
  /** False when the prompt was not taken: it is empty, or an answer still streams. */
  readonly send: (model: string, prompt: string) => boolean;
  readonly retry: (model: string, answerId: string) => void;
  readonly stop: () => void;
  readonly clear: (model: string) => void;
}

/** Fast enough to look like typing, slow enough that a fast model does not stall the page. */
const redrawIntervalMs = 50;

export function useChat(): Chat {
  const [transcripts, setTranscripts] = useState<Transcripts>(new Map());
  // State is one render late. A send in that gap would build on an old conversation, so the newest
  // one is also kept here.
  const newest = useRef(transcripts);
  const [answering, setAnswering] = useState<string>();
  // A ref for the same reason: it guards against a second send.
  const running = useRef<AbortController>(undefined);
  const nextId = useRef(0);

  const replace = (transcripts: Transcripts) => {
    newest.current = transcripts;
    setTranscripts(transcripts);
  };

  const run = async (model: string, answerId: string) => {
    const controller = new AbortController();
    running.current = controller;
    setAnswering(model);
    const messages = historyBefore(messagesOf(newest.current, model), answerId);
    await streamInto({ model, messages, stream: true }, controller.signal, (change) =>
      replace(update(newest.current, model, answerId, change)),
    );
    running.current = undefined;
    setAnswering(undefined);
  };

  const send = (model: string, prompt: string) => {
    if (running.current || prompt.trim() === '') return false;
    nextId.current += 1;
    const ids = { question: `question-${nextId.current}`, answer: `answer-${nextId.current}` };
    replace(ask(newest.current, model, prompt.trim(), ids));
    void run(model, ids.answer);
    return true;
  };
  const retry = (model: string, answerId: string) => {
    if (running.current) return;
    replace(restart(newest.current, model, answerId));
    void run(model, answerId);
  };
  const stop = useCallback(() => running.current?.abort(), []);
  useEffect(() => stop, [stop]);

  return {
    transcripts,
    answering,
    send,
    retry,
    stop,
    clear: (model) => replace(clear(newest.current, model)),
  };
}

/** Never throws: however the stream ends, the message says so. */
async function streamInto(
  request: { model: string; messages: unknown[]; stream: boolean },
  signal: AbortSignal,
  change: (change: Partial<AssistantMessage>) => void,
): Promise<void> {
  let latest = noAnswer;
  const redraw = throttle<Answer>(redrawIntervalMs, (answer) => change({ answer }));
  try {
    const lines = postForLines('ollama/api/chat', request, signal);
    for await (const answer of readAnswer(lines, () => performance.now())) {
      latest = answer;
      redraw.offer(answer);
    }
    redraw.flush();
    change({ state: 'complete' });
  } catch (error) {
    redraw.flush();
    if (!signal.aborted) change({ state: 'failed', failure: describeFailure(error) });
    // Stop can come between the last line and the end of the stream.
    else change({ state: latest.done ? 'complete' : 'stopped' });
  }
}
