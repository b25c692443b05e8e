import type { ByteSink } from "../capture/sink.js";

const BUFFER_BYTES = 1 << 18;
/** From this length on a range is written from where it lies. */
const LONG_RANGE = 1 << 16;

/**
 * Writes byte ranges in order, one write at a time, and goes on while a write is under way: so reading and
 * translating overlap with writing. Short ranges are gathered; long ones are not copied, and must stay as they are
 * until `settle`.
 */
export class Output {
  readonly #sink: ByteSink;
  #gathering = Buffer.allocUnsafe(BUFFER_BYTES);
  #writing = Buffer.allocUnsafe(BUFFER_BYTES);
  #used = 0;
  #pending: Promise<void> | null = null;

  constructor(sink: ByteSink) {
    this.#sink = sink;
  }

  /** Takes a short range if there is room; false when `write` has to take it. */
  append(bytes: Uint8Array, from: number, to: number): boolean {
    const length = to - from;
    if (length >= LONG_RANGE || length > BUFFER_BYTES - this.#used) return false;
    this.#gathering.set(bytes.subarray(from, to), this.#used);
    this.#used += length;
    return true;
  }

  /** Takes a range of any length. */
  async write(bytes: Uint8Array, from = 0, to = bytes.length): Promise<void> {
    if (this.append(bytes, from, to)) return;
    await this.#flush();
    if (!this.append(bytes, from, to)) await this.#start(bytes.subarray(from, to));
  }

  /** Resolves when no write is under way: ranges that were handed over may change then. */
  async settle(): Promise<void> {
    const pending = this.#pending;
    this.#pending = null;
    await pending;
  }

  /** Resolves when all is written. */
  async finish(): Promise<void> {
    await this.#flush();
    await this.settle();
  }

  async #flush(): Promise<void> {
    if (this.#used === 0) return;
    const full = this.#gathering.subarray(0, this.#used);
    await this.#start(full);
    [this.#gathering, this.#writing] = [this.#writing, this.#gathering];
    this.#used = 0;
  }

  async #start(bytes: Uint8Array): Promise<void> {
    await this.settle();
    this.#pending = this.#sink.write(bytes);
    // A failure is told by `settle`; until then it must not count as unhandled.
    this.#pending.catch(() => {});
  }
}
