// Colours and clock of this browser, and the telemetry that the host keeps.
import { useState } from 'react';
import { sendJson } from '../api/client';
import { type ApiFailure, asFailure } from '../api/failure';
import { withQuery } from '../api/query';
import { ServiceSelect, Tabs } from '../shared/Controls';
import { Dialog } from '../shared/Dialog';
import { FailureNotice } from '../shared/Notices';
import { changeSettings, type Theme, useSettings } from '../shared/settings';
import type { Zone } from '../shared/time';

export function SettingsDialog({ onClose }: { onClose: () => void }) {
  const { theme, zone } = useSettings();
  const [service, setService] = useState('');
  const [asked, setAsked] = useState(false);
  const [done, setDone] = useState<string>();
  const [failure, setFailure] = useState<ApiFailure>();

  const remove = async () => {
    setAsked(false);
    setFailure(undefined);
    try {
      await sendJson('DELETE', 'api/telemetry', { service });
      setDone(service === '' ? 'All telemetry is deleted.' : `The telemetry of ${service} is deleted.`);
    } catch (error) {
      setFailure(asFailure(error));
    }
  };
  const signOut = async () => {
    try {
      await sendJson('POST', 'api/logout');
      window.location.reload();
    } catch (error) {
      setFailure(asFailure(error));
    }
  };

  return (
    <Dialog title="Settings" onClose={onClose} className="settings">
      <div className="setting">
        <h3>Colours</h3>
        <Tabs
          label="Colours"
          value={theme}
          options={[
            ['system', 'System'],
            ['light', 'Light'],
            ['dark', 'Dark'],
          ]}
          onChange={(value) => changeSettings({ theme: value as Theme })}
        />
      </div>
      <div className="setting">
        <h3>Clock</h3>
        <Tabs
          label="Clock"
          value={zone}
          options={[
            ['local', 'Local time'],
            ['utc', 'UTC'],
          ]}
          onChange={(value) => changeSettings({ zone: value as Zone })}
        />
      </div>
      <div className="setting">
        <h3>Telemetry on the host</h3>
        <p className="quiet">Logs, traces and metrics that the host has kept.</p>
        <div className="row">
          {['1h', '12h'].map((since) => (
            <a key={since} className="button" href={withQuery('api/export', { since })} download>
              Export last {since}
            </a>
          ))}
        </div>
        <div className="row">
          <ServiceSelect value={service} onChange={setService} />
          {asked ? (
            <>
              <button type="button" className="danger" onClick={() => void remove()}>
                Delete for good
              </button>
              <button type="button" onClick={() => setAsked(false)}>
                Keep
              </button>
            </>
          ) : (
            <button type="button" onClick={() => setAsked(true)}>
              Delete…
            </button>
          )}
        </div>
        {done !== undefined && <p role="status">{done}</p>}
        {failure && <FailureNotice failure={failure} />}
      </div>
      <div className="setting">
        <button type="button" onClick={() => void signOut()}>
          Sign out
        </button>
      </div>
    </Dialog>
  );
}
