// What a person prefers, kept in the browser: colours and the clock.
import { useSyncExternalStore } from 'react';
import type { Zone } from './time';

export type Theme = 'system' | 'light' | 'dark';

export interface Settings {
  readonly theme: Theme;
  readonly zone: Zone;
}

const storageKey = 'wasm-host-dashboard';
const listeners = new Set<() => void>();
let settings = read();

function read(): Settings {
  const preset: Settings = { theme: 'system', zone: 'local' };
  try {
    const kept = JSON.parse(localStorage.getItem(storageKey) ?? '{}') as Partial<Settings>;
    const theme = kept.theme === 'light' || kept.theme === 'dark' ? kept.theme : preset.theme;
    return { theme, zone: kept.zone === 'utc' ? 'utc' : preset.zone };
  } catch {
    // No storage, or what is in it is not ours.
    return preset;
  }
}

const darkSystem = window.matchMedia('(prefers-color-scheme: dark)');
darkSystem.addEventListener('change', show);

/** The style sheets have two palettes; which one holds is decided here, in one place. */
function show() {
  const dark = settings.theme === 'dark' || (settings.theme === 'system' && darkSystem.matches);
  document.documentElement.dataset.theme = dark ? 'dark' : 'light';
}

export function changeSettings(change: Partial<Settings>) {
  settings = { ...settings, ...change };
  try {
    localStorage.setItem(storageKey, JSON.stringify(settings));
  } catch {
    // They last as long as the page.
  }
  show();
  for (const listener of listeners) listener();
}

export function useSettings(): Settings {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => settings,
  );
}

show();
