// The instruments of the host, and one of them over time.
import { useCallback, useState } from 'react';
import { getJson } from '../api/client';
import type { Instrument } from '../api/types';
import { SearchField } from '../shared/Controls';
import { Empty, FailureNotice } from '../shared/Notices';
import { formatRoute } from '../shared/route';
import { useEvery, useLoad } from '../shared/useLoad';
import { useRoute } from '../shared/useRoute';
import { InstrumentView } from './InstrumentView';

// What is measured for the first time is there some seconds later.
const refreshMs = 5000;

export default function MetricsPage() {
  const { subject, query } = useRoute();
  const [search, setSearch] = useState('');
  const load = useCallback(
    (signal: AbortSignal) => getJson<readonly Instrument[]>('api/metrics', {}, signal),
    [],
  );
  const loaded = useLoad(load);
  const { data, failure, loading, reload } = loaded;
  useEvery(refreshMs, loaded);
  const instruments = data ?? [];
  const word = search.trim().toLowerCase();
  const found = instruments.filter((one) => `${one.name} ${one.description}`.toLowerCase().includes(word));
  const chosen = instruments.find((one) => one.name === (subject ?? instruments[0]?.name));
  const range = query.get('range') ?? undefined;

  return (
    <section className="page scroll" aria-label="Metrics">
      <div className="toolbar">
        <h1>Metrics</h1>
        <SearchField label="Filter instruments" value={search} onChange={setSearch} />
      </div>
      {failure && <FailureNotice failure={failure} onRetry={reload} />}
      {!data && loading && <p className="empty">Reading…</p>}
      {data && instruments.length === 0 && <Empty>Nothing has been measured yet.</Empty>}
      <div className="metrics">
        <nav aria-label="Instruments" className="instruments" tabIndex={0}>
          <ul>
            {found.map((one) => (
              <li key={one.name}>
                <a
                  href={formatRoute('metrics', one.name, { range })}
                  aria-current={one.name === chosen?.name ? 'true' : undefined}
                  title={one.description}
                >
                  {one.name}
                  <small>
                    {one.kind}
                    {one.unit !== '' && `, ${one.unit}`}
                  </small>
                </a>
              </li>
            ))}
          </ul>
        </nav>
        {chosen && <InstrumentView key={chosen.name} instrument={chosen} />}
        {data && !chosen && subject !== undefined && <Empty>There is no instrument {subject}.</Empty>}
      </div>
    </section>
  );
}
