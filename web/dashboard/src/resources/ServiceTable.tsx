// All services with their state and what they do at the moment.
import type { Resources, ServiceResource } from '../api/types';
import { ServiceName } from '../shared/Controls';
import { formatRoute } from '../shared/route';
import { count, duration, rate } from '../shared/time';
import { useRoute, useSetParams } from '../shared/useRoute';
import { agreed, agreedText } from '../versions/replicas';
import { nextOrder, parseOrder, sorted, type SortValue } from './sort';
import { State } from './State';

interface Column {
  readonly key: string;
  readonly label: string;
  readonly number?: boolean;
  value(service: ServiceResource): SortValue;
  show(service: ServiceResource): React.ReactNode;
}

const columns: readonly Column[] = [
  {
    key: 'name',
    label: 'Name',
    value: (service) => service.service,
    show: (service) => (
      <a className="strong" href={formatRoute('resources', service.service)}>
        <ServiceName service={service.service} />
      </a>
    ),
  },
  {
    key: 'state',
    label: 'State',
    value: (service) => service.state,
    show: (service) => <State service={service} />,
  },
  {
    key: 'route',
    label: 'Route',
    value: (service) => service.route,
    show: (service) =>
      service.route === null ? (
        <span className="quiet">internal</span>
      ) : (
        <a href={service.address} target="_blank" rel="noreferrer noopener">
          {service.route}
        </a>
      ),
  },
  {
    key: 'version',
    label: 'Version',
    value: (service) => service.version,
    show: (service) => <Version service={service} />,
  },
  {
    key: 'rate',
    label: 'Requests',
    number: true,
    value: (service) => service.rate,
    show: (service) => rate(service.rate),
  },
  {
    key: 'errors',
    label: 'Errors',
    number: true,
    value: (service) => service.errors,
    show: (service) => <Errors service={service} />,
  },
  {
    key: 'p50',
    label: 'p50',
    number: true,
    value: (service) => service.p50,
    show: (service) => time(service.p50),
  },
  {
    key: 'p99',
    label: 'p99',
    number: true,
    value: (service) => service.p99,
    show: (service) => time(service.p99),
  },
  {
    key: 'load',
    label: 'In flight',
    number: true,
    value: (service) => service.in_flight,
    show: (service) => (
      <>
        {service.in_flight}
        {service.queued > 0 && <span className="warn-text"> +{service.queued} wait</span>}
      </>
    ),
  },
  {
    key: 'instances',
    label: 'Instances',
    number: true,
    value: (service) => service.instances,
    show: (service) => (service.kind === 'static' ? '–' : service.instances),
  },
  {
    key: 'replicas',
    label: 'Replicas',
    number: true,
    value: (service) => agreed(service.replicas ?? []).serving,
    show: (service) => <Replicas service={service} />,
  },
  {
    key: 'served',
    label: 'Served',
    number: true,
    value: (service) => service.served,
    show: (service) => count(service.served),
  },
  {
    key: 'links',
    label: 'Go to',
    value: () => null,
    show: (service) => (
      <span className="row links">
        {service.kind === 'component' && (
          <a href={formatRoute('console', undefined, { service: service.service })}>console</a>
        )}
        <a href={formatRoute('logs', undefined, { service: service.service })}>logs</a>
        <a href={formatRoute('traces', undefined, { service: service.service })}>traces</a>
        {service.kind === 'component' && <a href={formatRoute('versions', service.service)}>versions</a>}
      </span>
    ),
  },
];

export function ServiceTable({ resources, search }: { resources: Resources; search: string }) {
  const { query } = useRoute();
  const setParams = useSetParams();
  const order = parseOrder(query.get('sort'));
  const word = search.trim().toLowerCase();
  const matching = resources.services.filter((service) => service.service.toLowerCase().includes(word));
  const isAlone = resources.services.every((service) => (service.replicas ?? []).length === 0);
  const shown = columns.filter((one) => one.key !== 'replicas' || !isAlone);
  const column = shown.find((one) => one.key === order?.by);
  const rows = column ? sorted(matching, column.value, order?.down ?? false) : matching;
  return (
    <div className="table-frame" tabIndex={0} role="region" aria-label="Services">
      <table className="services stacks">
        <caption>Services</caption>
        <thead>
          <tr>
            {shown.map(({ key, label, number }) => (
              <th
                key={key}
                scope="col"
                className={number ? 'number' : undefined}
                aria-sort={order?.by === key ? (order.down ? 'descending' : 'ascending') : undefined}
              >
                {key === 'links' ? (
                  label
                ) : (
                  <button
                    type="button"
                    className="sort"
                    onClick={() => setParams({ sort: nextOrder(order, key) }, 'replace')}
                  >
                    {label}
                    <span aria-hidden="true">{order?.by === key ? (order.down ? ' ↓' : ' ↑') : ''}</span>
                  </button>
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((service) => (
            <tr key={service.service}>
              {shown.map(({ key, label, number, show }) => (
                <td key={key} data-label={label} className={number ? 'number' : undefined}>
                  {show(service)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length === 0 && <p className="empty">No service is called so.</p>}
    </div>
  );
}

const time = (micros: number | null) =>
  micros === null ? <span className="quiet">–</span> : duration(micros);

function Version({ service }: { service: ServiceResource }) {
  if (service.version === null)
    return <span className="quiet">{service.kind === 'static' ? 'files' : '–'}</span>;
  return (
    <a className="mono" href={formatRoute('versions', service.service)}>
      {service.version}
    </a>
  );
}

/** How many of the replicas serve the same, as a link to all of them. */
function Replicas({ service }: { service: ServiceResource }) {
  const replicas = service.replicas ?? [];
  if (replicas.length === 0) return <span className="quiet">–</span>;
  const found = agreed(replicas);
  return (
    <a
      href={formatRoute('versions', service.service)}
      className={found.serving < found.all ? 'badge warn' : undefined}
      title={found.generation === null ? 'none serves' : `they serve generation ${found.generation}`}
    >
      {agreedText(found)}
    </a>
  );
}

/** Errors of the last minute, or of the whole run, as a link to their log lines. */
function Errors({ service }: { service: ServiceResource }) {
  const before = service.failed + service.refused;
  if (service.errors === 0 && before === 0) return <span className="quiet">0</span>;
  const href = formatRoute('traces', undefined, { service: service.service, errors: true });
  return (
    <a
      href={href}
      className={service.errors > 0 ? 'badge bad' : 'quiet'}
      title={`${service.failed} failed and ${service.refused} refused since the start`}
    >
      {service.errors > 0 ? rate(service.errors) : `${count(before)} before`}
    </a>
  );
}
