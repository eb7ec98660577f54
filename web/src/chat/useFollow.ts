// Binds the rule of `follow.ts` to a scrolling element.
import { type RefObject, useCallback, useLayoutEffect, useRef, useState } from 'react';
import { nextFollowing } from './follow';

export interface Follow {
  readonly ref: RefObject<HTMLDivElement | null>;
  readonly following: boolean;
  readonly onScroll: () => void;
  readonly toEnd: () => void;
}

/** `content` is anything that changes when the element may have grown. */
export function useFollow(content: unknown): Follow {
  const ref = useRef<HTMLDivElement>(null);
  const lastTop = useRef(0);
  const [following, setFollowing] = useState(true);

  const toEnd = useCallback(() => {
    const element = ref.current;
    if (!element) return;
    element.scrollTop = element.scrollHeight;
    lastTop.current = element.scrollTop;
    setFollowing(true);
  }, []);

  // Before paint, so that the newest line is never seen out of place.
  useLayoutEffect(() => {
    if (following) toEnd();
  }, [content, following, toEnd]);

  const onScroll = () => {
    const element = ref.current;
    if (!element) return;
    const now = {
      top: element.scrollTop,
      visible: element.clientHeight,
      total: element.scrollHeight,
    };
    const before = lastTop.current;
    lastTop.current = now.top;
    setFollowing((was) => nextFollowing(was, before, now));
  };

  return { ref, following, onScroll, toEnd };
}
