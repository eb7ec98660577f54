// One instrument: its chart or its figures, by dimensions, over a range of time.
import { useCallback, useMemo, useState } from 'react';
import { getJson } from '../api/client';
import type { Instrument, MetricData } from '../api/types';
import { useApplication } from '../shared/application';
import { colourOf } from '../shared/colours';
import { Select, Tabs } from '../shared/Controls';
import { FailureNotice } from '../shared/Notices';
import { formatRoute } from '../shared/route';
import { useSettings } from '../shared/settings';
import { clock, counted, inUnit } from '../shared/time';
import { useEvery, useLoad } from '../shared/useLoad';
import { useRoute, useSetParams } from '../shared/useRoute';
import { Chart } from './Chart';
import { chartOf, type Line, type Percentile, percentiles, summary } from './series';

const rangeNames = ['1m', '5m', '15m', '30m', '1h', '3h', '6h', '12h'];
const ranges = rangeNames.map((name) => [name, name] as const);
const rangeDefault = '15m';
/** Filters by dimension stand in the address behind this, so that none hides another parameter. */
const filterPrefix = 'f.';
const refreshMs = 5000;

export function InstrumentView({ instrument }: { instrument: Instrument }) {
  const { query } = useRoute();
  const setParams = useSetParams();
  const range = query.get('range') ?? rangeDefault;
  // The address may be of another instrument before.
  const asked = query.get('by') ?? '';
  const by = asked in instrument.dimensions ? asked : '';
  const asTable = query.get('view') === 'table';
  const percentile = percentiles.find((one) => one === query.get('show')) ?? 'p99';
  const filters = Object.entries(instrument.dimensions)
    .map(([name]) => [name, query.get(filterPrefix + name) ?? ''] as const)
    .filter(([, value]) => value !== '');
  const filterText = JSON.stringify(filters);
  const load = useCallback(
    (signal: AbortSignal) => {
      const chosen = Object.fromEntries(JSON.parse(filterText) as [string, string][]);
      const path = `api/metrics/${encodeURIComponent(instrument.name)}`;
      return getJson<MetricData>(path, { since: range, by, points: 120, ...chosen }, signal);
    },
    [instrument.name, range, by, filterText],
  );
  const loaded = useLoad(load);
  const { data, failure, loading, reload } = loaded;
  useEvery(refreshMs, loaded);
  const grouped = (data?.series.length ?? 0) > 1;
  const histogram = instrument.kind === 'histogram';
  const dimensions = Object.entries(instrument.dimensions);

  return (
    <div className="instrument">
      <header>
        <h2>{instrument.name}</h2>
        <p className="quiet">{instrument.description}</p>
      </header>
      <div className="toolbar inner">
        <Select
          label="Range"
          value={range}
          options={ranges}
          onChange={(value) => setParams({ range: value })}
        />
        <Select
          label="Group by"
          value={by}
          options={[['', 'nothing'], ...dimensions.map(([name]) => [name, name] as const)]}
          onChange={(value) => setParams({ by: value })}
        />
        {dimensions.map(([name, values]) => (
          <Select
            key={name}
            label={name}
            value={query.get(filterPrefix + name) ?? ''}
            options={[['', 'all'], ...values.map((value) => [value, value] as const)]}
            onChange={(value) => setParams({ [filterPrefix + name]: value })}
          />
        ))}
        {histogram && (
          <Tabs
            label="Figure"
            value={!grouped && percentile !== 'rate' ? 'percentiles' : percentile}
            options={
              grouped
                ? percentiles.map((one) => [one, one] as const)
                : [
                    ['percentiles', 'p50 p90 p99'],
                    ['rate', 'rate'],
                  ]
            }
            onChange={(value) => setParams({ show: value === 'percentiles' ? undefined : value }, 'replace')}
          />
        )}
        <span className="spacer" />
        <Tabs
          label="View"
          value={asTable ? 'table' : 'graph'}
          options={[
            ['graph', 'Graph'],
            ['table', 'Table'],
          ]}
          onChange={(value) => setParams({ view: value === 'table' ? 'table' : undefined }, 'replace')}
        />
      </div>
      {instrument.overflow && (
        <p className="notice warn">
          It has more combinations of dimensions than are kept; what came later is counted together.
        </p>
      )}
      {failure && <FailureNotice failure={failure} onRetry={reload} />}
      {!data && loading && <p className="empty">Reading…</p>}
      {data && <Figures data={data} asTable={asTable} percentile={percentile} />}
    </div>
  );
}

