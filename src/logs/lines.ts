// Chunks of text for a log that is written as a stream.
import type { Chunk } from "./outbox.js";

/** Characters that go together. */
const CHUNK = 64 << 10;

/** Collects pieces of text, each an event's, and gives them away in chunks. */
export class Lines {
  readonly #put: (chunk: Chunk) => void;
  #text = "";
  #events = 0;

  constructor(put: (chunk: Chunk) => void) {
    this.#put = put;
  }

  add(text: string, events = 1): void {
    this.#text += text;
    this.#events += events;
    if (this.#text.length >= CHUNK) this.flush();
  }

  flush(): void {
    if (this.#text === "") return;
    this.#put({ bytes: Buffer.from(this.#text), events: this.#events });
    [this.#text, this.#events] = ["", 0];
  }
}
