// The pane beside a grid; on phones it covers the page.
import { type ReactNode, useEffect, useRef } from 'react';
import { IconButton } from './Controls';
import { changeSettings, paneShareMax, paneShareMin, useSettings } from './settings';

export function DetailsPane(props: {
  title: ReactNode;
  label: string;
  onClose: () => void;
  /** Beside the title. */
  actions?: ReactNode;
  children: ReactNode;
}) {
  const { title, label, onClose, actions, children } = props;
  const { paneShare } = useSettings();
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
    <aside className="pane" aria-label={label} style={{ flexBasis: `${paneShare}%` }}>
      <PaneEdge share={paneShare} />
      <header>
        <h2>{title}</h2>
        <span className="spacer" />
        {actions}
        <IconButton icon="close" label="Close details" onClick={onClose} />
      </header>
      <div className="pane-body" tabIndex={0} role="region" aria-label={`${label}, content`}>
        {children}
      </div>
    </aside>
  );
}

/** Its left edge, which is pulled with the pointer or moved with the arrows. */
function PaneEdge({ share }: { share: number }) {
  return (
    <div
      className="pane-edge"
      role="separator"
      tabIndex={0}
      aria-orientation="vertical"
      aria-label="Width of the details"
      aria-valuenow={Math.round(share)}
      aria-valuemin={paneShareMin}
      aria-valuemax={paneShareMax}
      onKeyDown={(event) => {
        const step = event.key === 'ArrowLeft' ? 4 : event.key === 'ArrowRight' ? -4 : 0;
        if (step === 0) return;
        event.preventDefault();
        changeSettings({ paneShare: share + step });
      }}
      onPointerDown={(event) => {
        event.preventDefault();
        event.currentTarget.setPointerCapture(event.pointerId);
      }}
      onPointerMove={(event) => {
        if (!event.currentTarget.hasPointerCapture(event.pointerId)) return;
        const split = event.currentTarget.closest('.split')?.getBoundingClientRect();
        if (split) changeSettings({ paneShare: (100 * (split.right - event.clientX)) / split.width });
      }}
    />
  );
}
