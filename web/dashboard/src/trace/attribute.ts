// Attributes of spans as text.
import { shown } from '../shared/Properties';
import { duration } from '../shared/time';

export function attribute(name: string, value: unknown): string {
  if (name === 'wasm_host.guest.cpu_time' && typeof value === 'number') return duration(value * 1_000_000);
  return shown(value);
}
