// The state of a service in a word and a colour.
import type { ServiceResource } from '../api/types';

const looks: Readonly<Record<ServiceResource['state'], string>> = {
  running: 'good',
  canary: 'note',
  starting: 'warn',
  failed: 'bad',
};

export function State({ service }: { service: ServiceResource }) {
  return (
    <span
      className={`badge ${looks[service.state] ?? ''}`}
      title={service.canary === null ? undefined : `On trial: ${service.canary}`}
    >
      {service.state}
      {service.canary !== null && <span className="mono"> {service.canary}</span>}
    </span>
  );
}
