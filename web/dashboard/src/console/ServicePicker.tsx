// Whose output is shown: all of it, or that of the services that are pressed.
import { useApplication, useColour } from '../shared/application';

export function ServicePicker(props: {
  chosen: readonly string[];
  onChange: (services: readonly string[]) => void;
}) {
  const { chosen, onChange } = props;
  const { resources, services } = useApplication();
  const colour = useColour();
  // Nothing else prints.
  const printing = services.filter(
    (name) => resources?.services.find((service) => service.service === name)?.kind === 'component',
  );
  const shown = [...printing, ...chosen.filter((name) => !printing.includes(name))];
  return (
    <div className="segments services" role="group" aria-label="Services">
      <button type="button" aria-pressed={chosen.length === 0} onClick={() => onChange([])}>
        All
      </button>
      {shown.map((name) => (
        <button
          key={name}
          type="button"
          className={colour(name)}
          aria-pressed={chosen.includes(name)}
          onClick={() =>
            onChange(chosen.includes(name) ? chosen.filter((other) => other !== name) : [...chosen, name])
          }
        >
          <i aria-hidden="true" />
          {name}
        </button>
      ))}
    </div>
  );
}
