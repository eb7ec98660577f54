// The frame around every page: where one can go, search, help, settings.
import { type ReactNode, useCallback, useEffect, useState } from 'react';
import { lookOf } from '../resources/State';
import { useApplication } from '../shared/application';
import { IconButton } from '../shared/Controls';
import { Icon, type IconName } from '../shared/Icon';
import { StreamNotice } from '../shared/Notices';
import { formatRoute, type PageName } from '../shared/route';
import { unreadText, useUnread } from '../shared/unread';
import { useRoute } from '../shared/useRoute';
import { HelpDialog } from './HelpDialog';
import { SearchDialog } from './SearchDialog';
import { SettingsDialog } from './SettingsDialog';
import { useShortcuts } from './useShortcuts';

export const destinations: readonly { page: PageName; title: string; icon: IconName; shortcut: string }[] = [
  { page: 'resources', title: 'Resources', icon: 'resources', shortcut: 'r' },
  { page: 'console', title: 'Console', icon: 'console', shortcut: 'c' },
  { page: 'logs', title: 'Logs', icon: 'logs', shortcut: 's' },
  { page: 'traces', title: 'Traces', icon: 'traces', shortcut: 't' },
  { page: 'metrics', title: 'Metrics', icon: 'metrics', shortcut: 'm' },
  { page: 'versions', title: 'Versions', icon: 'versions', shortcut: 'v' },
  { page: 'recordings', title: 'Recordings', icon: 'recordings', shortcut: '' },
];

/** Pages of what is kept, and pages that show rates beside other things. */
const telemetryPages: readonly PageName[] = ['console', 'logs', 'traces', 'metrics'];
const ratePages: readonly PageName[] = ['resources', 'versions'];
const followingPages: readonly PageName[] = ['console', 'logs', 'traces'];

export type OpenDialog = 'help' | 'search' | 'settings' | undefined;

export function Shell({ children }: { children: ReactNode }) {
  const { session, resources, stream, retry } = useApplication();
  const { page, subject } = useRoute();
  const { count: unread } = useUnread();
  const [dialog, setDialog] = useState<OpenDialog>();
  const close = useCallback(() => setDialog(undefined), []);
  useShortcuts(setDialog);

  const here = destinations.find((destination) => destination.page === page)?.title ?? '';
  const title = subject === undefined ? here : `${subject.slice(0, 40)} · ${here}`;
  useEffect(() => {
    document.title = `${title} · ${session.application}`;
  }, [title, session.application]);

  // Pages that follow something themselves say so when it is lost; twice would be no clearer.
  const ownStream = followingPages.includes(page) && subject === undefined;
  const failing = resources?.services.filter((service) => lookOf(service) === 'bad').length ?? 0;
  const down = resources?.backends.filter((backend) => backend.state === 'down').length ?? 0;
  return (
    <div className="shell">
      <a className="skip" href="#main" onClick={skipToMain}>
        Skip to the page
      </a>
      <header className="top">
        <a className="brand" href="#/resources">
          <Logo />
          <span>{session.application}</span>
        </a>
        <button type="button" className="search-button" onClick={() => setDialog('search')}>
          <Icon name="search" />
          <span>Search everything</span>
          <kbd>/</kbd>
        </button>
        <LiveMark is={stream.is} />
        <IconButton icon="settings" label="Settings" onClick={() => setDialog('settings')} />
        <IconButton icon="help" label="Help" onClick={() => setDialog('help')} />
      </header>
      <nav className="side" aria-label="Pages">
        <ul>
          {destinations.map((destination) => (
            <li key={destination.page}>
              <a
                href={formatRoute(destination.page)}
                aria-current={destination.page === page ? 'page' : undefined}
                title={destination.shortcut === '' ? undefined : `Shortcut: ${destination.shortcut}`}
              >
                <Icon name={destination.icon} />
                <span>{destination.title}</span>
                {destination.page === 'resources' && failing + down > 0 && (
                  <b className="count bad" aria-label={`${failing + down} down`}>
                    {failing + down}
                  </b>
                )}
                {destination.page === 'logs' && unread > 0 && (
                  <b className="count bad">
                    {unreadText(unread)}
                    <span className="hidden-text"> unread {unread === 1 ? 'error' : 'errors'}</span>
                  </b>
                )}
              </a>
            </li>
          ))}
        </ul>
        <p className="quiet version">wasm-host {session.version}</p>
      </nav>
      <main id="main" tabIndex={-1}>
        {!ownStream && <StreamNotice stream={stream} onRetry={retry} />}
        {session.telemetry_off !== null && (telemetryPages.includes(page) || ratePages.includes(page)) && (
          <p className="notice warn" role="status">
            {session.telemetry_off}
            {ratePages.includes(page) && ' Rates, times and failures of the last minute are not measured.'}
          </p>
        )}
        {children}
      </main>
      {dialog === 'help' && <HelpDialog onClose={close} />}
      {dialog === 'search' && <SearchDialog onClose={close} />}
      {dialog === 'settings' && <SettingsDialog onClose={close} />}
    </div>
  );
}

/** The address bar belongs to the pages, so the link only moves the focus. */
function skipToMain(event: React.MouseEvent) {
  event.preventDefault();
  document.getElementById('main')?.focus();
}

function LiveMark({ is }: { is: string }) {
  const text =
    is === 'live'
      ? 'Live'
      : is === 'off'
        ? 'Paused'
        : is === 'stopped'
          ? 'Stopped'
          : is === 'connecting'
            ? 'Connecting'
            : 'Reconnecting';
  return (
    <span className={`live-mark ${is}`}>
      <i aria-hidden="true" />
      {text}
    </span>
  );
}

function Logo() {
  return (
    <svg className="logo" viewBox="0 0 32 32" aria-hidden="true">
      <path className="logo-outer" d="M16 2l12 7v14l-12 7-12-7V9z" />
      <path className="logo-inner" d="M16 9l6 3.5v7L16 23l-6-3.5v-7z" />
    </svg>
  );
}
