// How every failure looks: what went wrong as text, and a way on.
import type { ReactNode } from 'react';
import type { Failure } from '../api/failure';

interface Props {
  readonly failure: Failure;
  readonly onRetry?: (() => void) | undefined;
  /** Further ways on, beside Retry. */
  readonly children?: ReactNode;
}

export function FailureNotice({ failure, onRetry, children }: Props) {
  return (
    <div className="failure" role="alert">
      <p className="failure-title">{failure.title}</p>
      {failure.detail && <p>{failure.detail}</p>}
      {failure.requestId && (
        <p className="failure-request">
          Request <code>{failure.requestId}</code>
        </p>
      )}
      <div className="actions">
        {children}
        {onRetry && (
          <button
            type="button"
            onClick={(event) => {
              // The button goes away with the failure; without this the keyboard would be sent
              // back to the top of the page.
              event.currentTarget.closest('section')?.focus();
              onRetry();
            }}
          >
            Retry
          </button>
        )}
      </div>
    </div>
  );
}
