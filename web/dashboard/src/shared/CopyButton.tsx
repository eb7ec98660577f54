// Puts a text on the clipboard and says so. Browsers allow it on secure pages and localhost only;
// elsewhere there is no button, and text can be marked by hand.
import { useEffect, useState } from 'react';
import { Icon } from './Icon';

const saidMs = 1500;

export function CopyButton({ label, text }: { label: string; text: () => string }) {
  const [said, setSaid] = useState<string>();
  useEffect(() => {
    if (said === undefined) return;
    const timer = setTimeout(() => setSaid(undefined), saidMs);
    return () => clearTimeout(timer);
  }, [said]);
  // Undefined on plain http, whatever the types say.
  const clipboard = navigator.clipboard as Clipboard | undefined;
  if (!clipboard) return null;
  const copy = () => {
    clipboard.writeText(text()).then(
      () => setSaid('Copied'),
      () => setSaid('The browser did not allow it'),
    );
  };
  return (
    <>
      <button type="button" className="icon-only" aria-label={label} title={said ?? label} onClick={copy}>
        <Icon name={said === 'Copied' ? 'done' : 'copy'} />
      </button>
      <span role="status" className="hidden-text">
        {said}
      </span>
    </>
  );
}
