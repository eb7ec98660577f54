// Newline-delimited JSON. A chunk of the network is not a line: it may end inside a line, or
// inside one character, so bytes are decoded as a stream and parsed once their newline came.

/** Longer lines than this are no telemetry; waiting for their end would eat the memory. */
export const lineCharactersMax = 8 * 1024 * 1024;

export class LineReader {
  private readonly decoder = new TextDecoder();
  private rest = '';

  /** The whole lines that end in this chunk. Empty ones are kept: they are a sign of life. */
  push(chunk: Uint8Array): string[] {
    const lines = (this.rest + this.decoder.decode(chunk, { stream: true })).split('\n');
    this.rest = lines.pop() ?? '';
    if (this.rest.length > lineCharactersMax) throw new Error('A line of the stream does not end');
    return lines.map((line) => line.trim());
  }
}
