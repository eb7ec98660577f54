// What a service may use, what it is told, and what bounds it.
import { useState } from 'react';
import type { ResourceDetails } from '../api/types';
import { SearchField } from '../shared/Controls';

export function GrantsCard({ details }: { details: ResourceDetails }) {
  return (
    <section className="card" aria-label="Grants">
      <h2>Grants</h2>
      {details.grants.length === 0 ? (
        <p className="quiet">It is granted nothing: no database, no model server, no other service.</p>
      ) : (
        <ul className="tags">
          {details.grants.map((grant) => (
            <li key={grant} className="tag">
              {grant}
              {stateOf(details, grant)}
            </li>
          ))}
        </ul>
      )}
      {details.imports.length > 0 && (
        <>
          <h3>Imports</h3>
          <ul className="plain mono">
            {details.imports.map((name) => (
              <li key={name}>{name}</li>
            ))}
          </ul>
        </>
      )}
    </section>
  );
}

/** How a backend is, where it is not well: with its reason. */
function stateOf(details: ResourceDetails, grant: string): string {
  const found = details.granted?.find((one) => one.grant === grant);
  if (!found?.state || found.state === 'up') return '';
  return found.detail ? `: ${found.state}: ${found.detail}` : `: ${found.state}`;
}

/** Secrets never leave the host, so there is nothing to unmask here. */
export function EnvironmentCard({ environment }: { environment: ResourceDetails['environment'] }) {
  if (environment.length === 0) return null;
  return (
    <section className="card" aria-label="Environment">
      <h2>Environment</h2>
      <div className="table-frame flat" tabIndex={0} role="region" aria-label="Variables">
        <table className="stacks">
          <thead>
            <tr>
              <th scope="col">Name</th>
              <th scope="col">Value</th>
              <th scope="col">Set by</th>
            </tr>
          </thead>
          <tbody>
            {environment.map((variable) => (
              <tr key={variable.name}>
                <td data-label="Name" className="mono">{variable.name}</td>
                <td data-label="Value" className="mono">
                  {variable.secret ? (
                    <span title="A secret: the host does not send it">
                      ••••••<span className="hidden-text">secret</span>
                    </span>
                  ) : (
                    (variable.value ?? '–')
                  )}
                </td>
                <td data-label="Set by" className="quiet">{variable.source}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

export function LimitsCard({ limits }: { limits: ResourceDetails['limits'] }) {
  const [search, setSearch] = useState('');
  if (limits.length === 0) return null;
  const word = search.trim().toLowerCase();
  const rows = limits.filter((limit) => `${limit.key} ${limit.what}`.toLowerCase().includes(word));
  return (
    <section className="card wide" aria-label="Limits">
      <h2>Limits</h2>
      {limits.length > 8 && <SearchField label="Filter limits" value={search} onChange={setSearch} />}
      <div className="table-frame flat" tabIndex={0} role="region" aria-label="All limits">
        <table className="stacks">
          <thead>
            <tr>
              <th scope="col">Key</th>
              <th scope="col">Value</th>
              <th scope="col">From</th>
              <th scope="col">What it bounds</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((limit) => (
              <tr key={limit.key}>
                <td data-label="Key" className="mono">{limit.key}</td>
                <td data-label="Value" className={limit.source === 'default' ? 'mono' : 'mono strong'}>{limit.value}</td>
                <td data-label="From" className="quiet">{limit.source}</td>
                <td data-label="What it bounds">{limit.what}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
