// One bubble, with whatever its answer ended in: figures, "stopped", or a failure and the way on.
import { FailureNotice } from '../shared/FailureNotice';
import type { Metrics } from './answer';
import type { AssistantMessage, Message } from './transcript';

interface Props {
  readonly message: Message;
  /** Absent while another answer streams: one send at a time. */
  readonly onRetry?: (() => void) | undefined;
  readonly onPull: () => void;
}

export function MessageView({ message, onRetry, onPull }: Props) {
  if (message.role === 'user') {
    return (
      <article className="message user" aria-label="You">
        {message.text}
      </article>
    );
  }
  return <AnswerView message={message} onRetry={onRetry} onPull={onPull} />;
}

type AnswerProps = Omit<Props, 'message'> & { readonly message: AssistantMessage };

function AnswerView({ message, onRetry, onPull }: AnswerProps) {
  const { answer, state, failure } = message;
  return (
    <article
      className="message assistant"
      aria-label="Answer"
      // Screen readers wait for the whole answer instead of reading it token by token.
      aria-busy={state === 'streaming'}
      data-state={state}
    >
      {answer.thinking !== '' && (
        <details className="thinking">
          <summary>Thinking</summary>
          {answer.thinking}
        </details>
      )}
      {answer.text !== '' && <div className="answer-text">{answer.text}</div>}
      {state === 'streaming' && answer.text === '' && (
        <span className="waiting">
          <span className="visually-hidden">Waiting for the first token</span>
        </span>
      )}
      {state === 'stopped' && (
        <p className="answer-end">
          Stopped
          {onRetry && (
            <button type="button" className="small" onClick={onRetry}>
              Try again
            </button>
          )}
        </p>
      )}
      {state === 'complete' && answer.metrics && <MetricsLine metrics={answer.metrics} />}
      {failure && (
        <FailureNotice failure={failure} onRetry={onRetry}>
          {failure.modelMissing && (
            <button type="button" className="primary" onClick={onPull}>
              Pull it
            </button>
          )}
        </FailureNotice>
      )}
    </article>
  );
}

function MetricsLine({ metrics }: { readonly metrics: Metrics }) {
  const { tokensPerSecond, firstTokenMs } = metrics;
  const speed = tokensPerSecond < 10 ? tokensPerSecond.toFixed(1) : tokensPerSecond.toFixed(0);
  const wait =
    firstTokenMs < 1000 ? `${firstTokenMs.toFixed(0)} ms` : `${(firstTokenMs / 1000).toFixed(1)} s`;
  return (
    <p className="answer-end">
      {speed} tokens/s · first token after {wait}
    </p>
  );
}
