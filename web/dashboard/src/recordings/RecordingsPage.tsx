// Requests that the host keeps as cases of a test, and what it keeps at the moment.
import { useCallback, useState } from 'react';
import { getJson, sendJson } from '../api/client';
import { type ApiFailure, asFailure } from '../api/failure';
import type { RecordedRequest, Recordings } from '../api/types';
import { Select, ServiceName } from '../shared/Controls';
import { useApplication } from '../shared/application';
import { Empty, FailureNotice } from '../shared/Notices';
import { formatRoute } from '../shared/route';
import { useSettings } from '../shared/settings';
import { dateTime } from '../shared/time';
import { useEvery, useLoad } from '../shared/useLoad';
import { SaveCaseButton } from '../trace/SaveCase';
import { Status } from '../traces/TracesPage';
import { requestsDefault } from './RecordButton';

const requestsMax = 1000;
const refreshMs = 2000;

export function RecordingsPage() {
  const load = useCallback((signal: AbortSignal) => getJson<Recordings>('api/recordings', {}, signal), []);
  const loaded = useLoad(load);
  const { data, failure, reload } = loaded;
  // Only while something is being recorded does anything come by itself.
  useEvery((data?.recording.length ?? 0) > 0 ? refreshMs : undefined, loaded);
  return (
    <section className="page scroll" aria-label="Recordings">
      <div className="toolbar">
        <h1>Recordings</h1>
      </div>
      {failure && <FailureNotice failure={failure} onRetry={reload} />}
      <div className="cards">
        <StartForm onStarted={reload} />
        {data && <Running recording={data.recording} onStopped={reload} />}
      </div>
      {data && <Items items={data.items} />}
    </section>
  );
}

function StartForm({ onStarted }: { onStarted: () => void }) {
  const { resources } = useApplication();
  const components = (resources?.services ?? []).filter((service) => service.kind === 'component');
  const [service, setService] = useState('');
  const [requests, setRequests] = useState(String(requestsDefault));
  const [only, setOnly] = useState<'all' | 'failures'>('all');
  const [failure, setFailure] = useState<ApiFailure>();
  const chosen = service || components[0]?.service || '';
  const number = Number(requests);
  const wrong = !Number.isInteger(number) || number < 1 || number > requestsMax;

  const start = async () => {
    setFailure(undefined);
    try {
      await sendJson('POST', 'api/recordings', {}, { service: chosen, requests: number, only });
      onStarted();
    } catch (error) {
      setFailure(asFailure(error));
    }
  };
  return (
    <form
      className="card"
      onSubmit={(event) => {
        event.preventDefault();
        void start();
      }}
    >
      <h2>Record</h2>
      <p className="quiet">
        The host keeps requests with their answers and what backends said to them. Secrets are left out.
      </p>
      <div className="row">
        <Select
          label="Service"
          value={chosen}
          options={components.map((one) => [one.service, one.service] as const)}
          onChange={setService}
        />
        <Select
          label="Which"
          value={only}
          options={[
            ['all', 'All requests'],
            ['failures', 'Only failures'],
          ]}
          onChange={(value) => setOnly(value as 'all' | 'failures')}
        />
        <label className="select">
          <span>Number</span>
          <input
            type="number"
            min={1}
            max={requestsMax}
            value={requests}
            aria-invalid={wrong}
            onChange={(event) => setRequests(event.target.value)}
          />
        </label>
        <button type="submit" className="primary" disabled={wrong || chosen === ''}>
          Record
        </button>
      </div>
      {failure && <FailureNotice failure={failure} />}
    </form>
  );
}

function Running({ recording, onStopped }: { recording: Recordings['recording']; onStopped: () => void }) {
  const [failure, setFailure] = useState<ApiFailure>();
  const stop = async (service: string) => {
    setFailure(undefined);
    try {
      await sendJson('DELETE', `api/recordings/${encodeURIComponent(service)}`);
      onStopped();
    } catch (error) {
      setFailure(asFailure(error));
    }
  };
  return (
    <section className="card" aria-label="Under way">
      <h2>Under way</h2>
      {recording.length === 0 ? (
        <p className="quiet">Nothing is being recorded.</p>
      ) : (
        <ul className="plain">
          {recording.map((one) => (
            <li key={one.service} className="row">
              <i className="recording-mark" aria-hidden="true" />
              <ServiceName service={one.service} />
              <span>
                {one.left} more {one.only === 'failures' ? 'failures' : 'requests'}
              </span>
              <button type="button" onClick={() => void stop(one.service)}>
                Stop<span className="hidden-text"> recording {one.service}</span>
              </button>
            </li>
          ))}
        </ul>
      )}
      {failure && <FailureNotice failure={failure} />}
    </section>
  );
}

function Items({ items }: { items: readonly RecordedRequest[] }) {
  const { zone } = useSettings();
  if (items.length === 0) return <Empty>No request has been recorded yet.</Empty>;
  return (
    <div className="table-frame" tabIndex={0} role="region" aria-label="Recorded requests">
      <table className="stacks">
        <thead>
          <tr>
            <th scope="col">Time</th>
            <th scope="col">Service</th>
            <th scope="col">Request</th>
            <th scope="col">Status</th>
            <th scope="col">File</th>
            <th scope="col">Actions</th>
          </tr>
        </thead>
        <tbody>
          {items.map((item) => (
            <tr key={item.id}>
              <td data-label="Time" className="mono">{dateTime(item.time, zone)}</td>
              <td data-label="Service">
                <ServiceName service={item.service} />
              </td>
              <td data-label="Request">
                {item.trace === null ? (
                  item.name
                ) : (
                  <a href={formatRoute('traces', item.trace)}>{item.name}</a>
                )}
              </td>
              <td data-label="Status">
                <Status status={item.status} error={item.error} />
              </td>
              <td data-label="File" className="mono">{item.file ?? '–'}</td>
              <td data-label="Actions">
                <SaveCaseButton id={item.id} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
