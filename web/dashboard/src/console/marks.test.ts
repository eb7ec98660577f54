import { expect, test } from 'vitest';
import { marked } from './marks';

const of = (text: string, search = '') => marked(text, search).map((part) => [part.is, part.text]);

test('addresses are links without the full stop behind them', () => {
  expect(of('see http://x.de/a?b=1#c, and (https://y.de).')).toEqual([
    ['text', 'see '],
    ['link', 'http://x.de/a?b=1#c'],
    ['text', ', and ('],
    ['link', 'https://y.de'],
    ['text', ').'],
  ]);
});

test('every word that was searched for is marked, in any case', () => {
  expect(of('Lost Connection, connection lost', 'lost  CONN')).toEqual([
    ['mark', 'Lost'],
    ['text', ' '],
    ['mark', 'Conn'],
    ['text', 'ection, '],
    ['mark', 'conn'],
    ['text', 'ection '],
    ['mark', 'lost'],
  ]);
});

test('javascript addresses are text', () => {
  expect(of('javascript:alert(1)')).toEqual([['text', 'javascript:alert(1)']]);
});

test('nothing is lost', () => {
  for (const text of ['', 'İİ http://a.b x', 'aaa']) {
    expect(
      of(text, 'a')
        .map(([, part]) => part)
        .join(''),
    ).toBe(text);
  }
});
