// One colour per service, the same everywhere.
//
// By place in the list of services, so that two never share a colour while there are enough; names that are not in the list get one from their letters.

export const colourCount = 8;

export function colourOf(service: string | null, services: readonly string[]): number {
  if (service === null) return -1;
  const place = services.indexOf(service);
  if (place >= 0) return place % colourCount;
  let sum = 0;
  for (const character of service) sum = (sum * 31 + (character.codePointAt(0) ?? 0)) % 9973;
  return sum % colourCount;
}

export function colourClass(service: string | null, services: readonly string[]): string {
  const colour = colourOf(service, services);
  return colour < 0 ? 'hue-host' : `hue-${colour}`;
}
