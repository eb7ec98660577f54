// Signs in, then shows the page that the address names.
import { lazy, Suspense, useCallback, useEffect, useState } from 'react';
import { onSignedOut, openSession } from './api/client';
import { ConsolePage } from './console/ConsolePage';
import { LogsPage } from './logs/LogsPage';
import { RecordingsPage } from './recordings/RecordingsPage';
import { ResourcePage } from './resources/ResourcePage';
import { ResourcesPage } from './resources/ResourcesPage';
import { ApplicationProvider } from './shared/application';
import { Boundary } from './shared/Boundary';
import { FailureNotice } from './shared/Notices';
import { UnreadProvider } from './shared/unread';
import { useLoad } from './shared/useLoad';
import { useRoute } from './shared/useRoute';
import { Shell } from './shell/Shell';
import { SignedOut } from './shell/SignedOut';
import { TracePage } from './trace/TracePage';
import { TracesPage } from './traces/TracesPage';
import { VersionsPage } from './versions/VersionsPage';

// The chart library is a third of the page and most visits do not need it.
const MetricsPage = lazy(() => import('./metrics/MetricsPage'));

export function App() {
  const [signedOut, setSignedOut] = useState(false);
  useEffect(() => onSignedOut(() => setSignedOut(true)), []);
  const load = useCallback((signal: AbortSignal) => openSession(signal), []);
  const session = useLoad(load);

  if (signedOut) return <SignedOut />;
  if (session.data) {
    return (
      <ApplicationProvider session={session.data}>
        <UnreadProvider>
          <Shell>
            <Boundary>
              <Suspense fallback={<p className="empty">Loading…</p>}>
                <Page />
              </Suspense>
            </Boundary>
          </Shell>
        </UnreadProvider>
      </ApplicationProvider>
    );
  }
  return (
    <main className="alone">
      {session.failure ? (
        <>
          <h1>wasm-host</h1>
          <FailureNotice failure={session.failure} onRetry={session.reload} />
        </>
      ) : (
        <p className="empty">Opening the session…</p>
      )}
    </main>
  );
}

function Page() {
  const { page, subject } = useRoute();
  switch (page) {
    case 'resources':
      return subject === undefined ? <ResourcesPage /> : <ResourcePage key={subject} service={subject} />;
    case 'console':
      return <ConsolePage />;
    case 'logs':
      return <LogsPage />;
    case 'traces':
      return subject === undefined ? <TracesPage /> : <TracePage key={subject} id={subject} />;
    case 'metrics':
      return <MetricsPage />;
    case 'versions':
      return <VersionsPage />;
    case 'recordings':
      return <RecordingsPage />;
  }
}
