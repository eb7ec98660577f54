// What the service says. Pure: no clock, no chance, no network.

const GREETINGS = { de: 'Guten Tag', en: 'Hello', fr: 'Bonjour' };

export function greeting(name, language = 'en') {
  return `${GREETINGS[language] ?? GREETINGS.en}, ${name}!`;
}

/** A side from 1 on, from a random word. */
export function dice(word, sides) {
  return (word % sides) + 1;
}

export function advice(celsius) {
  if (celsius <= 0) return 'Wear a coat, a scarf and gloves.';
  if (celsius < 15) return 'Wear a jacket.';
  return 'A shirt will do.';
}
