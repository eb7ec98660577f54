// Asks the host to keep the next requests of a service as cases.
import { useState } from 'react';
import { sendJson } from '../api/client';
import { type ApiFailure, asFailure } from '../api/failure';
import { FailureNotice } from '../shared/Notices';
import { formatRoute } from '../shared/route';

export const requestsDefault = 10;

export function RecordButton({ service, only }: { service: string; only: 'all' | 'failures' }) {
  const [state, setState] = useState<'idle' | 'busy' | 'done'>('idle');
  const [failure, setFailure] = useState<ApiFailure>();
  const start = async () => {
    setState('busy');
    setFailure(undefined);
    try {
      await sendJson('POST', 'api/recordings', {}, { service, requests: requestsDefault, only });
      setState('done');
    } catch (error) {
      setFailure(asFailure(error));
      setState('idle');
    }
  };
  if (failure) return <FailureNotice failure={failure} onRetry={() => void start()} />;
  if (state === 'done') {
    return (
      <span role="status">
        <a className="button" href={formatRoute('recordings')}>
          Recording {service}
        </a>
      </span>
    );
  }
  return (
    <button
      type="button"
      disabled={state === 'busy'}
      title="Was not recorded. The next ones can be kept as cases of a test."
      onClick={() => void start()}
    >
      {only === 'failures' ? 'Record the next failures' : `Record the next ${requestsDefault} requests`}
    </button>
  );
}
