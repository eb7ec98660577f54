import { isValidElement, type ReactElement, type ReactNode } from 'react';
import { expect, test } from 'vitest';
import { Properties } from './Properties';

test('what has the same name is told apart', () => {
  const list = Properties({
    rows: [
      ['+0 µs', 'connection'],
      ['+0 µs', 'response head'],
    ],
  }) as ReactElement<{ children: ReactNode[] }>;
  const keys = list.props.children.map((row) => (isValidElement(row) ? row.key : undefined));
  expect(new Set(keys).size).toBe(2);
});
