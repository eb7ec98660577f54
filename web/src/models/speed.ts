// Download speed as an average over the last seconds: a figure per tick would be unreadable, one
// over the whole pull would hide that it slowed down.

const windowMs = 5000;
/** A shorter span would turn one early burst into an absurd figure. */
const spanMsMin = 500;

interface Sample {
  readonly atMs: number;
  readonly bytes: number;
}

export class SpeedMeter {
  #samples: Sample[] = [];

  /** `bytes` is the sum so far, not the increase. */
  add(atMs: number, bytes: number): void {
    this.#samples.push({ atMs, bytes });
    const oldest = this.#samples.findIndex((sample) => sample.atMs >= atMs - windowMs);
    this.#samples.splice(0, oldest);
  }

  bytesPerSecond(): number | undefined {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (!first || !last || last.atMs - first.atMs < spanMsMin) return undefined;
    return ((last.bytes - first.bytes) / (last.atMs - first.atMs)) * 1000;
  }
}
