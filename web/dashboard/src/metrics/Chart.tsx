// A chart of lines over time, with points that lead to traces.
//
// The library draws on a canvas; what can be pressed lies above it as links, so that it has a
// name, a focus and an address.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { Exemplar } from '../api/types';
import { formatRoute } from '../shared/route';
import { useSettings } from '../shared/settings';
import { clock, inUnit } from '../shared/time';
import { useMedia } from '../shared/useMedia';
import { type Chart as ChartData, spread } from './series';
import { steps } from './ticks';

interface Place {
  readonly exemplar: Exemplar;
  readonly x: number;
  readonly y: number;
}

const heightPixels = 320;
const exemplarsShown = 40;

export function Chart(props: {
  chart: ChartData;
  unit: string;
  rate: boolean;
  exemplars: readonly Exemplar[];
  label: string;
  onPoint: (index: number | null) => void;
  /** A part of the time, in microseconds, that is looked at closer; undefined for all of it. */
  onWindow: (window: readonly [number, number] | undefined) => void;
}) {
  const { chart, unit, rate, exemplars, label, onPoint, onWindow } = props;
  const { theme, zone } = useSettings();
  const dark = useMedia('(prefers-color-scheme: dark)');
  const frame = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const zoomed = useRef(false);
  const [places, setPlaces] = useState<readonly Place[]>([]);
  // What changes with every refresh must not make another chart.
  const latest = useRef({ chart, exemplars, onPoint, onWindow });
  useLayoutEffect(() => {
    latest.current = { chart, exemplars, onPoint, onWindow };
  });

  const shape = JSON.stringify(chart.lines.map(({ label, hue, dash }) => [label, hue, dash]));
  const options = useMemo(
    () => ({ shape: JSON.parse(shape) as [string, number, boolean][], unit, rate, zone, theme, dark }),
    [shape, unit, rate, zone, theme, dark],
  );

  useEffect(() => {
    const element = frame.current;
    if (!element) return;
    const style = getComputedStyle(element);
    const colour = (name: string) => style.getPropertyValue(name).trim();
    const show = (value: number) => (options.rate ? `${inUnit(value, '1')}/s` : inUnit(value, options.unit));
    const axis = {
      stroke: colour('--quiet'),
      grid: { stroke: colour('--line'), width: 1 },
      ticks: { stroke: colour('--line'), width: 1 },
      font: '11px system-ui, sans-serif',
    };
    const made = new uPlot(
      {
        width: Math.max(200, element.clientWidth),
        height: heightPixels,
        legend: { show: false },
        cursor: { points: { size: 6 } },
        // Marks stand at whole hours of the clock that is shown.
        tzDate: (second) =>
          options.zone === 'utc' ? uPlot.tzDate(new Date(second * 1000), 'Etc/UTC') : new Date(second * 1000),
        axes: [
          {
            ...axis,
            space: 80,
            values: (_, splits) =>
              splits.map((second) => clock(second * 1_000_000, options.zone).slice(0, 8)),
          },
          { ...axis, size: 74, incrs: steps(options.unit, options.rate), values: (_, splits) => splits.map(show) },
        ],
        scales: { y: { range: (_, __, most) => [0, most > 0 ? most * 1.08 : 1] } },
        series: [
          {},
          ...options.shape.map(([name, hue, dash]) => ({
            label: name,
            stroke: colour(`--hue-${hue}`),
            width: 1.75,
            ...(dash ? { dash: [6, 4] } : {}),
            points: { show: false },
            spanGaps: false,
          })),
        ],
        hooks: {
          setCursor: [(self) => latest.current.onPoint(self.cursor.idx ?? null)],
          draw: [(self) => setPlaces(placesOf(self, latest.current.exemplars))],
          setSelect: [
            (self) => {
              const { left, width } = self.select;
              if (width === 0) return;
              zoomed.current = true;
              const at = (x: number) => Math.round(self.posToVal(x, 'x') * 1_000_000);
              latest.current.onWindow([at(left), at(left + width)]);
            },
          ],
        },
      },
      dataOf(latest.current.chart),
      element,
    );
    made.over.addEventListener('dblclick', () => {
      zoomed.current = false;
      latest.current.onWindow(undefined);
    });
    plot.current = made;
    const observer = new ResizeObserver(() => {
      made.setSize({ width: Math.max(200, element.clientWidth), height: heightPixels });
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = undefined;
    };
  }, [options]);

  useEffect(() => {
    plot.current?.setData(dataOf(chart), !zoomed.current);
  }, [chart, exemplars]);

  return (
    <div className="chart" role="figure" aria-label={label}>
      <div ref={frame} className="chart-canvas" aria-hidden="true" />
      {places.map(({ exemplar, x, y }) => (
        <a
          key={`${exemplar.trace} ${exemplar.time}`}
          className="exemplar"
          // A drag that begins here is meant for the chart.
          draggable={false}
          href={formatRoute('traces', exemplar.trace)}
          style={{ left: x, top: y }}
          aria-label={`Trace of a request at ${clock(exemplar.time, zone)}: ${inUnit(exemplar.value, unit)}`}
          title={`${clock(exemplar.time, zone)} · ${inUnit(exemplar.value, unit)} · open the trace`}
        />
      ))}
    </div>
  );
}

function dataOf(chart: ChartData): uPlot.AlignedData {
  return [[...chart.times], ...chart.lines.map((line) => [...line.values])] as uPlot.AlignedData;
}

function placesOf(plot: uPlot, exemplars: readonly Exemplar[]): Place[] {
  const { min, max } = plot.scales.x ?? {};
  if (min === undefined || max === undefined || min === null || max === null) return [];
  const top = plot.scales.y?.max ?? Infinity;
  return spread(exemplars, min * 1_000_000, max * 1_000_000, exemplarsShown).map((exemplar) => ({
    exemplar,
    x: plot.over.offsetLeft + plot.valToPos(exemplar.time / 1_000_000, 'x'),
    // One that is slower than the scale stands at its upper edge rather than outside.
    y: plot.over.offsetTop + plot.valToPos(Math.min(exemplar.value, top ?? Infinity), 'y'),
  }));
}
