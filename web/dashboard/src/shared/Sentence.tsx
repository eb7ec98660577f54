// A sentence of the host's in which names stand between backticks, as in its documents.
export function Sentence({ text }: { text: string }) {
  return <>{partsOf(text).map((part, index) => (index % 2 === 1 ? <code key={index}>{part}</code> : part))}</>;
}

/** Every second part is a name. A backtick without its other one is text. */
export function partsOf(text: string): readonly string[] {
  return text.split(/`([^`]+)`/);
}
