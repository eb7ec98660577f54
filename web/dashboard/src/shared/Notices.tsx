// What went wrong and what to do about it, where it happened.
import type { ApiFailure } from '../api/failure';
import type { StreamState } from './useFollow';

export function FailureNotice({ failure, onRetry }: { failure: ApiFailure; onRetry?: () => void }) {
  return (
    <div className="notice bad" role="alert">
      <div>
        <strong>{failure.title}</strong>
        {failure.detail !== undefined && <p>{failure.detail}</p>}
      </div>
      {onRetry && (
        <button type="button" onClick={onRetry}>
          Try again
        </button>
      )}
    </div>
  );
}

/** Says how a stream is doing; a lost one says when it comes back. */
export function StreamNotice({ stream, onRetry }: { stream: StreamState; onRetry: () => void }) {
  if (stream.is === 'stopped') return <FailureNotice failure={stream.failure} onRetry={onRetry} />;
  if (stream.is !== 'waiting') return null;
  return (
    <div className="notice warn" role="status">
      <div>
        <strong>{stream.why}</strong>
        <p>Trying again in {stream.seconds} s. What is shown may be old.</p>
      </div>
      <button type="button" onClick={onRetry}>
        Reconnect now
      </button>
    </div>
  );
}

export function Empty({ children }: { children: React.ReactNode }) {
  return <p className="empty">{children}</p>;
}
