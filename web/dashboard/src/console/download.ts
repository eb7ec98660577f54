// Lines as a file of the reader's own.
import type { LogLine } from '../api/types';
import { withoutEscapes } from '../shared/ansi';

/** Times in UTC and without colours: a file outlives the page and is read by tools. */
export function asText(lines: readonly LogLine[]): string {
  const rows = lines.map((line) => {
    const time = new Date(line.time / 1000).toISOString();
    return `${time} ${line.service ?? 'host'} ${line.stream ?? line.source} ${withoutEscapes(line.message)}\n`;
  });
  return rows.join('');
}

export function save(name: string, text: string) {
  const address = URL.createObjectURL(new Blob([text], { type: 'text/plain' }));
  const link = document.createElement('a');
  link.href = address;
  link.download = name;
  link.click();
  // The browser has begun to read by the next turn.
  setTimeout(() => URL.revokeObjectURL(address), 0);
}
