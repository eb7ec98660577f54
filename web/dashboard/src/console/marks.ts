// Cuts a text where something in it is to be seen: web addresses, and words that were searched for.

export interface Part {
  readonly is: 'text' | 'link' | 'mark';
  readonly text: string;
}

const address = /https?:\/\/[^\s<>"'`]+[^\s<>"'`.,;:!?)\]}]/g;

export function marked(text: string, search: string): Part[] {
  const parts: Part[] = [];
  let start = 0;
  for (const match of text.matchAll(address)) {
    parts.push(...words(text.slice(start, match.index), search));
    parts.push({ is: 'link', text: match[0] });
    start = match.index + match[0].length;
  }
  parts.push(...words(text.slice(start), search));
  return parts;
}

export function words(text: string, search: string): Part[] {
  const wanted = search
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '');
  if (wanted.length === 0) return text === '' ? [] : [{ is: 'text', text }];
  const parts: Part[] = [];
  const lower = text.toLowerCase();
  // Lower case may have another length in a few languages; then places in it mean nothing.
  if (lower.length !== text.length) return [{ is: 'text', text }];
  let start = 0;
  while (start < text.length) {
    let place = -1;
    let length = 0;
    for (const word of wanted) {
      const found = lower.indexOf(word, start);
      if (found >= 0 && (place < 0 || found < place)) [place, length] = [found, word.length];
    }
    if (place < 0) break;
    if (place > start) parts.push({ is: 'text', text: text.slice(start, place) });
    parts.push({ is: 'mark', text: text.slice(place, place + length) });
    start = place + length;
  }
  if (start < text.length) parts.push({ is: 'text', text: text.slice(start) });
  return parts;
}
