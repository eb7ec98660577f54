// One service with all that the host knows about it.
import { useCallback } from 'react';
import { getJson } from '../api/client';
import type { ResourceDetails } from '../api/types';
import { useApplication } from '../shared/application';
import { asked } from '../shared/asked';
import { ServiceName } from '../shared/Controls';
import { Properties } from '../shared/Properties';
import { Icon } from '../shared/Icon';
import { FailureNotice } from '../shared/Notices';
import { formatRoute } from '../shared/route';
import { useSettings } from '../shared/settings';
import { ago, count, dateTime, duration, rate } from '../shared/time';
import { useEvery, useLoad } from '../shared/useLoad';
import { useNow } from '../shared/useNow';
import { RecordButton } from '../recordings/RecordButton';
import { HistoryTable } from '../versions/HistoryTable';
import { EnvironmentCard, GrantsCard, LimitsCard } from './ResourceCards';
import { State } from './State';

const refreshMs = 5000;

export function ResourcePage({ service }: { service: string }) {
  const load = useCallback(
    (signal: AbortSignal) =>
      getJson<ResourceDetails>(`api/resources/${encodeURIComponent(service)}`, {}, signal),
    [service],
  );
  const loaded = useLoad(load);
  const { data, failure, loading, reload } = loaded;
  useEvery(refreshMs, loaded);
  return (
    <section className="page scroll" aria-label={service}>
      <div className="toolbar">
        <a
          className="icon-only button"
          href={formatRoute('resources')}
          aria-label="All resources"
          title="All resources"
        >
          <Icon name="back" />
        </a>
        <h1>
          <ServiceName service={service} />
        </h1>
        {data && <State service={data.service} />}
        <span className="spacer" />
        {data?.service.kind === 'component' && <RecordButton service={service} only="all" />}
        <a className="button" href={formatRoute('console', undefined, { service })}>
          Console
        </a>
        <a className="button" href={formatRoute('logs', undefined, { service })}>
          Logs
        </a>
        <a className="button" href={formatRoute('traces', undefined, { service })}>
          Traces
        </a>
        {data?.service.kind === 'component' && (
          <a className="button" href={formatRoute('versions', service)}>
            Versions
          </a>
        )}
      </div>
      {failure && <FailureNotice failure={failure} onRetry={reload} />}
      {!data && loading && <p className="empty">Reading…</p>}
      {data && <Cards details={data} />}
    </section>
  );
}

function Cards({ details }: { details: ResourceDetails }) {
  const { resources } = useApplication();
  // The stream is newer than what was read when the page opened.
  const live = resources?.services.find((one) => one.service === details.service.service) ?? details.service;
  return (
    <>
      <div className="card-columns">
        <section className="card" aria-label="Overview">
          <h2>Overview</h2>
          <Properties
            rows={[
              [
                'Address',
                live.route === null ? (
                  live.address
                ) : (
                  <a key="address" href={live.address} target="_blank" rel="noreferrer noopener">
                    {live.address}
                  </a>
                ),
              ],
              ['Route', live.route ?? 'internal: only other services reach it'],
              ['Kind', live.kind === 'static' ? 'static files' : 'component'],
              [
                'Version',
                live.version === null ? null : (
                  <span key="version" className="mono">
                    {live.version}
                  </span>
                ),
              ],
              ['Canary', live.canary],
              [
                'Requests',
                `${rate(live.rate)}, ${count(live.served)} served, ${count(live.failed)} failed, ${count(live.refused)} refused, ${count(live.cancelled)} cancelled`,
              ],
              [
                'Duration',
                `p50 ${live.p50 === null ? '–' : duration(live.p50)}, p99 ${live.p99 === null ? '–' : duration(live.p99)}`,
              ],
              ['Now', `${live.in_flight} in flight, ${live.queued} waiting, ${live.instances} instances`],
            ]}
          />
        </section>
        <HealthCard health={details.health} />
        <GrantsCard details={details} />
        <FailuresCard details={details} />
        <EnvironmentCard environment={details.environment} />
      </div>
      <div className="cards">
        <LimitsCard limits={details.limits} />
        {details.history.length > 0 && (
          <section className="card wide" aria-label="History">
            <h2>History</h2>
            <HistoryTable history={details.history} />
          </section>
        )}
      </div>
    </>
  );
}

function HealthCard({ health }: { health: ResourceDetails['health'] }) {
  const now = useNow(1000);
  return (
    <section className="card" aria-label="Health">
      <h2>
        Health <span className={`badge ${health.state === 'healthy' ? 'good' : ''}`}>{health.state}</span>
      </h2>
      {health.path === null ? (
        <p className="quiet">
          The application file names no <code>health</code> path, so only traffic tells whether it answers
          well.
        </p>
      ) : (
        <Properties
          rows={[
            ['Path', <code key="path">{health.path}</code>],
            ['Checked', health.checked === null ? 'not yet' : ago(health.checked, now)],
            ['Detail', health.detail],
          ]}
        />
      )}
    </section>
  );
}

function FailuresCard({ details }: { details: ResourceDetails }) {
  const { zone } = useSettings();
  const { failures } = details;
  return (
    <section className="card" aria-label="Last failures">
      <h2>Last failures</h2>
      {failures.length === 0 ? (
        <p className="quiet">None.</p>
      ) : (
        <ul className="failures">
          {failures.map((failure, index) => (
            <li key={index}>
              <span className="mono quiet">{dateTime(failure.time, zone)}</span>{' '}
              <span className="badge bad">{failure.status}</span>{' '}
              {failure.trace === null ? (
                asked(failure.message, failure.path)
              ) : (
                <a href={formatRoute('traces', failure.trace)}>{asked(failure.message, failure.path)}</a>
              )}
              {failure.reason && <span className="quiet"> {failure.reason}</span>}
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
