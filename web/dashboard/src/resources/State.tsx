// The state of a service, or of a backend, in a word and a colour.
import type { BackendResource, ServiceResource } from '../api/types';

const looks: Readonly<Record<ServiceResource['state'], string>> = {
  running: 'good',
  canary: 'note',
  'standing in': 'warn',
  'no database': 'bad',
};

const backendLooks: Readonly<Record<BackendResource['state'], string>> = {
  up: 'good',
  'standing in': 'warn',
  down: 'bad',
};

/** How bad the state of a service is: `good`, `note`, `warn`, `bad`. */
export const lookOf = (service: ServiceResource) => looks[service.state] ?? '';

export const lookOfBackend = (backend: BackendResource) => backendLooks[backend.state] ?? '';

export function State({ service }: { service: ServiceResource }) {
  return (
    <span
      className={`badge ${lookOf(service)}`}
      title={service.canary === null ? undefined : `On trial: ${service.canary}`}
    >
      {service.state}
      {service.canary !== null && <span className="mono"> {service.canary}</span>}
    </span>
  );
}
