// The spans as bars over time, in a tree that opens and closes.
import { useVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useId, useMemo, useRef, useState } from 'react';
import { withoutEscapes } from '../shared/ansi';
import { useColour } from '../shared/application';
import type { Span } from '../api/types';
import { Icon, type IconName } from '../shared/Icon';
import { duration } from '../shared/time';
import { type Row, ticks, visibleRows, type Waterfall } from './waterfall';

const rowHeight = 28;
const headHeight = 28;

export function WaterfallView(props: {
  tree: Waterfall;
  selected: string | undefined;
  onSelect: (span: string) => void;
}) {
  const { tree, selected, onSelect } = props;
  const id = useId();
  const element = useRef<HTMLDivElement>(null);
  const [collapsed, setCollapsed] = useState<ReadonlySet<string>>(new Set());
  const rows = useMemo(() => visibleRows(tree.rows, collapsed), [tree, collapsed]);
  const chosen = rows.findIndex((row) => row.span.span === selected);
  const [active, setActive] = useState(chosen);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => element.current,
    estimateSize: () => rowHeight,
    overscan: 10,
    scrollMargin: headHeight,
    scrollPaddingStart: headHeight,
    useFlushSync: false,
  });
  // A link to a span shows it.
  const shownOnce = useRef(false);
  useEffect(() => {
    if (shownOnce.current || chosen < 0) return;
    shownOnce.current = true;
    setActive(chosen);
    virtual.scrollToIndex(chosen, { align: 'center' });
  }, [chosen, virtual]);

  const toggle = (span: string, close?: boolean) =>
    setCollapsed((before) => {
      const next = new Set(before);
      if (close ?? !before.has(span)) next.add(span);
      else next.delete(span);
      return next;
    });
  const go = (index: number) => {
    const next = Math.max(0, Math.min(rows.length - 1, index));
    setActive(next);
    virtual.scrollToIndex(next, { align: 'auto' });
    const row = rows[next];
    if (row && selected !== undefined) onSelect(row.span.span);
  };
  const sideways = (close: boolean) => {
    const row = rows[active];
    if (!row) return;
    const isClosed = collapsed.has(row.span.span);
    if (row.children > 0 && isClosed !== close) toggle(row.span.span, close);
    else if (close) go(rows.findLastIndex((other, index) => index < active && other.depth < row.depth));
    else go(active + 1);
  };
  const keys: Record<string, () => void> = {
    ArrowDown: () => go(active + 1),
    ArrowUp: () => go(active - 1),
    ArrowLeft: () => sideways(true),
    ArrowRight: () => sideways(false),
    Home: () => go(0),
    End: () => go(rows.length - 1),
    Enter: () => {
      const row = rows[active];
      if (row) onSelect(row.span.span);
    },
  };
  const inSight = virtual.getVirtualItems();
  const isActiveInSight = inSight.some((item) => item.index === active);

  return (
    <div
      ref={element}
      role="treegrid"
      tabIndex={0}
      className="grid waterfall"
      aria-label="Spans"
      aria-rowcount={rows.length + 1}
      aria-activedescendant={isActiveInSight ? `${id}-${active}` : undefined}
      onKeyDown={(event) => {
        if (event.target !== element.current || event.ctrlKey || event.metaKey || event.altKey) return;
        const action = keys[event.key];
        if (!action) return;
        event.preventDefault();
        action();
      }}
    >
      <div role="rowgroup" className="grid-head">
        <div role="row" aria-rowindex={1} className="grid-row">
          <div role="columnheader">Span</div>
          <div role="columnheader" className="ticks" aria-label="Time">
            <div className="scale">
              {ticks(tree.duration).map((tick, index) => (
                <span key={index} style={{ left: `${25 * index}%` }}>
                  {duration(tick)}
                </span>
              ))}
            </div>
          </div>
        </div>
      </div>
      <div role="rowgroup" className="grid-body" style={{ height: virtual.getTotalSize() }}>
        {inSight.map((item) => {
          const row = rows[item.index];
          if (!row) return null;
          return (
            <SpanRow
              key={row.span.span}
              id={`${id}-${item.index}`}
              row={row}
              index={item.index}
              top={item.start - headHeight}
              isActive={item.index === active}
              isSelected={row.span.span === selected}
              isCollapsed={collapsed.has(row.span.span)}
              onToggle={() => toggle(row.span.span)}
              onSelect={() => {
                setActive(item.index);
                onSelect(row.span.span);
              }}
            />
          );
        })}
      </div>
    </div>
  );
}

/** What is asked outside of the host, by the attributes that tell. */
function peerOf({ attributes }: Span): IconName | undefined {
  if (attributes['db.system.name'] !== undefined) return 'database';
  if (attributes['gen_ai.operation.name'] !== undefined) return 'model';
  return undefined;
}

function SpanRow(props: {
  id: string;
  row: Row;
  index: number;
  top: number;
  isActive: boolean;
  isSelected: boolean;
  isCollapsed: boolean;
  onToggle: () => void;
  onSelect: () => void;
}) {
  const { id, row, index, top, isActive, isSelected, isCollapsed, onToggle, onSelect } = props;
  const colour = useColour();
  const { span } = row;
  const failed = span.status === 'error';
  const peer = peerOf(span);
  const hidden = isCollapsed && row.errorsBelow > 0;
  return (
    <div
      id={id}
      role="row"
      aria-rowindex={index + 2}
      aria-level={row.depth + 1}
      aria-expanded={row.children > 0 ? !isCollapsed : undefined}
      aria-selected={isSelected}
      className={['grid-row', colour(span.service), isActive ? 'active' : '', failed ? 'failed' : ''].join(
        ' ',
      )}
      style={{ height: rowHeight, transform: `translateY(${top}px)` }}
      onClick={(event) => {
        if (!(event.target as Element).closest('a, button')) onSelect();
      }}
    >
      <div role="gridcell" className="span-name" style={{ paddingLeft: 4 + 14 * Math.min(row.depth, 12) }}>
        {row.children > 0 ? (
          <button
            type="button"
            className="twist"
            tabIndex={-1}
            aria-label={isCollapsed ? `Expand ${span.name}` : `Collapse ${span.name}`}
            onClick={onToggle}
          >
            <Icon name="chevron" />
          </button>
        ) : (
          <span className="twist" />
        )}
        {(failed || hidden) && (
          <span
            className="error-mark"
            title={failed ? (span.message ?? 'Failed') : `${row.errorsBelow} failed below`}
          >
            <Icon name="error" />
            <span className="hidden-text">{failed ? 'failed' : 'failed below'}</span>
          </span>
        )}
        <span className="service-of">{span.service}</span>
        {peer && <Icon name={peer} />}
        <span className="label" title={span.name}>
          {span.name}
        </span>
        {isCollapsed && <span className="quiet">+{row.below}</span>}
      </div>
      <div role="gridcell" className="timeline">
        <div className="scale">
          <span className="span-bar" style={{ left: `${row.left}%`, width: `${row.width}%` }} />
          {row.logs.map(({ line, left }) => (
            <span
              key={line.id}
              className={`dot ${line.level}`}
              style={{ left: `${left}%` }}
              title={`${line.level}: ${withoutEscapes(line.message)}`}
            />
          ))}
          <span className="span-time" style={{ left: `${row.left + row.width}%` }}>
            {duration(span.duration)}
          </span>
        </div>
      </div>
    </div>
  );
}
