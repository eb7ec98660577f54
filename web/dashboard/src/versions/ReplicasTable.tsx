// The replicas of the application, with what each serves of one service.
import type { ReplicaStatus } from '../api/types';
import { duration } from '../shared/time';
import { agreed } from './replicas';

const looks: Readonly<Record<ReplicaStatus['state'], string>> = {
  serving: 'good',
  joining: 'note',
  lost: 'bad',
};

export function ReplicasTable({ replicas }: { replicas: readonly ReplicaStatus[] }) {
  const { generation } = agreed(replicas);
  const isBehind = (replica: ReplicaStatus) =>
    replica.state === 'serving' && replica.generation !== generation;
  return (
    <div className="table-frame flat" tabIndex={0} role="region" aria-label="What each replica serves">
      <table className="stacks">
        <thead>
          <tr>
            <th scope="col">Replica</th>
            <th scope="col">State</th>
            <th
              scope="col"
              className="number"
              title="Counts up with every version that all replicas put into service"
            >
              Generation
            </th>
            <th scope="col" className="number" title="How long the others count on it without hearing of it">
              Lease
            </th>
          </tr>
        </thead>
        <tbody>
          {replicas.map((replica) => (
            <tr key={replica.replica}>
              <td data-label="Replica" className="mono">{replica.replica}</td>
              <td data-label="State">
                <span className={`badge ${looks[replica.state] ?? ''}`}>{replica.state}</span>
              </td>
              <td data-label="Generation" className={isBehind(replica) ? 'number warn-text' : 'number'}>
                {replica.generation ?? '–'}
              </td>
              <td data-label="Lease" className="number">
                {replica.state === 'lost' ? 'ended' : duration(replica.lease_ms * 1000)}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
