// Services, what they are granted, and what flows between them.
import { useMemo } from 'react';
import type { BackendResource, Resources, ServiceResource } from '../api/types';
import { useColour } from '../shared/application';
import { formatRoute } from '../shared/route';
import { duration, rate } from '../shared/time';
import { useNarrow } from '../shared/useMedia';
import { graphLayout, nodeHeight, nodeWidth, shapeOf } from './graphLayout';
import { lookOf, lookOfBackend } from './State';

/** From this share of failed calls on a line is red. */
const badShare = 0.05;

export default function Graph({ resources, search }: { resources: Resources; search: string }) {
  const narrow = useNarrow();
  const colour = useColour();
  const shape = JSON.stringify(shapeOf(resources));
  const layout = useMemo(() => graphLayout(JSON.parse(shape), narrow ? 'TB' : 'LR'), [shape, narrow]);
  const word = search.trim().toLowerCase();
  const fades = (name: string) => word !== '' && !name.toLowerCase().includes(word);
  const edge = (from: string, to: string) =>
    resources.edges.find((one) => one.from === from && one.to === to);
  const busiest = Math.max(0, ...resources.edges.map((one) => one.rate));

  return (
    <div className="graph" tabIndex={0} role="region" aria-label="Graph of services and backends">
      <svg
        width={layout.width}
        height={layout.height}
        viewBox={`0 0 ${layout.width} ${layout.height}`}
        role="group"
        aria-label="Graph"
      >
        <defs>
          {['idle', 'flows', 'bad'].map((kind) => (
            <marker
              key={kind}
              id={`arrow-${kind}`}
              viewBox="0 0 10 10"
              refX="9"
              refY="5"
              markerWidth="10"
              markerHeight="10"
              markerUnits="userSpaceOnUse"
              orient="auto"
            >
              <path className={`arrow ${kind}`} d="M0 0L10 5L0 10z" />
            </marker>
          ))}
        </defs>
        {layout.links.map((link) => {
          const live = edge(link.from, link.to);
          const flows = (live?.rate ?? 0) > 0;
          // The root keeps a busy edge from drowning the others.
          const width = flows && busiest > 0 ? 1.25 + 2.75 * Math.sqrt((live?.rate ?? 0) / busiest) : 1.25;
          // A few failures are told; the line itself turns red when many of its calls fail.
          const share = live && live.rate > 0 ? live.errors / live.rate : 0;
          const classes = ['link', flows ? 'flows' : 'idle', share >= badShare ? 'bad' : ''];
          if (fades(link.from) && fades(link.to)) classes.push('faded');
          return (
            <g key={`${link.from} ${link.to}`} className={classes.join(' ')}>
              <path
                className="link-line"
                d={link.path}
                transform={`translate(0 ${link.top})`}
                strokeWidth={width}
                markerEnd={`url(#arrow-${share >= badShare ? 'bad' : flows ? 'flows' : 'idle'})`}
              />
              <text
                x={link.labelX + (narrow ? 8 : 0)}
                y={link.labelY + (narrow ? -2 : -8)}
                textAnchor={narrow ? 'start' : 'middle'}
              >
                {flows ? rate(live?.rate ?? 0) : 'granted'}
              </text>
              {(live?.errors ?? 0) > 0 && (
                <text
                  className="link-errors"
                  x={link.labelX + (narrow ? 8 : 0)}
                  y={link.labelY + (narrow ? 14 : 17)}
                  textAnchor={narrow ? 'start' : 'middle'}
                >
                  {rate(live?.errors ?? 0)} failed
                </text>
              )}
            </g>
          );
        })}
        {layout.nodes.map((node) => {
          const service = resources.services.find((one) => one.service === node.name);
          const backend = resources.backends.find((one) => one.backend === node.name);
          const place = { x: node.x - nodeWidth / 2, y: node.y - nodeHeight / 2, faded: fades(node.name) };
          if (node.kind === 'service' && service) {
            return <ServiceNode key={node.name} service={service} colour={colour(node.name)} {...place} />;
          }
          return backend ? <BackendNode key={node.name} backend={backend} {...place} /> : null;
        })}
      </svg>
    </div>
  );
}

interface Place {
  readonly x: number;
  readonly y: number;
  readonly faded: boolean;
}

function ServiceNode({ service, colour, x, y, faded }: Place & { service: ServiceResource; colour: string }) {
  const second = `${rate(service.rate)}${service.p99 === null ? '' : ` · p99 ${duration(service.p99)}`}`;
  return (
    <a
      href={formatRoute('resources', service.service)}
      className={`node ${colour} ${lookOf(service)} ${faded ? 'faded' : ''}`}
    >
      <g transform={`translate(${x} ${y})`}>
        <rect className="node-box" width={nodeWidth} height={nodeHeight} rx="6" />
        <rect className="node-mark" width="4" height={nodeHeight} rx="2" />
        <text className="node-name" x="14" y="20">
          {service.service}
        </text>
        <text className={`node-state ${service.errors > 0 ? 'bad' : lookOf(service)}`} x="14" y="38">
          {service.state}
          {service.errors > 0 ? ` · ${rate(service.errors)} failed` : ` · ${service.route ?? 'internal'}`}
        </text>
        <text className="node-rate" x="14" y="55">
          {second}
        </text>
      </g>
    </a>
  );
}

function BackendNode({ backend, x, y, faded }: Place & { backend: BackendResource }) {
  return (
    <g className={`node backend ${lookOfBackend(backend)} ${faded ? 'faded' : ''}`} transform={`translate(${x} ${y})`}>
      <rect className="node-box" width={nodeWidth} height={nodeHeight} rx="20" />
      <text className="node-name" x="18" y="20">
        {backend.backend}
      </text>
      <text className={`node-state ${lookOfBackend(backend)}`} x="18" y="38">
        {backend.kind} · {backend.state}
      </text>
      <text className="node-rate" x="18" y="55">
        {rate(backend.rate)}
        {backend.p99 !== null && ` · p99 ${duration(backend.p99)}`}
      </text>
    </g>
  );
}
