// One log line with all that is known about it.
import type { LogLine } from '../api/types';
import { withoutEscapes } from '../shared/ansi';
import { CopyButton } from '../shared/CopyButton';
import { ServiceName } from '../shared/Controls';
import { DetailsPane } from '../shared/DetailsPane';
import { Properties, shown } from '../shared/Properties';
import { formatRoute } from '../shared/route';
import { useSettings } from '../shared/settings';
import { dateTime } from '../shared/time';

export function LogDetails({ line, onClose }: { line: LogLine; onClose: () => void }) {
  const { zone } = useSettings();
  const fields = Object.entries(line.fields);
  return (
    <DetailsPane
      title="Log line"
      label="Details of the log line"
      onClose={onClose}
      actions={<CopyButton label="Copy the line as JSON" text={() => JSON.stringify(line, null, 2)} />}
    >
      <pre className="message-block">{withoutEscapes(line.message)}</pre>
      {line.trace !== null && (
        <p className="row">
          <a className="button" href={formatRoute('traces', line.trace, { span: line.span ?? undefined })}>
            Open the trace
          </a>
          <a className="button" href={formatRoute('logs', undefined, { trace: line.trace })}>
            All lines of the trace
          </a>
        </p>
      )}
      <Properties
        rows={[
          ['Time', dateTime(line.time, zone)],
          [
            'Level',
            <span key="level" className={`level ${line.level}`}>
              {line.level}
            </span>,
          ],
          ['Service', <ServiceName key="service" service={line.service} />],
          ['Version', line.version],
          ['Source', line.stream === null ? line.source : `${line.source}, ${line.stream}`],
          ['Request', line.request],
          ['Trace', line.trace],
          ['Span', line.span],
        ]}
      />
      {fields.length > 0 && (
        <>
          <h3>Fields</h3>
          <Properties rows={fields.map(([name, value]) => [name, shown(value)])} />
        </>
      )}
    </DetailsPane>
  );
}
