// A pull as it runs and how it ended. Only phases and ends are announced to screen readers;
// percentages four times a second would drown everything else.
import { FailureNotice } from '../shared/FailureNotice';
import { formatBytes, formatWait } from './format';
import type { PullUpdate } from './pull';
import type { Pull } from './usePull';

export function PullProgress({ pull }: { readonly pull: Pull }) {
  const { state, start, cancel } = pull;
  return (
    <>
      <p role="status" className="visually-hidden">
        {state.phase === 'running' && `Pulling ${state.model}: ${state.update.phase}`}
      </p>
      {state.phase === 'running' && (
        <Running model={state.model} update={state.update} onCancel={cancel} />
      )}
      {state.phase === 'done' && (
        <p className="notice good" role="status">
          <strong>{state.model}</strong> was pulled and is ready.
        </p>
      )}
      {state.phase === 'cancelled' && (
        <div className="notice" role="status">
          <p>
            The pull of <strong>{state.model}</strong> was cancelled.
          </p>
          <button type="button" onClick={() => start(state.model)}>
            Pull again
          </button>
        </div>
      )}
      {state.phase === 'failed' && (
        <FailureNotice
          failure={{
            ...state.failure,
            title: `${state.model} could not be pulled`,
            detail: [state.failure.title, state.failure.detail].filter(Boolean).join('. '),
          }}
          onRetry={() => start(state.model)}
        />
      )}
    </>
  );
}

interface RunningProps {
  readonly model: string;
  readonly update: PullUpdate;
  readonly onCancel: () => void;
}

function Running({ model, update, onCancel }: RunningProps) {
  const { fraction, phase } = update;
  // Rounded down: 100 % before the last byte would be a lie.
  const percent = fraction === undefined ? undefined : Math.floor(fraction * 100);
  return (
    <div className="pull-progress" data-testid="pull-progress">
      <div className="pull-line">
        <strong>{model}</strong>
        <span className="pull-percent">{percent === undefined ? '' : `${percent} %`}</span>
      </div>
      <progress aria-label={`Pulling ${model}`} max={1} value={fraction} />
      <div className="pull-line">
        <span className="quiet">{[phase, ...figures(update)].join(' · ')}</span>
        <button type="button" onClick={onCancel}>
          Cancel
        </button>
      </div>
    </div>
  );
}

function figures({ completedBytes, totalBytes, fraction, bytesPerSecond }: PullUpdate): string[] {
  if (fraction === undefined) return [];
  const texts = [`${formatBytes(completedBytes)} of ${formatBytes(totalBytes)}`];
  if (fraction < 1 && bytesPerSecond !== undefined && bytesPerSecond > 0) {
    texts.push(`${formatBytes(bytesPerSecond)}/s`);
    texts.push(`${formatWait((totalBytes - completedBytes) / bytesPerSecond)} left`);
  }
  return texts;
}
