// The requests that left a trace, newest first.
import { useCallback, useState } from 'react';
import type { TraceSummary } from '../api/types';
import { rangesWith } from '../logs/query';
import { asked } from '../shared/asked';
import { IconButton, SearchField, Select, ServiceName, ServiceSelect } from '../shared/Controls';
import { type Column, Grid } from '../shared/Grid';
import { ListStatus } from '../shared/ListStatus';
import { FailureNotice, StreamNotice } from '../shared/Notices';
import { formatRoute } from '../shared/route';
import { useSettings } from '../shared/settings';
import { clock, duration } from '../shared/time';
import { useLiveList } from '../shared/useLiveList';
import { useNarrow } from '../shared/useMedia';
import { WindowChip } from '../shared/WindowChip';
import { navigate, useRoute, useSetParams } from '../shared/useRoute';

const keyOf = (trace: TraceSummary) => trace.trace;

const slower: readonly (readonly [string, string])[] = [
  ['', 'Any duration'],
  ['10ms', '≥ 10 ms'],
  ['100ms', '≥ 100 ms'],
  ['200ms', '≥ 200 ms'],
  ['1s', '≥ 1 s'],
  ['5s', '≥ 5 s'],
];

export function TracesPage() {
  const { query } = useRoute();
  const setParams = useSetParams();
  const narrow = useNarrow();
  const [paused, setPaused] = useState(false);
  const [longest, setLongest] = useState(0);
  const errors = query.get('errors') === 'true';
  const { list, stream, retryStream } = useLiveList<TraceSummary>({
    path: 'api/traces',
    query: {
      service: query.getAll('service'),
      search: query.get('search'),
      errors: errors ? true : undefined,
      slower: query.get('slower'),
      since: query.get('since'),
      until: query.get('until'),
      route: query.get('route'),
    },
    key: keyOf,
    following: !paused && !query.has('until'),
  });
  const onRange = useCallback(
    (from: number, to: number) => {
      list.look(from, to);
      // Bars compare what is in sight: one slow request of yesterday must not flatten all others.
      let most = 0;
      for (let row = from; row <= to; row += 1) most = Math.max(most, list.at(row)?.duration ?? 0);
      setLongest(most);
    },
    [list],
  );
  const open = useCallback((trace: TraceSummary) => navigate(formatRoute('traces', trace.trace)), []);

  return (
    <section className="page" aria-label="Traces">
      <div className="toolbar">
        <h1>Traces</h1>
        <ServiceSelect value={query.get('service') ?? ''} onChange={(service) => setParams({ service })} />
        <Select
          label="Duration"
          value={query.get('slower') ?? ''}
          options={withOwn(slower, query.get('slower'))}
          onChange={(value) => setParams({ slower: value })}
        />
        <Select
          label="Time"
          value={query.get('since') ?? ''}
          options={rangesWith(query.get('since'))}
          onChange={(since) => setParams({ since })}
        />
        <button
          type="button"
          className="toggle"
          aria-pressed={errors}
          onClick={() => setParams({ errors: !errors })}
        >
          Errors only
        </button>
        <SearchField
          label="Search traces"
          value={query.get('search') ?? ''}
          onChange={(search) => setParams({ search }, 'replace')}
        />
        <WindowChip />
        <span className="spacer" />
        <IconButton
          icon={paused ? 'play' : 'pause'}
          label={paused ? 'Resume' : 'Pause'}
          pressed={paused}
          onClick={() => setPaused(!paused)}
        />
        <IconButton icon="clear" label="Clear the view" onClick={() => list.clear()} />
      </div>
      <StreamNotice stream={stream} onRetry={retryStream} />
      {list.failure && <FailureNotice failure={list.failure} onRetry={retryStream} />}
      <div className="split">
        <Grid<TraceSummary>
          label="Traces"
          className="grid-traces"
          columns={useColumns(longest)}
          count={list.length}
          rowHeight={narrow ? 50 : 29}
          shift={list.prepended}
          epoch={list.epoch}
          selected={undefined}
          at={(index) => list.at(index)}
          keyOf={keyOf}
          rowClass={(trace) => (trace.error ? 'level-error' : '')}
          onOpen={open}
          onRange={onRange}
        />
      </div>
      <ListStatus list={list} stream={stream} paused={paused} what="traces" />
    </section>
  );
}

/** A duration from a link that is none of the list. */
function withOwn(options: typeof slower, value: string | null): typeof slower {
  if (value === null || options.some(([key]) => key === value)) return options;
  return [...options, [value, `≥ ${value}`]];
}

function useColumns(longest: number): readonly Column<TraceSummary>[] {
  const { zone } = useSettings();
  return [
    { key: 'time', label: 'Time', className: 'mono', render: (trace) => clock(trace.start, zone) },
    {
      key: 'name',
      label: 'Request',
      className: 'name',
      render: (trace) => (
        <a href={formatRoute('traces', trace.trace)} tabIndex={-1} title={asked(trace.name, trace.path)}>
          {asked(trace.name, trace.path)}
        </a>
      ),
    },
    {
      key: 'status',
      label: 'Status',
      className: 'status',
      render: (trace) => <Status status={trace.status} error={trace.error} />,
    },
    {
      key: 'services',
      label: 'Spans',
      className: 'services',
      render: (trace) => (
        <span className="tags">
          {trace.services.map((part) => (
            <span key={part.service} className={part.errors > 0 ? 'tag bad' : 'tag'}>
              <ServiceName service={part.service} /> {part.spans}
              {part.errors > 0 && <span className="hidden-text">, {part.errors} with errors</span>}
            </span>
          ))}
        </span>
      ),
    },
    {
      key: 'duration',
      label: 'Duration',
      className: 'duration',
      render: (trace) => (
        <span className="bar-cell">
          <span className="bar-track" aria-hidden="true">
            <span
              className={trace.error ? 'bar bad' : 'bar'}
              style={{
                width: `${longest === 0 ? 0 : Math.max(1, Math.min(100, (100 * trace.duration) / longest))}%`,
              }}
            />
          </span>
          <span className="mono">{duration(trace.duration)}</span>
        </span>
      ),
    },
    { key: 'why', label: 'Kept', className: 'why', render: (trace) => trace.why },
  ];
}

export function Status({ status, error }: { status: number | null; error: boolean }) {
  if (status === null)
    return error ? <span className="badge bad">error</span> : <span className="quiet">–</span>;
  return <span className={error ? 'badge bad' : status >= 400 ? 'badge warn' : 'badge good'}>{status}</span>;
}
