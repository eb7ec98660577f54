// One request: its spans over time, their details, its log lines.
import { useCallback, useMemo } from 'react';
import { getJson } from '../api/client';
import type { Trace } from '../api/types';
import { useApplication } from '../shared/application';
import { IconButton, ServiceName } from '../shared/Controls';
import { Icon } from '../shared/Icon';
import { FailureNotice } from '../shared/Notices';
import { formatRoute } from '../shared/route';
import { useSettings } from '../shared/settings';
import { dateTime, duration } from '../shared/time';
import { useEvery, useLoad } from '../shared/useLoad';
import { useRoute, useSetParams } from '../shared/useRoute';
import { RecordButton } from '../recordings/RecordButton';
import { SaveCaseButton } from './SaveCase';
import { SpanPane, TraceLines } from './SpanPane';
import { waterfall } from './waterfall';
import { WaterfallView } from './WaterfallView';

// A trace is there a moment after its request has ended, and a line of the log leads to it before.
const retryMs = 1000;

export function TracePage({ id }: { id: string }) {
  const load = useCallback(
    (signal: AbortSignal) => getJson<Trace>(`api/traces/${encodeURIComponent(id)}`, {}, signal),
    [id],
  );
  const loaded = useLoad(load);
  const { data, failure, loading, reload } = loaded;
  useEvery(failure?.status === 404 ? retryMs : undefined, loaded);
  return (
    <section className="page" aria-label="Trace">
      {failure && <FailureNotice failure={failure} onRetry={reload} />}
      {!data && loading && <p className="empty">Reading the trace…</p>}
      {data && <TraceView trace={data} onReload={reload} />}
    </section>
  );
}

function TraceView({ trace, onReload }: { trace: Trace; onReload: () => void }) {
  const { query } = useRoute();
  const setParams = useSetParams();
  const { resources } = useApplication();
  const { zone } = useSettings();
  const tree = useMemo(() => waterfall(trace), [trace]);
  const selected = query.get('span') ?? undefined;
  const span = trace.spans.find((one) => one.span === selected);
  const root = tree.rows[0]?.span;
  const services = [...new Set(trace.spans.map((one) => one.service))];
  // The first that the host answers with a component: what asked may be a page.
  const components = resources?.services.filter((one) => one.kind === 'component').map((one) => one.service);
  const recordable = tree.rows.map((row) => row.span.service).find((name) => components?.includes(name));
  const failed = trace.spans.filter((one) => one.status === 'error').length;
  const firstFailed = tree.rows.findLast((row) => row.span.status === 'error')?.span;
  const select = (chosen: string | undefined) => setParams({ span: chosen }, 'replace');

  return (
    <>
      <div className="toolbar">
        <a
          className="icon-only button"
          href={formatRoute('traces')}
          aria-label="All traces"
          title="All traces"
        >
          <Icon name="back" />
        </a>
        <h1 className="trace-title">{root?.name ?? 'Trace'}</h1>
        <span className="spacer" />
        {firstFailed && (
          <button type="button" onClick={() => select(firstFailed.span)}>
            Show the failure
          </button>
        )}
        {trace.recording ? (
          <SaveCaseButton id={trace.recording.id} />
        ) : (
          failed > 0 && recordable && <RecordButton service={recordable} only="failures" />
        )}
        <IconButton icon="refresh" label="Read again" onClick={onReload} />
      </div>
      <ul className="facts">
        <li>
          <span>Start</span> {dateTime(trace.start, zone)}
        </li>
        <li>
          <span>Duration</span> {duration(trace.duration)}
        </li>
        <li>
          <span>Spans</span> {trace.spans.length}
        </li>
        <li>
          <span>Depth</span> {tree.depth}
        </li>
        {failed > 0 && (
          <li className="bad-text">
            <span>Failed</span> {failed}
          </li>
        )}
        <li className="tags">
          {services.map((service) => (
            <ServiceName key={service} service={service} />
          ))}
        </li>
        <li className="mono">
          <span>Trace</span> {trace.trace}
        </li>
      </ul>
      {trace.dropped > 0 && (
        <p className="notice warn">
          {trace.dropped} spans are missing: there are more than are kept of one trace.
        </p>
      )}
      <div className="split">
        <div className="trace-main">
          <WaterfallView tree={tree} selected={selected} onSelect={select} />
          {trace.logs.length > 0 && (
            <section className="trace-logs" tabIndex={0} aria-label="Log lines of the trace">
              <header className="row">
                <h2>
                  {trace.logs.length} log {trace.logs.length === 1 ? 'line' : 'lines'}
                </h2>
                <a href={formatRoute('logs', undefined, { trace: trace.trace })}>in Logs</a>
              </header>
              <TraceLines lines={trace.logs} />
            </section>
          )}
        </div>
        {span && <SpanPane key={span.span} trace={trace} span={span} onClose={() => select(undefined)} />}
      </div>
    </>
  );
}
