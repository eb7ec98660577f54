// Each way a transcript can move, and whose move it is.
import { expect, test } from 'vitest';
import { nextFollowing } from './follow';

test.each([
  ['stays on while the text grows', true, 500, { top: 500, visible: 100, total: 900 }, true],
  ['ends when the reader scrolls up', true, 500, { top: 400, visible: 100, total: 600 }, false],
  ['stays off while the reader scrolls down a little', false, 100, { top: 200, visible: 100, total: 600 }, false],
  ['is back on at the end', false, 400, { top: 490, visible: 100, total: 600 }, true],
  ['a nudge near the end does not count', true, 500, { top: 490, visible: 100, total: 600 }, true],
])('following %s', (_what, following, before, now, expected) => {
  expect(nextFollowing(following, before, now)).toBe(expected);
});
