// The lines themselves, oldest first, of any number and any height.
import { useVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useLayoutEffect, useRef } from 'react';
import type { LogLine } from '../api/types';
import { useColour } from '../shared/application';
import { Icon } from '../shared/Icon';
import type { LiveList } from '../shared/liveList';
import { formatRoute } from '../shared/route';
import { clock, type Zone } from '../shared/time';
import { Text } from './Text';

const lineHeight = 20;
/** So near to the end counts as being at it. */
const slackPixels = 30;

function isAtEnd({ scrollHeight, scrollTop, clientHeight }: HTMLElement): boolean {
  return scrollHeight - scrollTop - clientHeight < slackPixels;
}

export function Lines(props: {
  list: LiveList<LogLine>;
  version: number;
  wrap: boolean;
  zone: Zone;
  search: string;
  withService: boolean;
  follows: boolean;
  onFollows: (follows: boolean) => void;
}) {
  const { list, version, wrap, zone, search, withService, follows, onFollows } = props;
  const element = useRef<HTMLDivElement>(null);
  const colour = useColour();
  const count = list.length;
  const at = (index: number) => list.at(count - 1 - index);
  const rows = useVirtualizer({
    count,
    getScrollElement: () => element.current,
    estimateSize: () => lineHeight,
    // Heights belong to lines, not to places: older lines come above them.
    getItemKey: (index) => at(index)?.id ?? `row ${index}`,
    overscan: 20,
    useFlushSync: false,
  });
  useEffect(() => {
    rows.measure();
  }, [rows, wrap]);

  const total = rows.getTotalSize();
  // Where the end was when it was last gone to. A reader who has scrolled up since then is not taken back,
  // although the event that tells of it comes later.
  const end = useRef({ top: 0, epoch: list.epoch, follows });
  useLayoutEffect(() => {
    const scroll = element.current;
    const { top, epoch, follows: followed } = end.current;
    end.current = { top: scroll?.scrollTop ?? 0, epoch: list.epoch, follows };
    if (!scroll || !follows) return;
    const leaves =
      followed && epoch === list.epoch && scroll.scrollTop < top - slackPixels && !isAtEnd(scroll);
    if (leaves) return;
    scroll.scrollTop = scroll.scrollHeight;
    end.current.top = scroll.scrollTop;
  }, [list, follows, version, total]);

  // Older lines above what is read push it down by their height.
  const appended = useRef(list.appended);
  const onTheMove = useRef(false);
  useLayoutEffect(() => {
    const moved = list.appended - appended.current;
    appended.current = list.appended;
    const scroll = element.current;
    if (!scroll || follows || moved === 0) return;
    scroll.scrollTop += moved * lineHeight;
    onTheMove.current = true;
  }, [list.appended, follows]);

  const inSight = rows.getVirtualItems();
  const first = inSight[0]?.index ?? 0;
  const last = inSight.at(-1)?.index ?? 0;
  useEffect(() => {
    // These rows are out of sight by now; the scroll event tells which are in it.
    if (onTheMove.current) {
      onTheMove.current = false;
      return;
    }
    // While the end is followed, what is in sight is on its way there.
    if (follows) list.look(0, last - first);
    else list.look(count - 1 - last, count - 1 - first);
  }, [list, follows, count, first, last]);

  const onScroll = () => {
    if (element.current) onFollows(isAtEnd(element.current));
  };
  return (
    <div className="console-frame">
      <div
        ref={element}
        className={wrap ? 'console wrap' : 'console'}
        role="log"
        aria-label="Output"
        aria-live="off"
        tabIndex={0}
        onScroll={onScroll}
      >
        <div className="console-body" style={{ height: total }}>
          {inSight.map((row) => {
            const line = at(row.index);
            return (
              <div
                key={row.key}
                ref={wrap ? rows.measureElement : undefined}
                data-index={row.index}
                className={line?.stream === 'stderr' ? 'line stderr' : 'line'}
                style={{ transform: `translateY(${row.start}px)` }}
              >
                {line && (
                  <>
                    <span className="when">{clock(line.time, zone)}</span>
                    {withService && (
                      <span className={`who ${colour(line.service)}`}>{line.service ?? 'host'}</span>
                    )}
                    <span className="what">
                      <Text message={line.message} search={search} />
                    </span>
                    {line.trace !== null && (
                      <a
                        className="to-trace"
                        href={formatRoute('traces', line.trace, { span: line.span ?? undefined })}
                        tabIndex={-1}
                      >
                        trace
                      </a>
                    )}
                  </>
                )}
              </div>
            );
          })}
        </div>
      </div>
      {!follows && (
        <button type="button" className="to-end primary" onClick={() => onFollows(true)}>
          <Icon name="play" /> Follow
        </button>
      )}
    </div>
  );
}
