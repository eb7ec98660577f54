// Places for streams, which all windows of a browser share.
//
// Over HTTP/1 a browser has six connections to one address, for all its windows together. A stream
// holds one of them, so streams without a bound leave none for questions, and every window waits.
import { ApiFailure } from './failure';

/** The other two connections are for questions, files and downloads. */
export const placesMax = 4;
/** A window that leaves or is hidden gives its place back within this time, as does one that follows another list. */
const waitMs = 2000;

/** Waits for a place, and returns what gives it back; a window that is closed gives it back by itself. */
export async function takePlace(
  signal: AbortSignal,
  // Browsers have none for pages that came without TLS from another machine.
  locks: Pick<LockManager, 'request'> | undefined = globalThis.navigator?.locks,
): Promise<() => void> {
  if (!locks) return () => undefined;
  const given = new AbortController();
  const until = AbortSignal.any([signal, given.signal, AbortSignal.timeout(waitMs)]);
  return new Promise((resolve, reject) => {
    const hold = () => {
      // Two places may be given at once.
      if (given.signal.aborted) return undefined;
      given.abort();
      return new Promise<void>(resolve);
    };
    const asked = Array.from({ length: placesMax }, (_, place) =>
      locks.request(`wasm-host-dashboard-stream-${place}`, { signal: until }, hold),
    );
    Promise.any(asked).catch(() => {
      const why = 'Other windows follow already: hide or close one to follow here';
      reject(signal.aborted ? signal.reason : new ApiFailure(null, why));
    });
  });
}
