// Names and values, as text.
import type { ReactNode } from 'react';

/** Names and values; values are plain text that can be marked and copied. */
export function Properties({ rows }: { rows: readonly (readonly [name: string, value: ReactNode])[] }) {
  return (
    <dl className="properties">
      {rows.map(([name, value], index) => (
        // Names may come twice, as of events at the same moment.
        <div key={index}>
          <dt>{name}</dt>
          <dd>{value ?? '–'}</dd>
        </div>
      ))}
    </dl>
  );
}

/** A value of an attribute, whatever its type. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return value;
  return JSON.stringify(value) ?? '–';
}
