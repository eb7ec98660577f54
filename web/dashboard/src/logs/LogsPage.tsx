// Structured logs: what guests print and what the host says of them, newest first.
import { useCallback, useEffect, useState } from 'react';
import type { LogLine } from '../api/types';
import { withoutEscapes } from '../shared/ansi';
import { IconButton, SearchField, Select, ServiceName, ServiceSelect } from '../shared/Controls';
import { type Column, Grid } from '../shared/Grid';
import { ListStatus } from '../shared/ListStatus';
import { FailureNotice, StreamNotice } from '../shared/Notices';
import { formatRoute } from '../shared/route';
import { useSettings } from '../shared/settings';
import { clock } from '../shared/time';
import { unreadText, useUnread } from '../shared/unread';
import { useLiveList } from '../shared/useLiveList';
import { useNarrow } from '../shared/useMedia';
import { useRoute, useSetParams } from '../shared/useRoute';
import { LogDetails } from './LogDetails';
import { Marked } from '../console/Text';
import { WindowChip } from '../shared/WindowChip';
import { keyOfLine, levels, logQuery, rangesWith } from './query';

export function LogsPage() {
  const { query } = useRoute();
  const setParams = useSetParams();
  const [paused, setPaused] = useState(false);
  const narrow = useNarrow();
  const view = useLiveList<LogLine>({
    path: 'api/logs',
    query: logQuery(query),
    key: keyOfLine,
    // What has an end in the past does not grow.
    following: !paused && !query.has('until'),
  });
  const { list, stream, retryStream } = view;
  const { count: unread, markRead } = useUnread();
  const looksAtErrors = query.get('level') === 'error' && !query.has('service');
  const newest = looksAtErrors ? list.at(0)?.id : undefined;
  useEffect(() => {
    if (newest !== undefined) markRead(newest);
  }, [newest, markRead]);
  const item = query.get('item') ?? undefined;
  const [opened, setOpened] = useState<LogLine>();
  // A deep link names a line that may still be on its way, or in a page that was let go.
  const line =
    item === undefined
      ? undefined
      : (list.find(item) ?? (opened && keyOfLine(opened) === item ? opened : undefined));

  const open = useCallback(
    (chosen: LogLine) => {
      setOpened(chosen);
      setParams({ item: keyOfLine(chosen) }, 'replace');
    },
    [setParams],
  );
  const onRange = useCallback((from: number, to: number) => list.look(from, to), [list]);
  const trace = query.get('trace') ?? query.get('request');

  return (
    <section className="page" aria-label="Structured logs">
      <div className="toolbar">
        <h1>Logs</h1>
        <ServiceSelect value={query.get('service') ?? ''} onChange={(service) => setParams({ service })} />
        <Select
          label="Level"
          value={query.get('level') ?? ''}
          options={[
            ['', 'All levels'],
            ...levels.map((level) => [level, level === 'error' ? 'error' : `${level} and above`] as const),
          ]}
          onChange={(level) => setParams({ level })}
        />
        <Select
          label="Time"
          value={query.get('since') ?? ''}
          options={rangesWith(query.get('since'))}
          onChange={(since) => setParams({ since })}
        />
        <Select
          label="Source"
          value={query.get('source') ?? ''}
          options={[
            ['', 'All sources'],
            ['guest', 'Guests'],
            ['host', 'Host'],
            ['outside', 'Others'],
          ]}
          onChange={(source) => setParams({ source })}
        />
        <SearchField
          label="Search logs"
          value={query.get('search') ?? ''}
          onChange={(search) => setParams({ search }, 'replace')}
        />
        <WindowChip />
        {trace !== null && (
          <button
            type="button"
            className="chip"
            onClick={() => setParams({ trace: undefined, request: undefined })}
          >
            trace {trace.slice(0, 8)} <span aria-hidden="true">×</span>
            <span className="hidden-text">remove the filter</span>
          </button>
        )}
        {unread > 0 && (
          <button type="button" className="chip" onClick={() => markRead()}>
            Mark {unreadText(unread)} {unread === 1 ? 'error' : 'errors'} as read
          </button>
        )}
        <span className="spacer" />
        <IconButton
          icon={paused ? 'play' : 'pause'}
          label={paused ? 'Resume' : 'Pause'}
          pressed={paused}
          onClick={() => setPaused(!paused)}
        />
        <IconButton icon="clear" label="Clear the view" onClick={() => list.clear()} />
      </div>
      <StreamNotice stream={stream} onRetry={retryStream} />
      {list.failure && <FailureNotice failure={list.failure} onRetry={retryStream} />}
      <div className="split">
        <Grid<LogLine>
          label="Log lines"
          className="grid-logs"
          columns={useColumns(query.get('search') ?? '')}
          count={list.length}
          rowHeight={narrow ? 50 : 27}
          shift={list.prepended}
          epoch={list.epoch}
          selected={item}
          at={(index) => list.at(index)}
          keyOf={keyOfLine}
          rowClass={(row) => `level-${row.level}`}
          onOpen={open}
          onRange={onRange}
        />
        {line && <LogDetails line={line} onClose={() => setParams({ item: undefined }, 'replace')} />}
      </div>
      <ListStatus list={list} stream={stream} paused={paused} what="lines" />
    </section>
  );
}

function useColumns(search: string): readonly Column<LogLine>[] {
  const { zone } = useSettings();
  return [
    { key: 'time', label: 'Time', className: 'mono', render: (line) => clock(line.time, zone) },
    {
      key: 'level',
      label: 'Level',
      render: (line) => <span className={`level ${line.level}`}>{line.level}</span>,
    },
    { key: 'service', label: 'Service', render: (line) => <ServiceName service={line.service} /> },
    {
      key: 'message',
      label: 'Message',
      className: 'message',
      render: (line) => {
        const text = withoutEscapes(line.message);
        return (
          <span title={text}>
            <Marked text={text} search={search} />
          </span>
        );
      },
    },
    {
      key: 'trace',
      label: 'Trace',
      className: 'mono',
      render: (line) =>
        line.trace === null ? (
          '–'
        ) : (
          <a href={formatRoute('traces', line.trace, { span: line.span ?? undefined })} tabIndex={-1}>
            {line.trace.slice(0, 8)}
          </a>
        ),
    },
  ];
}
