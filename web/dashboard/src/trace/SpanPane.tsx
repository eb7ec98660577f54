// One span with all that is known about it.
import { useState } from 'react';
import type { LogLine, Span, Trace } from '../api/types';
import { withoutEscapes } from '../shared/ansi';
import { CopyButton } from '../shared/CopyButton';
import { ServiceName, Tabs } from '../shared/Controls';
import { DetailsPane } from '../shared/DetailsPane';
import { Properties, shown } from '../shared/Properties';
import { formatRoute } from '../shared/route';
import { useSettings } from '../shared/settings';
import { clock, dateTime, duration } from '../shared/time';
import { attribute } from './attribute';
import { Conversation } from './Conversation';
import { modelCall } from './genai';

/** Shown as text of their own, since they are what one came for. */
const texts: readonly string[] = ['db.query.text'];
const messageKeys: readonly string[] = ['gen_ai.input.messages', 'gen_ai.output.messages'];

export function SpanPane({ trace, span, onClose }: { trace: Trace; span: Span; onClose: () => void }) {
  const { zone } = useSettings();
  const call = modelCall(span);
  const [tab, setTab] = useState<'talk' | 'span'>('talk');
  const lines = trace.logs.filter((line) => line.span === span.span);
  const attributes = Object.entries(span.attributes).filter(
    ([name]) => !texts.includes(name) && !(call && messageKeys.includes(name)),
  );
  const talk = call !== undefined && tab === 'talk';
  return (
    <DetailsPane
      title={span.name}
      label="Details of the span"
      onClose={onClose}
      actions={<CopyButton label="Copy the span as JSON" text={() => JSON.stringify(span, null, 2)} />}
    >
      {call && (
        <Tabs
          label="View"
          value={tab}
          options={[
            ['talk', 'Conversation'],
            ['span', 'Span'],
          ]}
          onChange={(value) => setTab(value as 'talk' | 'span')}
        />
      )}
      {span.status === 'error' && (
        <div className="notice bad">
          <strong>{span.message ?? 'Failed'}</strong>
        </div>
      )}
      {talk ? (
        <Conversation call={call} micros={span.duration} />
      ) : (
        <>
          {texts.map(
            (name) =>
              span.attributes[name] !== undefined && (
                <pre key={name} className="message-block">
                  {shown(span.attributes[name])}
                </pre>
              ),
          )}
          <Properties
            rows={[
              ['Service', <ServiceName key="service" service={span.service} />],
              ['Duration', duration(span.duration)],
              ['Start', `${dateTime(span.start, zone)} (+${duration(span.start - trace.start)})`],
              ['Kind', span.kind],
              ['Version', span.version],
              ['Scope', span.scope],
              ['Span', span.span],
              ['Parent', span.parent],
            ]}
          />
          {attributes.length > 0 && (
            <>
              <h3>Attributes</h3>
              <Properties rows={attributes.map(([name, value]) => [name, attribute(name, value)])} />
            </>
          )}
        </>
      )}
      {span.events.length > 0 && (
        <>
          <h3>Events</h3>
          <Properties
            rows={span.events.map((event) => [
              `+${duration(event.time - span.start)}`,
              [
                event.name,
                ...Object.entries(event.attributes).map(([name, value]) => `${name}=${shown(value)}`),
              ].join(' '),
            ])}
          />
        </>
      )}
      {span.links.length > 0 && (
        <>
          <h3>Links</h3>
          <ul className="plain">
            {span.links.map((link, index) => (
              <li key={index}>
                <a href={formatRoute('traces', link.trace, { span: link.span })}>
                  trace {link.trace.slice(0, 12)}
                </a>
              </li>
            ))}
          </ul>
        </>
      )}
      {lines.length > 0 && (
        <>
          <h3>Log lines</h3>
          <TraceLines lines={lines} />
        </>
      )}
    </DetailsPane>
  );
}

export function TraceLines({ lines }: { lines: readonly LogLine[] }) {
  const { zone } = useSettings();
  return (
    <ul className="trace-lines">
      {lines.map((line) => (
        <li key={line.id}>
          <span className="mono">{clock(line.time, zone)}</span>{' '}
          <span className={`level ${line.level}`}>{line.level}</span> {withoutEscapes(line.message)}
        </li>
      ))}
    </ul>
  );
}
