// What runs: services, and the backends that they are granted, as a table or as a graph.
import { lazy, Suspense } from 'react';
import { useApplication } from '../shared/application';
import { SearchField, Tabs } from '../shared/Controls';
import { bytes, duration } from '../shared/time';
import { useRoute, useSetParams } from '../shared/useRoute';
import { useNow } from '../shared/useNow';
import { BackendTable } from './BackendTable';
import { ServiceTable } from './ServiceTable';

// The layout library is only needed here.
const Graph = lazy(() => import('./Graph'));

export function ResourcesPage() {
  const { query } = useRoute();
  const setParams = useSetParams();
  const { resources } = useApplication();
  const view = query.get('view') === 'graph' ? 'graph' : 'table';
  const search = query.get('search') ?? '';
  return (
    <section className={view === 'graph' ? 'page' : 'page scroll'} aria-label="Resources">
      <div className="toolbar">
        <h1>Resources</h1>
        <Tabs
          label="View"
          value={view}
          options={[
            ['table', 'Table'],
            ['graph', 'Graph'],
          ]}
          onChange={(value) => setParams({ view: value === 'graph' ? 'graph' : undefined })}
        />
        <SearchField
          label="Filter by name"
          value={search}
          onChange={(value) => setParams({ search: value }, 'replace')}
        />
        <span className="spacer" />
        <HostFacts />
      </div>
      {!resources ? (
        <p className="empty">Waiting for the control plane…</p>
      ) : view === 'graph' ? (
        <Suspense fallback={<p className="empty">Loading…</p>}>
          <Graph resources={resources} search={search} />
        </Suspense>
      ) : (
        <>
          <ServiceTable resources={resources} search={search} />
          <BackendTable resources={resources} search={search} />
        </>
      )}
    </section>
  );
}

function HostFacts() {
  const { resources } = useApplication();
  const now = useNow(10_000);
  if (!resources) return null;
  const { host } = resources;
  return (
    <ul className="facts inline">
      <li>
        <span>Address</span>{' '}
        <a href={host.address} target="_blank" rel="noreferrer noopener">
          {host.address}
        </a>
      </li>
      <li>
        <span>Up</span> {duration(Math.max(0, now * 1000 - host.started))}
      </li>
      <li>
        <span>Memory</span> {bytes(host.memory)}
      </li>
      <li>
        <span>Pid</span> {host.pid}
      </li>
    </ul>
  );
}
