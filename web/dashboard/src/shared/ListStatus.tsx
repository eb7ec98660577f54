// The line below a long list: how much there is, and whether it grows.
import { counted } from './time';
import type { LiveList } from './liveList';
import type { StreamState } from './useFollow';

export function ListStatus<T>(props: {
  list: LiveList<T>;
  stream: StreamState;
  paused: boolean;
  /** One of them. */
  what: string;
}) {
  const { list, stream, paused, what } = props;
  const state = paused ? 'paused' : stream.is === 'live' ? 'following' : 'not following';
  return (
    <p className="list-status">
      {list.length === 0 && list.complete
        ? `No ${what}s match. New ones appear here as they come.`
        : `${counted(list.length, what)}${list.complete ? '' : ', more when you scroll'}`}
      {' · '}
      {list.loading ? 'reading…' : state}
    </p>
  );
}
