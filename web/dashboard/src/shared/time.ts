// Times and durations as people read them. Everything that comes in is microseconds.

export type Zone = 'local' | 'utc';

const two = (value: number) => String(value).padStart(2, '0');
const three = (value: number) => String(value).padStart(3, '0');

/** `14:03:07.123`, the form of every row. */
export function clock(micros: number, zone: Zone): string {
  const date = new Date(micros / 1000);
  const [hours, minutes, seconds] =
    zone === 'utc'
      ? [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()]
      : [date.getHours(), date.getMinutes(), date.getSeconds()];
  return `${two(hours)}:${two(minutes)}:${two(seconds)}.${three(date.getUTCMilliseconds())}`;
}

/** `2026-03-01 14:03:07.123`, where the day matters. */
export function dateTime(micros: number, zone: Zone): string {
  const date = new Date(micros / 1000);
  const [year, month, day] =
    zone === 'utc'
      ? [date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()]
      : [date.getFullYear(), date.getMonth(), date.getDate()];
  return `${year}-${two(month + 1)}-${two(day)} ${clock(micros, zone)}`;
}

/** Three digits that matter: `850 µs`, `12.3 ms`, `1.25 s`, `3 min 5 s`. */
export function duration(micros: number): string {
  if (micros < 0) return `-${duration(-micros)}`;
  if (micros < 1000) return `${Math.round(micros)} µs`;
  if (micros < 999_500) return `${digits(micros / 1000)} ms`;
  if (micros < 59_950_000) return `${digits(micros / 1_000_000)} s`;
  const seconds = Math.round(micros / 1_000_000);
  if (seconds < 3600) return pair(Math.floor(seconds / 60), 'min', seconds % 60, 's');
  const minutes = Math.round(seconds / 60);
  if (minutes < 1440) return pair(Math.floor(minutes / 60), 'h', minutes % 60, 'min');
  const hours = Math.round(minutes / 60);
  return pair(Math.floor(hours / 24), 'd', hours % 24, 'h');
}

/** `3 min ago`; the future, which clocks of two machines can make, is `now`. */
export function ago(micros: number, nowMs: number): string {
  const seconds = Math.floor(nowMs / 1000 - micros / 1_000_000);
  if (seconds < 1) return 'now';
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}

/** `1 line`, `2 lines`. */
export function counted(number: number, what: string): string {
  return `${count(number)} ${what}${number === 1 ? '' : 's'}`;
}

function pair(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`;
}

function digits(value: number): string {
  const places = value < 10 ? 2 : value < 100 ? 1 : 0;
  return trimmed(value.toFixed(places));
}

function trimmed(text: string): string {
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

/** Rates: `0`, `0.03/s`, `1.5/s`, `120/s`. */
export function rate(perSecond: number): string {
  if (perSecond === 0) return '0/s';
  if (perSecond < 0.01) return '<0.01/s';
  return `${trimmed(perSecond.toFixed(perSecond < 10 ? 2 : perSecond < 100 ? 1 : 0))}/s`;
}

export function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return unit === 0 ? `${count} B` : `${trimmed(value.toFixed(value < 100 ? 1 : 0))} ${units[unit]}`;
}

/** Thin spaces between thousands, so that large counts can be compared at a glance. */
export function count(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+(?!\d))/g, '\u2009');
}

/** So many behind the point that two digits tell something. */
function placesOf(value: number): number {
  if (value >= 10) return 1;
  if (value >= 0.1 || value === 0) return 2;
  return Math.min(8, Math.ceil(-Math.log10(value)) + 1);
}

/** A value of a metric in its unit. */
export function inUnit(value: number, unit: string): string {
  if (unit === 's') return duration(value * 1_000_000);
  if (unit === 'ms') return duration(value * 1000);
  if (unit === 'By') return bytes(value);
  const number = Math.abs(value) >= 1000 ? count(value) : trimmed(value.toFixed(placesOf(Math.abs(value))));
  // Units in braces such as {request} are annotations, not units.
  const shown = unit.startsWith('{') || unit === '1' ? '' : ` ${unit}`;
  return `${number}${shown}`;
}
