// Databases and model servers that services are granted.
import type { Resources } from '../api/types';
import { Icon } from '../shared/Icon';
import { duration, rate } from '../shared/time';
import { lookOfBackend } from './State';

export function BackendTable({ resources, search }: { resources: Resources; search: string }) {
  const word = search.trim().toLowerCase();
  const rows = resources.backends.filter((backend) => backend.backend.toLowerCase().includes(word));
  const users = (backend: string) =>
    resources.services
      .filter((service) => service.grants.includes(backend))
      .map((service) => service.service);
  if (rows.length === 0) return null;
  return (
    <div className="table-frame" tabIndex={0} role="region" aria-label="Backends">
      <table className="backends stacks">
        <caption>Backends</caption>
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">State</th>
            <th scope="col">Used by</th>
            <th scope="col" className="number">
              Calls
            </th>
            <th scope="col" className="number">
              Errors
            </th>
            <th scope="col" className="number">
              p50
            </th>
            <th scope="col" className="number">
              p99
            </th>
            <th scope="col" className="number">
              Open
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((backend) => (
            <tr key={backend.backend}>
              <td data-label="Name" className="strong">
                <Icon name={backend.kind === 'postgres' ? 'database' : 'model'} /> {backend.backend}
              </td>
              <td data-label="State">
                <span className={`badge ${lookOfBackend(backend)}`}>{backend.state}</span>{' '}
                {backend.detail !== null && <span className="quiet">{backend.detail}</span>}
              </td>
              <td data-label="Used by">{users(backend.backend).join(', ') || '–'}</td>
              <td data-label="Calls" className="number">
                {rate(backend.rate)}
              </td>
              <td data-label="Errors" className="number">
                {backend.errors > 0 ? (
                  <span className="badge bad">{rate(backend.errors)}</span>
                ) : (
                  <span className="quiet">0</span>
                )}
              </td>
              <td data-label="p50" className="number">
                {backend.p50 === null ? '–' : duration(backend.p50)}
              </td>
              <td data-label="p99" className="number">
                {backend.p99 === null ? '–' : duration(backend.p99)}
              </td>
              <td data-label="Open" className="number">
                {backend.calls}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
