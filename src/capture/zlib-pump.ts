import type { Transform } from "node:stream";

/** One of node:zlib's streams. */
export interface ZlibStream extends Transform {
  readonly bytesWritten: number;
}

/**
 * Drives a zlib stream by hand: piece in, all of its output out. Unlike a pipeline it loses no output that
 * came before an error, and it tells where in the input a compressed stream ended.
 */
export class ZlibPump {
  /** Output not yet taken; whoever takes it empties the array. */
  readonly output: Uint8Array[] = [];
  failure: Error | null = null;
  readonly #stream: ZlibStream;
  #wake: () => void = () => {};

  constructor(stream: ZlibStream) {
    this.#stream = stream;
    stream.on("data", (chunk: Uint8Array) => this.output.push(chunk));
    stream.on("error", (error: Error) => {
      this.failure = error;
      this.#wake();
    });
    stream.on("end", () => this.#wake());
  }

  /** Bytes of input used so far; less than was written once a compressed stream has ended. */
  get consumed(): number {
    return this.#stream.bytesWritten;
  }

  /** Hands over a piece, which must stay as it is until the promise resolves (also on failure). */
  write(piece: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      this.#stream.write(piece, () => resolve());
    });
  }

  /** Says that there is no more input, and waits for the last output. */
  async finish(): Promise<void> {
    if (this.failure !== null) return;
    return new Promise((resolve) => {
      this.#wake = resolve;
      this.#stream.end();
    });
  }

  close(): void {
    this.#stream.destroy();
  }
}
