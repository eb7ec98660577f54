// The keys of the page.
import { Dialog } from '../shared/Dialog';
import { destinations } from './Shell';

const others: readonly (readonly [keys: readonly string[], what: string])[] = [
  [['/'], 'Search everything'],
  [['?'], 'This help'],
  [['Esc'], 'Close the dialog or the pane'],
  [['↑', '↓', 'Page ↑', 'Page ↓', 'Home', 'End'], 'Move in a grid; with a row open its details follow'],
  [['Enter'], 'Open the row'],
  [['←', '→'], 'Collapse and expand in a trace'],
];

export function HelpDialog({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Keyboard" onClose={onClose} className="help">
      <dl className="keys">
        {destinations
          .filter((destination) => destination.shortcut !== '')
          .map((destination) => (
            <div key={destination.page}>
              <dt>
                <kbd>{destination.shortcut}</kbd>
              </dt>
              <dd>{destination.title}</dd>
            </div>
          ))}
        {others.map(([keys, what]) => (
          <div key={what}>
            <dt>
              {keys.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
