// Streams of lines that the fake host holds open.

export class Streams {
  #open = new Set();

  /** Answers with what there is, and keeps the connection for what comes. */
  add(response, kind, items, wants) {
    response.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' });
    const stream = { response, kind, wants };
    response.on('close', () => this.#open.delete(stream));
    this.#open.add(stream);
    response.write(items.length === 0 ? '\n' : items.map((item) => `${JSON.stringify(item)}\n`).join(''));
  }

  send(kind, items) {
    for (const stream of this.#open) {
      if (stream.kind !== kind) continue;
      const lines = items.filter(stream.wants).map((item) => `${JSON.stringify(item)}\n`);
      if (lines.length > 0) stream.response.write(lines.join(''));
    }
  }

  /** Tells how many items there are that are not told. */
  leaveOut(kind, count) {
    for (const stream of this.#open) {
      if (stream.kind === kind) stream.response.write(`${JSON.stringify({ missed: count })}\n`);
    }
  }

  count(kind) {
    return [...this.#open].filter((stream) => kind === undefined || stream.kind === kind).length;
  }

  /** As if a cable were pulled. */
  cut() {
    for (const stream of this.#open) stream.response.destroy();
    this.#open.clear();
  }
}
