// A table of any length: only the rows in sight are in the document.
//
// The focus stays on the grid and points at a row (aria-activedescendant), so that a row that
// scrolls out of the document takes no focus with it.
import { useVirtualizer } from '@tanstack/react-virtual';
import { type ReactNode, useEffect, useId, useLayoutEffect, useRef, useState } from 'react';

export interface Column<T> {
  readonly key: string;
  readonly label: string;
  readonly className?: string;
  render(item: T): ReactNode;
}

export interface GridProps<T> {
  readonly label: string;
  /** Names the columns' widths in the style sheet. */
  readonly className: string;
  readonly columns: readonly Column<T>[];
  readonly count: number;
  readonly rowHeight: number;
  /** Rows that were put before the first one so far. */
  readonly shift: number;
  readonly epoch: number;
  readonly selected: string | undefined;
  at(index: number): T | undefined;
  keyOf(item: T): string;
  rowClass?(item: T): string;
  onOpen(item: T): void;
  onRange?(from: number, to: number): void;
}

const headHeight = 30;

export function Grid<T>(props: GridProps<T>) {
  const { label, className, columns, count, rowHeight, shift, epoch, selected } = props;
  const { at, keyOf, rowClass, onOpen, onRange } = props;
  const id = useId();
  const element = useRef<HTMLDivElement>(null);
  const [active, setActive] = useState(-1);
  const rows = useVirtualizer({
    count,
    getScrollElement: () => element.current,
    estimateSize: () => rowHeight,
    overscan: 10,
    scrollMargin: headHeight,
    scrollPaddingStart: headHeight,
    useFlushSync: false,
  });
  useEffect(() => {
    rows.measure();
  }, [rows, rowHeight]);

  // What is read stays where it is when newer rows come above it; at the top they are followed.
  const placed = useRef({ shift, epoch });
  useLayoutEffect(() => {
    const before = placed.current;
    placed.current = { shift, epoch };
    const scroll = element.current;
    if (!scroll) return;
    if (before.epoch !== epoch) {
      scroll.scrollTop = 0;
      setActive(-1);
      return;
    }
    const moved = shift - before.shift;
    if (moved === 0) return;
    setActive((row) => (row < 0 ? row : row + moved));
    if (scroll.scrollTop > rowHeight / 2) scroll.scrollTop += moved * rowHeight;
  }, [shift, epoch, rowHeight]);

  const inSight = rows.getVirtualItems();
  const from = inSight[0]?.index ?? 0;
  const to = inSight.at(-1)?.index ?? 0;
  useEffect(() => {
    onRange?.(from, to);
  }, [onRange, from, to, count]);

  const go = (row: number) => {
    const next = Math.max(0, Math.min(count - 1, row));
    setActive(next);
    rows.scrollToIndex(next, { align: 'auto' });
    const item = at(next);
    // With a row open the pane follows the arrows.
    if (selected !== undefined && item !== undefined) onOpen(item);
  };
  const pageRows = Math.max(1, Math.floor((element.current?.clientHeight ?? 300) / rowHeight) - 2);
  const keys: Record<string, () => void> = {
    ArrowDown: () => go(active + 1),
    ArrowUp: () => go(active - 1),
    PageDown: () => go(active + pageRows),
    PageUp: () => go(active - pageRows),
    Home: () => go(0),
    End: () => go(count - 1),
    Enter: () => {
      const item = at(active);
      if (item !== undefined) onOpen(item);
    },
  };

  return (
    <div
      ref={element}
      role="grid"
      tabIndex={0}
      className={`grid ${className}`}
      aria-label={label}
      aria-rowcount={count + 1}
      aria-activedescendant={active >= from && active <= to ? `${id}-${active}` : undefined}
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
          {columns.map((column) => (
            <div key={column.key} role="columnheader" className={column.className}>
              {column.label}
            </div>
          ))}
        </div>
      </div>
      <div role="rowgroup" className="grid-body" style={{ height: rows.getTotalSize() }}>
        {inSight.map((row) => {
          const item = at(row.index);
          const key = item === undefined ? undefined : keyOf(item);
          const classes = [
            'grid-row',
            item === undefined ? 'loading' : (rowClass?.(item) ?? ''),
            row.index === active ? 'active' : '',
          ];
          return (
            <div
              key={row.key}
              id={`${id}-${row.index}`}
              role="row"
              aria-rowindex={row.index + 2}
              aria-selected={key !== undefined && key === selected}
              className={classes.join(' ')}
              style={{ height: rowHeight, transform: `translateY(${row.start - headHeight}px)` }}
              onClick={(event) => {
                // Links in a row go where they say, and marking text opens nothing.
                if ((event.target as Element).closest('a, button')) return;
                if (window.getSelection()?.type === 'Range' || item === undefined) return;
                setActive(row.index);
                onOpen(item);
              }}
            >
              {columns.map((column) => (
                <div key={column.key} role="gridcell" className={column.className}>
                  {item === undefined ? '…' : column.render(item)}
                </div>
              ))}
            </div>
          );
        })}
      </div>
    </div>
  );
}
