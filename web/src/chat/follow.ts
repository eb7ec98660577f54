// Whether a growing transcript may scroll itself. It follows the newest text until the reader
// scrolls up, and again once the reader is back at the end.

export interface ScrollPosition {
  readonly top: number;
  /** Height of what is visible, and of all there is. */
  readonly visible: number;
  readonly total: number;
}

/** A trackpad rarely stops exactly at the end. */
const nearEndPx = 32;

/**
 * Only an upward move ends following: growth alone also leaves the view short of the end, and the
 * scroll event of our own move may be handled after more text has come.
 */
export function nextFollowing(following: boolean, before: number, now: ScrollPosition): boolean {
  if (now.total - now.top - now.visible <= nearEndPx) return true;
  return following && now.top >= before;
}
