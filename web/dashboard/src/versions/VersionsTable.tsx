// The versions that run at the moment, side by side.
import type { VersionCounts } from '../api/types';
import { count, duration } from '../shared/time';

const looks: Readonly<Record<VersionCounts['state'], string>> = {
  serving: 'good',
  canary: 'note',
  draining: 'warn',
};

const percent = (value: number) => `${value > 0 && value < 0.1 ? '<0.1' : value.toFixed(1)} %`;

const time = (micros: number | null) => (micros === null ? '–' : duration(micros));

export function VersionsTable({ versions }: { versions: readonly VersionCounts[] }) {
  const all = versions.reduce((sum, version) => sum + version.served + version.errors, 0);
  return (
    <div className="table-frame flat" tabIndex={0} role="region" aria-label="Versions in service">
      <table className="stacks">
        <thead>
          <tr>
            <th scope="col">Version</th>
            <th scope="col">State</th>
            <th scope="col" className="number">
              Answers
            </th>
            <th scope="col" className="number">
              Errors
            </th>
            <th scope="col" className="number" title="Of the last minute">
              p50
            </th>
            <th scope="col" className="number" title="Of the last minute">
              p99
            </th>
            <th scope="col" className="number">
              In flight
            </th>
            <th scope="col" className="number">
              <abbr title="Instances">Inst.</abbr>
            </th>
          </tr>
        </thead>
        <tbody>
          {versions.map((version) => {
            const answers = version.served + version.errors;
            const share = answers === 0 ? 0 : (100 * version.errors) / answers;
            return (
              <tr key={`${version.version} ${version.state}`}>
                <td data-label="Version" className="mono">{version.version.slice(0, 12)}</td>
                <td data-label="State">
                  <span className={`badge ${looks[version.state] ?? ''}`}>{version.state}</span>
                </td>
                <td data-label="Answers" className="number">
                  {count(answers)}
                  {versions.length > 1 && all > 0 && (
                    <span className="quiet"> ({percent((100 * answers) / all)})</span>
                  )}
                </td>
                <td data-label="Errors" className={version.errors > 0 ? 'number bad-text' : 'number'}>
                  {count(version.errors)}
                  {version.errors > 0 && ` (${percent(share)})`}
                </td>
                <td data-label="p50" className="number">{time(version.p50)}</td>
                <td data-label="p99" className="number">{time(version.p99)}</td>
                <td data-label="In flight" className="number">{version.in_flight}</td>
                <td data-label="Instances" className="number">{version.instances}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
