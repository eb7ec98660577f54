import { expect, test } from 'vitest';
import { partsOf } from './Sentence';

test.each([
  ['plain', ['plain']],
  ['so long as `timeout` says', ['so long as ', 'timeout', ' says']],
  ['`a` and `b`', ['', 'a', ' and ', 'b', '']],
  ['one ` alone', ['one ` alone']],
])('%s', (text, parts) => expect(partsOf(text)).toEqual(parts));
