// Where services and backends stand in the graph: a caller stands left of what it calls.
import dagre from '@dagrejs/dagre';
import type { Resources } from '../api/types';

export interface Node {
  readonly name: string;
  readonly kind: 'service' | 'backend';
  readonly x: number;
  readonly y: number;
}

export interface Link {
  readonly from: string;
  readonly to: string;
  readonly path: string;
  readonly labelX: number;
  readonly labelY: number;
  /** How far down its path begins to count. */
  readonly top: number;
}

export interface GraphLayout {
  readonly nodes: readonly Node[];
  readonly links: readonly Link[];
  readonly width: number;
  readonly height: number;
}

export const nodeWidth = 190;
export const nodeHeight = 66;
const margin = 24;

/**
 * Depends on names alone, so that the picture stands still while its figures change. On a phone
 * (TB) what hangs together stands below each other, not side by side.
 */
export function graphLayout(shape: Shape, direction: 'LR' | 'TB'): GraphLayout {
  if (direction === 'LR') return layoutOf(shape, direction);
  let height = 0;
  let width = 0;
  const nodes: Node[] = [];
  const links: Link[] = [];
  for (const part of parts(shape)) {
    const layout = layoutOf(part, direction);
    const down = height;
    nodes.push(...layout.nodes.map((node) => ({ ...node, y: node.y + down })));
    links.push(...layout.links.map((link) => ({ ...link, labelY: link.labelY + down, top: down })));
    height += layout.height - margin;
    width = Math.max(width, layout.width);
  }
  return { nodes, links, width, height: height + margin };
}

function layoutOf(shape: Shape, direction: 'LR' | 'TB'): GraphLayout {
  const graph = new dagre.graphlib.Graph();
  const ranksep = direction === 'LR' ? 130 : 72;
  graph.setGraph({ rankdir: direction, nodesep: 28, ranksep, marginx: margin, marginy: margin });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const [name] of shape.nodes) graph.setNode(name, { width: nodeWidth, height: nodeHeight });
  for (const [from, to] of shape.links) graph.setEdge(from, to, {});
  dagre.layout(graph);
  const nodes = shape.nodes.map(([name, kind]) => {
    const { x, y } = graph.node(name) as { x: number; y: number };
    return { name, kind, x, y };
  });
  const links = shape.links.map(([from, to]) => {
    const { points } = graph.edge(from, to) as { points: { x: number; y: number }[] };
    const middle = points[Math.floor(points.length / 2)] ?? { x: 0, y: 0 };
    return { from, to, path: curve(points), labelX: middle.x, labelY: middle.y, top: 0 };
  });
  const { width = 0, height = 0 } = graph.graph() as { width?: number; height?: number };
  return { nodes, links, width, height };
}

/** What hangs together by links, in the order of the nodes. */
function parts(shape: Shape): Shape[] {
  const partOf = new Map(shape.nodes.map(([name], index) => [name, index]));
  for (const [from, to] of shape.links) {
    const [a, b] = [partOf.get(from) ?? 0, partOf.get(to) ?? 0];
    for (const [name, part] of partOf) if (part === Math.max(a, b)) partOf.set(name, Math.min(a, b));
  }
  return [...new Set(partOf.values())]
    .sort((a, b) => a - b)
    .map((part) => ({
      nodes: shape.nodes.filter(([name]) => partOf.get(name) === part),
      links: shape.links.filter(([from]) => partOf.get(from) === part),
    }));
}

export interface Shape {
  readonly nodes: readonly (readonly [name: string, kind: Node['kind']])[];
  readonly links: readonly (readonly [from: string, to: string])[];
}

/** Edges that were used, and grants that were not yet. */
export function shapeOf(resources: Resources): Shape {
  const nodes: [string, Node['kind']][] = resources.services.map((service) => [service.service, 'service']);
  nodes.push(...resources.backends.map((backend): [string, Node['kind']] => [backend.backend, 'backend']));
  const known = new Set(nodes.map(([name]) => name));
  const links = new Map<string, [string, string]>();
  const add = (from: string, to: string) => {
    if (known.has(from) && known.has(to)) links.set(`${from}\n${to}`, [from, to]);
  };
  for (const edge of resources.edges) add(edge.from, edge.to);
  for (const service of resources.services) {
    for (const grant of service.grants) add(service.service, grant.replace(/^service\./, ''));
  }
  return { nodes, links: [...links.values()] };
}

function curve(points: readonly { x: number; y: number }[]): string {
  const [first, ...rest] = points;
  if (!first) return '';
  let path = `M${first.x} ${first.y}`;
  for (let i = 0; i < rest.length - 1; i += 1) {
    const [point, next] = [rest[i], rest[i + 1]];
    if (!point || !next) continue;
    const isLast = i === rest.length - 2;
    const [endX, endY] = isLast ? [next.x, next.y] : [(point.x + next.x) / 2, (point.y + next.y) / 2];
    path += ` Q${point.x} ${point.y} ${endX} ${endY}`;
  }
  if (rest.length === 1 && rest[0]) path += ` L${rest[0].x} ${rest[0].y}`;
  return path;
}
