// What may lie between two marks of an axis, so that each is a round number of its unit. Pure.

/** `1`, `2` and `5` times powers of ten, from `10^from` to below `10^to`. */
function decimal(from: number, to: number): number[] {
  const all: number[] = [];
  for (let power = from; power < to; power += 1) {
    // From text: a power that is multiplied would carry the errors of its digits into every mark.
    for (const digit of [1, 2, 5]) all.push(Number(`${digit}e${power}`));
  }
  return all;
}

const minute = 60;
const hour = 60 * minute;
const longer = [
  ...[1, 2, 5, 10, 20].map((count) => count * minute),
  ...[1, 2, 6, 12].map((count) => count * hour),
  ...[1, 2, 5, 10, 20, 50, 100].map((count) => count * 24 * hour),
];

/** Steps for values in a unit of OpenTelemetry, the smallest one that can be told apart first. */
export function steps(unit: string, rate: boolean): number[] {
  // What comes once in ten minutes is a rate, too.
  if (rate) return decimal(-6, 12);
  // Below a microsecond nothing is told; above half a minute tens are no steps of a clock.
  if (unit === 's') return [...decimal(-6, 1), 10, 20, 30, ...longer];
  if (unit === 'ms') return decimal(-3, 9);
  if (unit === 'By') return Array.from({ length: 50 }, (_, power) => 2 ** power);
  // Half of a request or of an instance there is not.
  return decimal(unit.startsWith('{') ? 0 : -6, 15);
}
