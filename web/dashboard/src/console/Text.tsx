// One line's text: colours, addresses that can be followed, and what was searched for.
import { Fragment } from 'react';
import { pieces } from '../shared/ansi';
import { marked, words } from './marks';

export function Text({ message, search }: { message: string; search: string }) {
  return pieces(message).map((piece, index) => (
    <span key={index} className={piece.className || undefined}>
      {marked(piece.text, search).map((part, place) =>
        part.is === 'link' ? (
          <a key={place} href={part.text} target="_blank" rel="noreferrer noopener">
            {part.text}
          </a>
        ) : part.is === 'mark' ? (
          <mark key={place}>{part.text}</mark>
        ) : (
          <Fragment key={place}>{part.text}</Fragment>
        ),
      )}
    </span>
  ));
}

/** For rows that are pressed as a whole: without links. */
export function Marked({ text, search }: { text: string; search: string }) {
  if (search.trim() === '') return text;
  return words(text, search).map((part, place) =>
    part.is === 'mark' ? <mark key={place}>{part.text}</mark> : <Fragment key={place}>{part.text}</Fragment>,
  );
}
