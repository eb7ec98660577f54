// One search over everything: pages, services, requests, log lines.
import { useCallback, useEffect, useId, useMemo, useRef, useState } from 'react';
import { getJson } from '../api/client';
import type { SearchResult } from '../api/types';
import { Dialog } from '../shared/Dialog';
import { FailureNotice } from '../shared/Notices';
import { useApplication } from '../shared/application';
import { ServiceName } from '../shared/Controls';
import { withoutEscapes } from '../shared/ansi';
import { formatRoute } from '../shared/route';
import { useSettings } from '../shared/settings';
import { clock, duration } from '../shared/time';
import { useLoad } from '../shared/useLoad';
import { navigate } from '../shared/useRoute';
import { destinations } from './Shell';

interface Hit {
  readonly key: string;
  readonly href: string;
  readonly group: string;
  readonly content: React.ReactNode;
}

/** A pause in typing, so that not every letter is a question to the host. */
const pauseMs = 150;

export function SearchDialog({ onClose }: { onClose: () => void }) {
  const [text, setText] = useState('');
  const [words, setWords] = useState('');
  const [active, setActive] = useState(0);
  const list = useId();
  useEffect(() => {
    const timer = setTimeout(() => setWords(text.trim()), pauseMs);
    return () => clearTimeout(timer);
  }, [text]);
  const load = useCallback(
    async (signal: AbortSignal): Promise<SearchResult> =>
      words === ''
        ? { services: [], traces: [], logs: [] }
        : getJson<SearchResult>('api/search', { q: words, limit: 20 }, signal),
    [words],
  );
  const { data, failure, loading, reload } = useLoad(load);
  const hits = useHits(text, data);
  useEffect(() => setActive(0), [text, data]);

  const current = useRef<HTMLAnchorElement>(null);
  useEffect(() => {
    // In braces: newer browsers return a promise, which React would take for a clean-up.
    current.current?.scrollIntoView({ block: 'nearest' });
  }, [active]);
  const open = (hit: Hit | undefined) => {
    if (!hit) return;
    navigate(hit.href);
    onClose();
  };
  const onKeyDown = (event: React.KeyboardEvent) => {
    if (event.key === 'ArrowDown') setActive((row) => Math.min(hits.length - 1, row + 1));
    else if (event.key === 'ArrowUp') setActive((row) => Math.max(0, row - 1));
    else if (event.key === 'Enter') open(hits[active]);
    // A field for searches would take the key to empty itself, and the dialog would stay.
    else if (event.key === 'Escape') onClose();
    else return;
    event.preventDefault();
  };

  return (
    <Dialog title="Search everything" onClose={onClose} className="search">
      <input
        type="search"
        role="combobox"
        aria-label="Search everything"
        aria-expanded={hits.length > 0}
        aria-controls={list}
        aria-activedescendant={hits[active] ? `${list}-${active}` : undefined}
        placeholder="Services, requests, log lines, trace ids…"
        data-focus
        spellCheck={false}
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={onKeyDown}
      />
      {failure && <FailureNotice failure={failure} onRetry={reload} />}
      <div id={list} role="listbox" aria-label="Found" className="hits" tabIndex={-1}>
        {hits.map((hit, index) => (
          <a
            key={hit.key}
            id={`${list}-${index}`}
            ref={index === active ? current : undefined}
            role="option"
            aria-selected={index === active}
            tabIndex={-1}
            href={hit.href}
            onClick={(event) => {
              event.preventDefault();
              open(hit);
            }}
          >
            <span className="hit-group">{hit.group}</span>
            {hit.content}
          </a>
        ))}
      </div>
      <p className="quiet" role="status">
        {hits.length > 0
          ? `${hits.length} found`
          : failure || words === '' || loading || words !== text.trim()
            ? ' '
            : `Nothing matches “${words}”.`}
      </p>
    </Dialog>
  );
}

function useHits(text: string, data: SearchResult | undefined): readonly Hit[] {
  const { zone } = useSettings();
  const { resources } = useApplication();
  const others = resources?.others;
  return useMemo(() => {
    const word = text.trim().toLowerCase();
    const hits: Hit[] = [];
    for (const { page, title } of destinations) {
      if (word !== '' && !title.toLowerCase().includes(word)) continue;
      hits.push({ key: `page ${page}`, href: formatRoute(page), group: 'Page', content: title });
    }
    if (word === '' || !data) return hits;
    for (const { service } of data.services) {
      const content = <ServiceName service={service} />;
      hits.push({
        key: `service ${service}`,
        // What is no service of the application has no page but its telemetry.
        href: others?.includes(service)
          ? formatRoute('traces', undefined, { service })
          : formatRoute('resources', service),
        group: 'Service',
        content,
      });
    }
    for (const trace of data.traces) {
      const href = formatRoute('traces', trace.trace);
      const content = (
        <span className={trace.error ? 'hit bad-text' : 'hit'}>
          <small className="mono">{clock(trace.start, zone)}</small> <ServiceName service={trace.service} />{' '}
          {trace.name} <small>{duration(trace.duration)}</small>
        </span>
      );
      hits.push({ key: `trace ${trace.trace}`, href, group: 'Trace', content });
    }
    for (const line of data.logs) {
      const href = formatRoute('logs', undefined, { item: String(line.id), search: text.trim() });
      const content = (
        <span className="hit">
          <small className="mono">{clock(line.time, zone)}</small> <ServiceName service={line.service} />{' '}
          {withoutEscapes(line.message)}
        </span>
      );
      hits.push({ key: `log ${line.id}`, href, group: line.level, content });
    }
    return hits;
  }, [text, data, zone, others, destinations]);
}
