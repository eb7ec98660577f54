// The installed models as cards; the chosen one answers in the chat. A radio group, because that
// is what it is: arrow keys and screen readers know the rest.
import { formatBytes, formatDate } from './format';
import { isDemo, type Model } from './library';

interface Props {
  readonly models: readonly Model[];
  readonly active: string | undefined;
  readonly onChoose: (name: string) => void;
}

export const demoNote = 'Demo model: a small statistical text model, not a language model';

export function ModelList({ models, active, onChoose }: Props) {
  return (
    <fieldset className="model-list">
      <legend className="visually-hidden">Active model</legend>
      {models.map((model) => (
        <ModelCard
          key={model.name}
          model={model}
          active={model.name === active}
          onChoose={() => onChoose(model.name)}
        />
      ))}
    </fieldset>
  );
}

interface CardProps {
  readonly model: Model;
  readonly active: boolean;
  readonly onChoose: () => void;
}

function ModelCard({ model, active, onChoose }: CardProps) {
  const facts = [
    ['Size', model.sizeBytes > 0 ? formatBytes(model.sizeBytes) : ''],
    ['Family', model.family],
    ['Parameters', model.parameterSize],
    ['Quantisation', model.quantization],
    ['Format', model.format],
    ['Modified', formatDate(model.modifiedAt)],
  ].filter(([, value]) => value !== '');
  const factsId = `facts-${model.name}`;

  return (
    <label className="model-card">
      <span className="model-name">
        <input
          type="radio"
          name="active-model"
          aria-label={model.name}
          aria-describedby={factsId}
          checked={active}
          onChange={onChoose}
        />
        <span>{model.name}</span>
        {active && <span className="badge">Active</span>}
      </span>
      <span id={factsId} className="model-facts">
        {facts.map(([name, value]) => (
          <span key={name}>
            <span className="fact-name">{name}</span> {value}
          </span>
        ))}
        {isDemo(model.name) && <span className="demo-note">{demoNote}</span>}
      </span>
    </label>
  );
}
