import type { ByteSink } from "../capture/sink.js";

const BUFFER_BYTES = 1 << 20;

/** Gathers byte ranges until there is enough for one write. */
export class Output {
  readonly #sink: ByteSink;
  readonly #buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  #used = 0;

  constructor(sink: ByteSink) {
    this.#sink = sink;
  }

  /** Takes a range; false when there is no room left: then `flush`, and ask again. */
  append(bytes: Uint8Array, from: number, to: number): boolean {
    if (to - from > BUFFER_BYTES - this.#used) return false;
    this.#buffer.set(bytes.subarray(from, to), this.#used);
    this.#used += to - from;
    return true;
  }

  /** Takes a range of any length, writing as needed. */
  async write(bytes: Uint8Array, from = 0, to = bytes.length): Promise<void> {
    if (this.append(bytes, from, to)) return;
    await this.flush();
    if (!this.append(bytes, from, to)) await this.#sink.write(bytes.subarray(from, to));
  }

  async flush(): Promise<void> {
    if (this.#used > 0) await this.#sink.write(this.#buffer.subarray(0, this.#used));
    this.#used = 0;
  }
}
