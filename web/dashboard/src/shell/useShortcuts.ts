// Single keys that lead to pages and dialogs.
import { useEffect } from 'react';
import { formatRoute, type PageName } from '../shared/route';
import { navigate } from '../shared/useRoute';
import type { OpenDialog } from './Shell';

const pageKeys: Readonly<Record<string, PageName>> = {
  r: 'resources',
  c: 'console',
  s: 'logs',
  t: 'traces',
  m: 'metrics',
  v: 'versions',
};

export function useShortcuts(open: (dialog: OpenDialog) => void) {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      // Somebody who types, or asks the browser for something, means no shortcut.
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      const target = event.target as Element | null;
      if (target?.closest('input, textarea, select, [contenteditable]')) return;
      if (document.querySelector('dialog[open]')) return;
      const page = pageKeys[event.key];
      if (page) navigate(formatRoute(page));
      else if (event.key === '/') open('search');
      else if (event.key === '?') open('help');
      else return;
      event.preventDefault();
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, [open]);
}