function Figures({
  data,
  asTable,
  percentile,
}: {
  data: MetricData;
  asTable: boolean;
  percentile: Percentile;
}) {
  const { zone } = useSettings();
  const [point, setPoint] = useState<number | null>(null);
  const [part, setPart] = useState<readonly [number, number]>();
  const { services } = useApplication();
  const chart = useMemo(
    () => chartOf(data, percentile, (service) => colourOf(service, services)),
    [data, percentile, services],
  );
  const rate = data.kind === 'counter' || (data.kind === 'histogram' && percentile === 'rate');
  const show = (value: number | null | undefined) =>
    value === null || value === undefined ? '–' : rate ? `${inUnit(value, '1')}/s` : inUnit(value, data.unit);
  if (chart.times.length === 0) return <p className="empty">Nothing was measured in this time.</p>;
  const exemplars = rate ? [] : (data.exemplars ?? []);
  return (
    <>
      {!asTable && (
        <Chart
          chart={chart}
          unit={data.unit}
          rate={rate}
          exemplars={exemplars}
          label={`${data.name}, ${counted(chart.lines.length, 'line')} over time; the table has the figures`}
          onPoint={setPoint}
          onWindow={setPart}
        />
      )}
      {!asTable && (
        <p className="quiet chart-note row">
          {point !== null && chart.times[point] !== undefined
            ? clock(chart.times[point] * 1_000_000, zone)
            : `Drag to look closer, double-click to go back.${exemplars.length > 0 ? ' Points are single requests.' : ''}`}
          {part && <PartLinks part={part} />}
        </p>
      )}
      <LineTable lines={chart.lines} show={show} point={asTable ? null : point} />
      {chart.omitted > 0 && <p className="quiet">{chart.omitted} more are not shown; filter to see them.</p>}
    </>
  );
}

/** From a peak to what happened in it. */
function PartLinks({ part: [since, until] }: { part: readonly [number, number] }) {
  const time = { since: String(since), until: String(until) };
  return (
    <>
      <a href={formatRoute('traces', undefined, time)}>Traces of this time</a>
      <a href={formatRoute('logs', undefined, time)}>Logs of this time</a>
    </>
  );
}

function LineTable(props: {
  lines: readonly Line[];
  show: (value: number | null | undefined) => string;
  point: number | null;
}) {
  const { lines, show, point } = props;
  return (
    <div className="table-frame flat" tabIndex={0} role="region" aria-label="Figures">
      <table className="legend stacks">
        <thead>
          <tr>
            <th scope="col">Line</th>
            <th scope="col" className="number">
              {point === null ? 'Last' : 'Here'}
            </th>
            <th scope="col" className="number">
              Least
            </th>
            <th scope="col" className="number">
              Mean
            </th>
            <th scope="col" className="number">
              Most
            </th>
          </tr>
        </thead>
        <tbody>
          {lines.map((line) => {
            const { last, least, most, mean } = summary(line.values);
            return (
              <tr key={line.label}>
                <td data-label="Line">
                  <span className={`service-name hue-${line.hue}`}>
                    <i aria-hidden="true" />
                    {line.label}
                  </span>
                </td>
                <td data-label={point === null ? 'Last' : 'Here'} className="number">{show(point === null ? last : line.values[point])}</td>
                <td data-label="Least" className="number">{show(least)}</td>
                <td data-label="Mean" className="number">{show(mean)}</td>
                <td data-label="Most" className="number">{show(most)}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
