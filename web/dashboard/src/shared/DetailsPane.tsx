// The pane beside a grid; on phones it covers the page.
import { type ReactNode, useEffect, useRef } from 'react';
import { IconButton } from './Controls';

export function DetailsPane(props: {
  title: ReactNode;
  label: string;
  onClose: () => void;
  children: ReactNode;
}) {
  const { title, label, onClose, children } = props;
  const close = useRef(onClose);
  useEffect(() => {
    close.current = onClose;
  });
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key === 'Escape' && !document.querySelector('dialog[open]')) close.current();
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, []);
  return (
    <aside className="pane" aria-label={label}>
      <header>
        <h2>{title}</h2>
        <IconButton icon="close" label="Close details" onClick={onClose} />
      </header>
      <div className="pane-body" tabIndex={0} role="region" aria-label={`${label}, content`}>
        {children}
      </div>
    </aside>
  );
}

/** Names and values; values are plain text that can be marked and copied. */
export function Properties({ rows }: { rows: readonly (readonly [name: string, value: ReactNode])[] }) {
  return (
    <dl className="properties">
      {rows.map(([name, value]) => (
        <div key={name}>
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
