// Where a prompt is written. Enter sends, Shift+Enter breaks the line.
import { type FormEvent, type KeyboardEvent, useRef, useState } from 'react';

interface Props {
  readonly answering: boolean;
  /** Says whether it took the prompt; if not, the text stays. */
  readonly onSend: (prompt: string) => boolean;
  readonly onStop: () => void;
}

export function Composer({ answering, onSend, onStop }: Props) {
  const [prompt, setPrompt] = useState('');
  const input = useRef<HTMLTextAreaElement>(null);

  const send = () => {
    if (onSend(prompt)) setPrompt('');
    input.current?.focus();
  };
  const onSubmit = (event: FormEvent) => {
    event.preventDefault();
    send();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    // While an input method is composing, Enter accepts a candidate and must not send.
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    send();
  };
  return (
    <form className="composer" onSubmit={onSubmit}>
      <label htmlFor="prompt" className="visually-hidden">
        Prompt
      </label>
      <textarea
        id="prompt"
        ref={input}
        rows={2}
        value={prompt}
        onChange={(event) => setPrompt(event.target.value)}
        onKeyDown={onKeyDown}
        placeholder="Ask something"
        aria-describedby="prompt-hint"
      />
      {answering ? (
        <button
          key="stop"
          type="button"
          className="stop"
          onClick={() => {
            onStop();
            // This button is about to become Send.
            input.current?.focus();
          }}
        >
          Stop
        </button>
      ) : (
        <button key="send" type="submit" className="primary" disabled={prompt.trim() === ''}>
          Send
        </button>
      )}
      <p id="prompt-hint" className="quiet hint">
        Enter sends, Shift+Enter starts a new line
      </p>
    </form>
  );
}
