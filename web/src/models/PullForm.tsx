// Asks for a model by name. Any name may be typed; the suggestions only save typing.
import { type FormEvent, useState } from 'react';

interface Props {
  readonly suggestions: readonly string[];
  /** One pull at a time; the form stays readable meanwhile. */
  readonly busy: boolean;
  readonly onPull: (model: string) => void;
}

export function PullForm({ suggestions, busy, onPull }: Props) {
  const [name, setName] = useState('');
  const wanted = name.trim();

  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (busy || wanted === '') return;
    onPull(wanted);
    setName('');
  };
  return (
    <form className="pull-form" onSubmit={submit}>
      <label htmlFor="pull-name">Pull a model</label>
      <div className="input-row">
        <input
          id="pull-name"
          type="text"
          value={name}
          onChange={(event) => setName(event.target.value)}
          placeholder="name:tag"
          autoComplete="off"
          autoCapitalize="none"
          spellCheck={false}
        />
        <button type="submit" className="primary" disabled={busy || wanted === ''}>
          Pull
        </button>
      </div>
      {suggestions.length > 0 && (
        <ul className="suggestions" aria-label="Suggested models">
          {suggestions.map((suggestion) => (
            <li key={suggestion}>
              <button type="button" className="chip" onClick={() => setName(suggestion)}>
                {suggestion}
              </button>
            </li>
          ))}
        </ul>
      )}
    </form>
  );
}
