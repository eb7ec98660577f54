// Versions of one service: what runs, what came before, and how to put another one into service.
import { useCallback, useState } from 'react';
import { getJson, sendJson } from '../api/client';
import type { ResourceDetails, SwapOutcome } from '../api/types';
import { useApplication, useColour } from '../shared/application';
import { Confirm } from '../shared/Dialog';
import { Empty, FailureNotice } from '../shared/Notices';
import { formatRoute } from '../shared/route';
import { useEvery, useLoad } from '../shared/useLoad';
import { useRoute } from '../shared/useRoute';
import { HistoryTable } from './HistoryTable';
import { Outcome } from './Outcome';
import { ReplicasTable } from './ReplicasTable';
import { SwapForm } from './SwapForm';
import { VersionsTable } from './VersionsTable';

/** While two versions serve, their figures are compared as they come. */
const refreshMs = 2000;
const quietRefreshMs = 10_000;

export function VersionsPage() {
  const { subject } = useRoute();
  const { resources } = useApplication();
  const colour = useColour();
  const components = (resources?.services ?? []).filter((service) => service.kind === 'component');
  const service = subject ?? components[0]?.service;
  return (
    <section className="page scroll" aria-label="Versions">
      <div className="toolbar">
        <h1>Versions</h1>
        <nav className="segments services" aria-label="Services">
          {components.map((one) => (
            <a
              key={one.service}
              className={colour(one.service)}
              href={formatRoute('versions', one.service)}
              aria-current={one.service === service ? 'true' : undefined}
            >
              <i aria-hidden="true" />
              {one.service}
            </a>
          ))}
        </nav>
      </div>
      {service !== undefined && <ServiceVersions key={service} service={service} />}
      {resources && components.length === 0 && subject === undefined && (
        <Empty>No service has a component; files have no versions.</Empty>
      )}
    </section>
  );
}

function ServiceVersions({ service }: { service: string }) {
  const { resources } = useApplication();
  const [outcome, setOutcome] = useState<SwapOutcome>();
  const [asking, setAsking] = useState<'rollback' | 'drain'>();
  const [drained, setDrained] = useState<number>();
  const load = useCallback(
    (signal: AbortSignal) =>
      getJson<ResourceDetails>(`api/resources/${encodeURIComponent(service)}`, {}, signal),
    [service],
  );
  const loaded = useLoad(load);
  const { data, failure, loading, reload } = loaded;
  useEvery((data?.versions.length ?? 0) > 1 ? refreshMs : quietRefreshMs, loaded);
  const close = useCallback(() => setAsking(undefined), []);

  const rollback = async () => {
    const result = await sendJson<SwapOutcome>('POST', `services/${encodeURIComponent(service)}/rollback`, {
      cause: 'rollback, dashboard',
    });
    setOutcome(result);
    reload();
  };
  const drain = async () => {
    const result = await sendJson<{ instances: number }>(
      'POST',
      `services/${encodeURIComponent(service)}/drain`,
    );
    setDrained(result.instances);
    reload();
  };
  // The stream is newer than what was read when the page opened.
  const live = resources?.services.find((one) => one.service === service) ?? data?.service;
  const replicas = live?.replicas ?? [];
  const canary = data?.versions.some((version) => version.state === 'canary') ?? false;

  return (
    <>
      {failure && <FailureNotice failure={failure} onRetry={reload} />}
      {!data && loading && <p className="empty">Reading…</p>}
      {data?.service.kind === 'static' && (
        <Empty>
          <a href={formatRoute('resources', service)}>{service}</a> serves the files of a folder as they are there.
          Files have no versions: what is saved is served.
        </Empty>
      )}
      {data?.service.kind === 'component' && (
        <div className="cards">
          <section className="card wide" aria-label="In service">
            <h2>In service</h2>
            <VersionsTable versions={data.versions} />
            <div className="row">
              <button type="button" onClick={() => setAsking('rollback')}>
                {canary ? 'End the canary…' : 'Roll back…'}
              </button>
              <button type="button" onClick={() => setAsking('drain')}>
                Drain…
              </button>
            </div>
            {drained !== undefined && (
              <p className="notice good" role="status">
                {drained} {drained === 1 ? 'instance is' : 'instances are'} being replaced; no request is cut.
              </p>
            )}
          </section>
          <SwapForm
            service={service}
            onOutcome={(result) => {
              setOutcome(result);
              reload();
            }}
          />
          {outcome && <Outcome outcome={outcome} />}
          {replicas.length > 0 && (
            <section className="card wide" aria-label="Replicas">
              <h2>Replicas</h2>
              <ReplicasTable replicas={replicas} />
            </section>
          )}
          <section className="card wide" aria-label="History">
            <h2>History</h2>
            {data.history.length === 0 ? (
              <p className="quiet">It serves what the application file names; nothing else was tried.</p>
            ) : (
              <HistoryTable history={data.history} />
            )}
          </section>
        </div>
      )}
      {asking === 'rollback' && (
        <Confirm
          title={canary ? `End the canary of ${service}?` : `Roll back ${service}?`}
          action={canary ? 'End the canary' : 'Roll back'}
          onConfirm={rollback}
          onClose={close}
        >
          {canary
            ? 'The version beside it takes all requests. Requests that run on the canary finish there.'
            : 'The version before this one takes all new requests. Requests that run finish where they began.'}
        </Confirm>
      )}
      {asking === 'drain' && (
        <Confirm title={`Drain ${service}?`} action="Drain" onConfirm={drain} onClose={close}>
          Its instances are replaced by fresh ones of the same version. No request is cut.
        </Confirm>
      )}
    </>
  );
}
