// What guests print, as a terminal shows it: one service, or all with a colour each.
import { useMemo, useState } from 'react';
import type { LogLine } from '../api/types';
import { keyOfLine } from '../logs/query';
import { CopyButton } from '../shared/CopyButton';
import { IconButton, SearchField } from '../shared/Controls';
import { ListStatus } from '../shared/ListStatus';
import { FailureNotice, StreamNotice } from '../shared/Notices';
import { useSettings } from '../shared/settings';
import { useLiveList } from '../shared/useLiveList';
import { useRoute, useSetParams } from '../shared/useRoute';
import { asText, save } from './download';
import { Lines } from './Lines';
import { ServicePicker } from './ServicePicker';

export function ConsolePage() {
  const { query } = useRoute();
  const setParams = useSetParams();
  const { zone } = useSettings();
  const [paused, setPaused] = useState(false);
  const [follows, setFollows] = useState(true);
  const services = useMemo(() => query.getAll('service'), [query]);
  const search = query.get('search') ?? '';
  const wrap = query.get('wrap') !== 'false';
  const { list, version, stream, retryStream } = useLiveList<LogLine>({
    path: 'api/logs',
    query: { source: 'guest', service: services, search },
    key: keyOfLine,
    following: !paused,
  });

  const download = () => {
    const lines = [...list.items()].reverse();
    const name = services.length === 1 ? services[0] : 'console';
    save(`${name}.log`, asText(lines));
  };

  return (
    <section className="page" aria-label="Console">
      <div className="toolbar">
        <h1>Console</h1>
        <ServicePicker chosen={services} onChange={(service) => setParams({ service })} />
        <SearchField
          label="Search output"
          value={search}
          onChange={(value) => setParams({ search: value }, 'replace')}
        />
        <span className="spacer" />
        <IconButton
          icon={paused ? 'play' : 'pause'}
          label={paused ? 'Resume' : 'Pause'}
          pressed={paused}
          onClick={() => setPaused(!paused)}
        />
        <IconButton
          icon="wrap"
          label="Wrap lines"
          pressed={wrap}
          onClick={() => setParams({ wrap: wrap ? 'false' : undefined }, 'replace')}
        />
        <CopyButton label="Copy what is held" text={() => asText([...list.items()].reverse())} />
        <IconButton icon="download" label="Download" onClick={download} />
        <IconButton icon="clear" label="Clear the view" onClick={() => list.clear()} />
      </div>
      <StreamNotice stream={stream} onRetry={retryStream} />
      {list.failure && <FailureNotice failure={list.failure} onRetry={retryStream} />}
      <Lines
        list={list}
        version={version}
        wrap={wrap}
        zone={zone}
        search={search}
        withService={services.length !== 1}
        follows={follows}
        onFollows={setFollows}
      />
      <ListStatus list={list} stream={stream} paused={paused} what="lines" />
    </section>
  );
}
