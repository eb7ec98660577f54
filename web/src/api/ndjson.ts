// Newline-delimited JSON, as Ollama streams it: one object per line, errors as a line of their own.
//
// Knows bytes and lines, nothing of fetch or React. A chunk of the network is not a line: it may
// end inside a line, or inside one character, so bytes are only decoded once their newline came.

export type JsonObject = Readonly<Record<string, unknown>>;

/** The Go client of Ollama gives up at the same size. */
export const lineBytesMax = 8 * 1024 * 1024;

const newline = 0x0a;

/** The server said, inside a stream that began with 200, that it failed. */
export class ErrorLine extends Error {
  override readonly name = 'ErrorLine';
}

/** The stream holds something that is not a JSON object on a line. */
export class MalformedLine extends Error {
  override readonly name = 'MalformedLine';
}

/** A line grew past the cap: the peer is broken, and waiting for its end would eat the memory. */
export class LineTooLong extends Error {
  override readonly name = 'LineTooLong';
}

/**
 * Yields the object of every line, the unterminated last one included, and throws at the first
 * line that is an error. Lines before the bad one have been yielded by then.
 */
export async function* readNdjson(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  lineMax: number = lineBytesMax,
): AsyncGenerator<JsonObject, void, undefined> {
  // Pieces are kept apart until their line ends: joining on every chunk would copy a long line
  // once per chunk.
  let pieces: Uint8Array[] = [];
  let carried = 0;
  const carry = (piece: Uint8Array) => {
    carried += piece.length;
    if (carried > lineMax) throw new LineTooLong(`A line is longer than ${lineMax} bytes`);
    if (piece.length > 0) pieces.push(piece);
  };
  const takeLine = () => {
    const object = parseLine(pieces);
    pieces = [];
    carried = 0;
    return object;
  };

  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      carry(chunk.subarray(start, end));
      start = end + 1;
      const object = takeLine();
      if (object) yield object;
    }
    carry(chunk.subarray(start));
  }
  const tail = takeLine();
  if (tail) yield tail;
}

/** A blank line is not an error: some proxies send them to keep a connection alive. */
function parseLine(pieces: readonly Uint8Array[]): JsonObject | undefined {
  const text = decode(pieces).trim();
  if (text === '') return undefined;

  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new MalformedLine(`Not JSON: ${excerpt(text)}`);
  }
  if (!isObject(value)) throw new MalformedLine(`Not a JSON object: ${excerpt(text)}`);
  if (value.error !== undefined && value.error !== null) {
    throw new ErrorLine(typeof value.error === 'string' ? value.error : JSON.stringify(value.error));
  }
  return value;
}

function decode(pieces: readonly Uint8Array[]): string {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  try {
    return pieces.map((piece) => decoder.decode(piece, { stream: true })).join('') + decoder.decode();
  } catch {
    throw new MalformedLine('Not UTF-8');
  }
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function excerpt(text: string): string {
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
