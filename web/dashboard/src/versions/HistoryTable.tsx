// What was put into service, and what became of it, newest first.
import type { Attempt, Verdict } from '../api/types';
import { useSettings } from '../shared/settings';
import { count, dateTime, duration } from '../shared/time';

const looks: Readonly<Record<Verdict, string>> = {
  activated: 'good',
  canary: 'note',
  rejected: 'bad',
  'taken-back': 'bad',
  unchanged: '',
};

export function VerdictBadge({ verdict }: { verdict: Verdict }) {
  return <span className={`badge ${looks[verdict] ?? ''}`}>{verdict.replace('-', ' ')}</span>;
}

export const shortDigest = (digest: string | null) => (digest === null ? '–' : digest.slice(0, 12));

export function HistoryTable({ history }: { history: readonly Attempt[] }) {
  const { zone } = useSettings();
  return (
    <div className="table-frame flat" tabIndex={0} role="region" aria-label="History of versions">
      <table className="stacks">
        <thead>
          <tr>
            <th scope="col">When</th>
            <th scope="col">Version</th>
            <th scope="col">Verdict</th>
            <th scope="col">Why</th>
            <th scope="col" className="number">
              Took
            </th>
            <th scope="col" className="number">
              Served
            </th>
            <th scope="col">Asked by</th>
          </tr>
        </thead>
        <tbody>
          {history.toReversed().map((attempt) => (
            <tr key={attempt.number}>
              <td data-label="When" className="mono">{dateTime(attempt.at_ms * 1000, zone).slice(0, 19)}</td>
              <td data-label="Version" className="mono" title={attempt.path}>
                {shortDigest(attempt.digest)}
              </td>
              <td data-label="Verdict">
                <VerdictBadge verdict={attempt.verdict} />
              </td>
              <td data-label="Why" className="reason">
                <Reason attempt={attempt} />
              </td>
              <td data-label="Took" className="number">{duration(attempt.took_ms * 1000)}</td>
              <td data-label="Served" className="number">
                {attempt.served === null ? '–' : count(attempt.served)}
                {(attempt.cut ?? 0) > 0 && <span className="bad-text"> {attempt.cut} cut</span>}
              </td>
              <td data-label="Asked by" className="quiet">{attempt.cause}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Reason({ attempt }: { attempt: Attempt }) {
  const changes = [
    ...attempt.imports_added.map((name) => `+ ${name}`),
    ...attempt.imports_removed.map((name) => `− ${name}`),
  ];
  return (
    <>
      {attempt.reason}
      {changes.length > 0 && <span className="quiet mono"> {changes.join(' ')}</span>}
      {attempt.reason === null && changes.length === 0 && <span className="quiet">–</span>}
    </>
  );
}
