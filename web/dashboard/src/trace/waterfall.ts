// Where the spans of a trace go: the order of rows, how deep they are, where their bars begin.
//
// Whatever comes is drawn: spans whose parent is missing stand at the top, and a circle of
// parents, which a broken reporter can send, is cut.
import type { LogLine, Span, Trace } from '../api/types';

export interface Row {
  readonly span: Span;
  readonly depth: number;
  readonly children: number;
  /** Spans below it, at any depth. */
  below: number;
  errorsBelow: number;
  /** Percent of the trace's time. */
  readonly left: number;
  readonly width: number;
  readonly logs: readonly LogDot[];
}

export interface LogDot {
  readonly line: LogLine;
  /** Percent of the trace's time. */
  readonly left: number;
}

const countedDepthMax = 200;

export interface Waterfall {
  readonly rows: readonly Row[];
  readonly start: number;
  readonly duration: number;
  readonly depth: number;
}

export function waterfall(trace: Trace): Waterfall {
  const { start, length } = extent(trace);
  const percent = (time: number) => clamp((100 * (time - start)) / length);
  const children = tree(trace.spans);
  const logs = bySpan(trace.logs);
  const rows: Row[] = [];
  let deepest = 0;

  // With a stack of its own: a trace may be a chain of thousands.
  const visited = new Set<Span>();
  const place = (root: Span) => {
    const open: { span: Span; depth: number }[] = [{ span: root, depth: 0 }];
    for (let next = open.pop(); next; next = open.pop()) {
      const { span, depth } = next;
      if (visited.has(span)) continue;
      visited.add(span);
      deepest = Math.max(deepest, depth + 1);
      const own = children.get(span.span) ?? [];
      const left = percent(span.start);
      rows.push({
        span,
        depth,
        children: own.length,
        below: 0,
        errorsBelow: 0,
        left,
        width: clamp(percent(span.start + span.duration) - left),
        logs: (logs.get(span.span) ?? []).map((line) => ({ line, left: percent(line.time) })),
      });
      // The first child is taken first, so it goes on last.
      for (const child of own.toReversed()) open.push({ span: child, depth: depth + 1 });
    }
  };
  for (const root of children.get('') ?? []) place(root);
  // Circles have no root; their first span becomes one.
  for (const span of byStart(trace.spans)) if (!visited.has(span)) place(span);
  countBelow(rows);
  return { rows, start, duration: length, depth: deepest };
}

/** A row's own are those that follow it and are deeper. */
function countBelow(rows: Row[]) {
  const ancestors: Row[] = [];
  for (const row of rows) {
    while ((ancestors.at(-1)?.depth ?? -1) >= row.depth) ancestors.pop();
    for (const ancestor of ancestors) {
      ancestor.below += 1;
      if (row.span.status === 'error') ancestor.errorsBelow += 1;
    }
    // So deep a tree is not read by its counts, and each level costs all the levels above it.
    if (ancestors.length < countedDepthMax) ancestors.push(row);
  }
}

/** The rows that are not below a collapsed one. */
export function visibleRows(rows: readonly Row[], collapsed: ReadonlySet<string>): Row[] {
  const visible: Row[] = [];
  let hiddenBelow = Infinity;
  for (const row of rows) {
    if (row.depth > hiddenBelow) continue;
    hiddenBelow = collapsed.has(row.span.span) ? row.depth : Infinity;
    visible.push(row);
  }
  return visible;
}

/** Five marks at even parts of the whole. */
export function ticks(length: number, count = 5): number[] {
  return Array.from({ length: count }, (_, index) => (length * index) / (count - 1));
}

function extent(trace: Trace) {
  let start = trace.start;
  let end = trace.start + trace.duration;
  for (const span of trace.spans) {
    // Clocks of a page and of the host differ; what lies outside stretches the picture.
    start = Math.min(start, span.start);
    end = Math.max(end, span.start + span.duration);
  }
  return { start, length: Math.max(1, end - start) };
}

function tree(spans: readonly Span[]): Map<string, Span[]> {
  const known = new Set(spans.map((span) => span.span));
  const children = new Map<string, Span[]>();
  for (const span of byStart(spans)) {
    const parent = span.parent !== null && known.has(span.parent) ? span.parent : '';
    const list = children.get(parent);
    if (list) list.push(span);
    else children.set(parent, [span]);
  }
  return children;
}

function bySpan(lines: readonly LogLine[]): Map<string, LogLine[]> {
  const found = new Map<string, LogLine[]>();
  for (const line of lines) {
    if (line.span === null) continue;
    const list = found.get(line.span);
    if (list) list.push(line);
    else found.set(line.span, [line]);
  }
  return found;
}

function byStart(spans: readonly Span[]): Span[] {
  return spans.toSorted((a, b) => a.start - b.start || b.duration - a.duration);
}

function clamp(percent: number): number {
  return Math.max(0, Math.min(100, percent));
}
