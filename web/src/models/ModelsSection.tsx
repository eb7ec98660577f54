// The model library: what is installed, which one is active, and how to get another.
import { FailureNotice } from '../shared/FailureNotice';
import type { Load } from '../shared/useLoad';
import { type Model, suggestions } from './library';
import { ModelList } from './ModelList';
import { PullForm } from './PullForm';
import { PullProgress } from './PullProgress';
import type { Pull } from './usePull';

interface Props {
  readonly library: Load<Model[]>;
  readonly active: string | undefined;
  readonly onChoose: (name: string) => void;
  readonly pull: Pull;
}

export function ModelsSection({ library, active, onChoose, pull }: Props) {
  const { data, failure, loading, reload } = library;
  const retry = () => void reload();

  return (
    <section id="models" className="panel" aria-labelledby="models-title" tabIndex={-1}>
      <header className="panel-header">
        <h2 id="models-title">Models</h2>
        <button type="button" onClick={retry} aria-busy={loading}>
          Refresh
        </button>
      </header>
      <p role="status" className="visually-hidden">
        {loading ? 'Loading the models' : failure ? '' : `${data?.length ?? 0} models installed`}
      </p>
      {failure && <FailureNotice failure={failure} onRetry={retry} />}
      {!failure && !data && (
        <div className="skeleton tall" aria-hidden="true">
          <span />
        </div>
      )}
      {data?.length === 0 && !failure && (
        <p className="empty">No model is installed. Pull one to start a chat.</p>
      )}
      {data && data.length > 0 && <ModelList models={data} active={active} onChoose={onChoose} />}
      <PullForm
        suggestions={suggestions(data ?? [])}
        busy={pull.state.phase === 'running'}
        onPull={pull.start}
      />
      <PullProgress pull={pull} />
    </section>
  );
}
