// Terminal colours in lines that guests print, as pieces of text with class names.
//
// Only what changes the look is honoured; everything else that a terminal would obey (moving the
// cursor, titles, links) is dropped, and a line can never be more than text.

export interface Piece {
  readonly text: string;
  readonly className: string;
}

const names = ['black', 'red', 'green', 'yellow', 'blue', 'magenta', 'cyan', 'white'];
// CSI sequences, OSC sequences, other two-character escapes, and lone control characters.
const escapes =
  /\u001b\[([0-9;:]*)([@-~])|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)|\u001b.?|[\u0000-\u0008\u000b-\u001f\u007f]/g;

interface Look {
  bold: boolean;
  dim: boolean;
  italic: boolean;
  underline: boolean;
  inverse: boolean;
  front: string;
  back: string;
}

const plain = (): Look => ({
  bold: false,
  dim: false,
  italic: false,
  underline: false,
  inverse: false,
  front: '',
  back: '',
});

export function hasEscapes(line: string): boolean {
  return line.includes('\u001b');
}

export function withoutEscapes(line: string): string {
  return line.replace(escapes, '');
}

export function pieces(line: string): Piece[] {
  if (!hasEscapes(line)) return [{ text: withoutEscapes(line), className: '' }];
  const found: Piece[] = [];
  let look = plain();
  let start = 0;
  const take = (text: string) => {
    if (text !== '') found.push({ text, className: classes(look) });
  };
  for (const match of line.matchAll(escapes)) {
    take(line.slice(start, match.index));
    start = match.index + match[0].length;
    if (match[2] === 'm') look = applied(look, match[1] ?? '');
  }
  take(line.slice(start));
  return found;
}

function applied(before: Look, codes: string): Look {
  let look = { ...before };
  const list = (codes === '' ? '0' : codes).split(/[;:]/).map(Number);
  for (let i = 0; i < list.length; i += 1) {
    const code = list[i] ?? 0;
    if (code === 0) look = plain();
    else if (code === 1) look.bold = true;
    else if (code === 2) look.dim = true;
    else if (code === 3) look.italic = true;
    else if (code === 4) look.underline = true;
    else if (code === 7) look.inverse = true;
    else if (code === 22) look.bold = look.dim = false;
    else if (code === 23) look.italic = false;
    else if (code === 24) look.underline = false;
    else if (code === 27) look.inverse = false;
    else if (code >= 30 && code <= 37) look.front = names[code - 30] ?? '';
    else if (code >= 90 && code <= 97) look.front = names[code - 90] ?? '';
    else if (code === 39) look.front = '';
    else if (code >= 40 && code <= 47) look.back = names[code - 40] ?? '';
    else if (code >= 100 && code <= 107) look.back = names[code - 100] ?? '';
    else if (code === 49) look.back = '';
    else if (code === 38 || code === 48) {
      // 256 colours and true colours: the eight of the palette are kept, others are too many for
      // a page that has to stay readable in light and dark.
      const length = list[i + 1] === 5 ? 2 : list[i + 1] === 2 ? 4 : 0;
      const index = list[i + 1] === 5 ? (list[i + 2] ?? -1) : -1;
      const name = index >= 0 && index < 16 ? (names[index % 8] ?? '') : '';
      if (code === 38) look.front = name;
      else look.back = name;
      i += length;
    }
  }
  return look;
}

function classes(look: Look): string {
  const [front, back] = look.inverse ? [look.back || 'page', look.front || 'text'] : [look.front, look.back];
  return [
    look.bold && 'ansi-bold',
    look.dim && 'ansi-dim',
    look.italic && 'ansi-italic',
    look.underline && 'ansi-underline',
    front && `ansi-${front}`,
    back && `ansi-on-${back}`,
  ]
    .filter(Boolean)
    .join(' ');
}
