// Puts a component file into service, at once or as a canary.
import { useEffect, useRef, useState } from 'react';
import { type Upload, upload } from '../api/client';
import { type ApiFailure, asFailure, isAbort } from '../api/failure';
import type { SwapOutcome } from '../api/types';
import { Select } from '../shared/Controls';
import { FailureNotice } from '../shared/Notices';
import { bytes } from '../shared/time';

const times: readonly (readonly [string, string])[] = [
  ['10s', '10 s'],
  ['30s', '30 s'],
  ['2m', '2 min'],
  ['10m', '10 min'],
  ['1h', '1 h'],
];

export function SwapForm({
  service,
  onOutcome,
}: {
  service: string;
  onOutcome: (outcome: SwapOutcome) => void;
}) {
  const [file, setFile] = useState<File>();
  const [canary, setCanary] = useState(false);
  const [percent, setPercent] = useState('10');
  const [time, setTime] = useState('30s');
  const [share, setShare] = useState<number>();
  const [failure, setFailure] = useState<ApiFailure>();
  const sending = useRef<Upload>(undefined);
  useEffect(() => () => sending.current?.cancel(), []);
  const number = Number(percent);
  const wrong = canary && !(Number.isInteger(number) && number >= 1 && number <= 99);

  const send = async () => {
    if (!file) return;
    setFailure(undefined);
    setShare(0);
    const terms = canary ? { canary: `${number}%`, for: time } : {};
    const query = { ...terms, cause: `dashboard, ${file.name}` };
    const sent = upload(`services/${encodeURIComponent(service)}/swap`, query, file, setShare);
    sending.current = sent;
    try {
      onOutcome((await sent.done) as SwapOutcome);
    } catch (error) {
      if (!isAbort(error)) setFailure(asFailure(error));
    } finally {
      sending.current = undefined;
      setShare(undefined);
    }
  };

  return (
    <form
      className="card"
      aria-label="Another version"
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      <h2>Another version</h2>
      <label
        className="drop"
        onDragOver={(event) => event.preventDefault()}
        onDrop={(event) => {
          event.preventDefault();
          setFile(event.dataTransfer.files[0] ?? file);
        }}
      >
        <input
          type="file"
          accept=".wasm,application/wasm"
          aria-label="Component file"
          onChange={(event) => setFile(event.target.files?.[0] ?? undefined)}
        />
        {file ? (
          <span>
            <strong>{file.name}</strong> {bytes(file.size)}
          </span>
        ) : (
          <span>Choose a .wasm file or drop it here</span>
        )}
      </label>
      <div className="row">
        <label className="check">
          <input type="checkbox" checked={canary} onChange={(event) => setCanary(event.target.checked)} />
          Try it on some of the requests first
        </label>
        {canary && (
          <>
            <label className="select">
              <span>Percent</span>
              <input
                type="number"
                min={1}
                max={99}
                value={percent}
                aria-invalid={wrong}
                onChange={(event) => setPercent(event.target.value)}
              />
            </label>
            <Select label="For" value={time} options={times} onChange={setTime} />
          </>
        )}
      </div>
      <div className="row">
        <button type="submit" className="primary" disabled={!file || wrong || share !== undefined}>
          {canary ? 'Start the canary' : 'Put into service'}
        </button>
        {share !== undefined && (
          <>
            <progress value={share} max={1} aria-label="Upload" />
            <span role="status">
              {share < 1 ? `${Math.round(100 * share)} %` : 'checking: compile, start, health…'}
            </span>
            <button type="button" onClick={() => sending.current?.cancel()}>
              Cancel
            </button>
          </>
        )}
      </div>
      <p className="quiet">
        It takes requests only after it compiled, imports nothing that is not granted, started, and answered
        its health path. Requests that run finish on the version they began on.
      </p>
      {failure && <FailureNotice failure={failure} />}
    </form>
  );
}
