// What a person prefers, kept in the browser: colours, the clock, how much room details have.
import { useSyncExternalStore } from 'react';
import type { Zone } from './time';

export type Theme = 'system' | 'light' | 'dark';

export interface Settings {
  readonly theme: Theme;
  readonly zone: Zone;
  /** How much of the page the details beside a grid take, in percent. */
  readonly paneShare: number;
}

export const paneShareMin = 20;
export const paneShareMax = 75;
const storageKey = 'wasm-host-dashboard';
const listeners = new Set<() => void>();
let settings = read();

function bounded(share: number): number {
  return Math.max(paneShareMin, Math.min(paneShareMax, share));
}

function read(): Settings {
  const preset: Settings = { theme: 'system', zone: 'local', paneShare: 38 };
  try {
    const kept = JSON.parse(localStorage.getItem(storageKey) ?? '{}') as Partial<Settings>;
    const theme = kept.theme === 'light' || kept.theme === 'dark' ? kept.theme : preset.theme;
    const paneShare = typeof kept.paneShare === 'number' ? bounded(kept.paneShare) : preset.paneShare;
    return { theme, zone: kept.zone === 'utc' ? 'utc' : preset.zone, paneShare };
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
  settings = { ...settings, paneShare: bounded(settings.paneShare) };
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
