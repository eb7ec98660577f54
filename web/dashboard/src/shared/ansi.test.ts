import { expect, test } from 'vitest';
import { pieces, withoutEscapes } from './ansi';

const of = (line: string) => pieces(line).map(({ text, className }) => [text, className]);

test('a line without escapes is one piece', () => {
  expect(of('plain [31m text')).toEqual([['plain [31m text', '']]);
});

test('colours hold until they are taken back', () => {
  expect(of('a\u001b[31mb\u001b[1mc\u001b[0md')).toEqual([
    ['a', ''],
    ['b', 'ansi-red'],
    ['c', 'ansi-bold ansi-red'],
    ['d', ''],
  ]);
  expect(of('\u001b[92;44mx\u001b[39my\u001b[49mz')).toEqual([
    ['x', 'ansi-green ansi-on-blue'],
    ['y', 'ansi-on-blue'],
    ['z', ''],
  ]);
});

test('an empty code takes everything back, as zero does', () => {
  expect(of('\u001b[35mx\u001b[my')).toEqual([
    ['x', 'ansi-magenta'],
    ['y', ''],
  ]);
});

test('numbers that belong to 256 and true colours are no codes of their own', () => {
  expect(of('\u001b[38;5;1mx')).toEqual([['x', 'ansi-red']]);
  expect(of('\u001b[38;2;1;4;7mx')).toEqual([['x', '']]);
  expect(of('\u001b[48;5;200;1mx')).toEqual([['x', 'ansi-bold']]);
});

test('inverse swaps front and back', () => {
  expect(of('\u001b[7;32mx')).toEqual([['x', 'ansi-page ansi-on-green']]);
});

test('what would move a cursor, set a title or ring is dropped', () => {
  expect(withoutEscapes('a\u001b[2Jb\u001b]0;title\u0007c\u001b]8;;http://x\u001b\\d\u0007e\u001bcf\r')).toBe(
    'abcdef',
  );
});

test('an escape that is cut off takes nothing with it', () => {
  expect(withoutEscapes('abc\u001b')).toBe('abc');
  expect(withoutEscapes('abc\u001b[')).toBe('abc');
});

test('no text is lost', () => {
  const line = '\u001b[1mone\u001b[0m two \u001b[33mthree\u001b[39m\tfour';
  expect(
    of(line)
      .map(([text]) => text)
      .join(''),
  ).toBe(withoutEscapes(line));
});
