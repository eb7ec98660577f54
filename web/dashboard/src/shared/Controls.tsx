// The controls that the toolbars of all pages share.
import { useEffect, useId, useRef, useState } from 'react';
import { useApplication, useColour } from './application';
import { Icon, type IconName } from './Icon';

export function IconButton(props: {
  icon: IconName;
  label: string;
  onClick: () => void;
  pressed?: boolean;
  disabled?: boolean;
  text?: boolean;
}) {
  const { icon, label, onClick, pressed, disabled, text } = props;
  return (
    <button
      type="button"
      className={text ? 'with-icon' : 'icon-only'}
      aria-label={text ? undefined : label}
      title={label}
      aria-pressed={pressed}
      disabled={disabled}
      onClick={onClick}
    >
      <Icon name={icon} />
      {text && <span>{label}</span>}
    </button>
  );
}

/** A pause in typing, so that not every letter is a question to the host. */
const pauseMs = 150;

/** Answers when one pauses or presses Enter, and follows when the address changes under it. */
export function SearchField(props: { label: string; value: string; onChange: (value: string) => void }) {
  const { label, value, onChange } = props;
  const [text, setText] = useState(value);
  const told = useRef(value);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => {
    // What comes back of what was typed here is no news, and must not undo letters after it.
    if (value === told.current) return;
    told.current = value;
    clearTimeout(timer.current);
    setText(value);
  }, [value]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const tell = (now: string) => {
    clearTimeout(timer.current);
    if (now === told.current) return;
    told.current = now;
    onChange(now);
  };
  return (
    <span className="search-field">
      <Icon name="search" />
      <input
        type="search"
        aria-label={label}
        placeholder={label}
        value={text}
        spellCheck={false}
        onChange={(event) => {
          const now = event.target.value;
          setText(now);
          clearTimeout(timer.current);
          timer.current = setTimeout(() => tell(now), pauseMs);
        }}
        onBlur={() => tell(text)}
        onKeyDown={(event) => {
          if (event.key === 'Enter') tell(text);
          if (event.key !== 'Escape' || text === '') return;
          // Here it takes back what was typed, and closes nothing beside it.
          event.preventDefault();
          event.stopPropagation();
          setText('');
          tell('');
        }}
      />
    </span>
  );
}

export function Select(props: {
  label: string;
  value: string;
  options: readonly (readonly [value: string, text: string])[];
  onChange: (value: string) => void;
}) {
  const { label, value, options, onChange } = props;
  const id = useId();
  return (
    <span className="select">
      <label htmlFor={id}>{label}</label>
      <select id={id} value={value} onChange={(event) => onChange(event.target.value)}>
        {options.map(([key, text]) => (
          <option key={key} value={key}>
            {text}
          </option>
        ))}
      </select>
    </span>
  );
}

/** One service or all; one that is gone stays selected, since its telemetry is still there. */
export function ServiceSelect({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  const { services } = useApplication();
  const known = value === '' || services.includes(value) ? services : [...services, value];
  return (
    <Select
      label="Service"
      value={value}
      options={[['', 'All services'], ...known.map((name) => [name, name] as const)]}
      onChange={onChange}
    />
  );
}

export function ServiceName({ service }: { service: string | null }) {
  const colour = useColour();
  return (
    <span className={`service-name ${colour(service)}`}>
      <i aria-hidden="true" />
      {service ?? 'host'}
    </span>
  );
}

export function Tabs(props: {
  label: string;
  value: string;
  options: readonly (readonly [value: string, text: string])[];
  onChange: (value: string) => void;
}) {
  const { label, value, options, onChange } = props;
  return (
    <div className="segments" role="group" aria-label={label}>
      {options.map(([key, text]) => (
        <button key={key} type="button" aria-pressed={key === value} onClick={() => onChange(key)}>
          {text}
        </button>
      ))}
    </div>
  );
}
