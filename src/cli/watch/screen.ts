// The terminal as a screen of its own, which is given back as it was on every way out.
import { emitKeypressEvents } from "node:readline";
import type { ReadStream, WriteStream } from "node:tty";
import type { Key } from "./state.js";
import type { Size } from "./view.js";

const ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l";
const HOME = "\x1b[H";
const CLEAR_LINE = "\x1b[K";
const CLEAR_BELOW = "\x1b[J";

interface Pressed {
  readonly name?: string;
  readonly ctrl?: boolean;
}

/** A terminal's alternate screen, with keys. */
export class Screen {
  readonly #in: ReadStream;
  readonly #out: WriteStream;
  #isOpen = true;
  readonly #close = () => this.close();

  /** Takes the terminal; `close` gives it back, and so does the end of the process, whatever the reason. */
  constructor(input: ReadStream, output: WriteStream, onKey: (key: Key) => void, onResize: () => void) {
    this.#in = input;
    this.#out = output;
    process.on("exit", this.#close);
    emitKeypressEvents(input);
    input.setRawMode(true);
    input.on("keypress", (text: string | undefined, { name = "", ctrl = false }: Pressed) =>
      onKey({ name, text: text ?? "", ctrl }),
    );
    output.on("resize", onResize);
    output.write(ENTER);
  }

  get size(): Size {
    return { columns: this.#out.columns, rows: this.#out.rows };
  }

  /** Shows lines; not while the terminal has not yet taken those before, so that a slow one gets fewer. */
  show(lines: readonly string[]): void {
    if (!this.#isOpen || this.#out.writableLength > 0) return;
    this.#out.write(`${HOME}${lines.map((line) => CLEAR_LINE + line).join("\r\n")}${CLEAR_BELOW}`);
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    process.off("exit", this.#close);
    this.#in.setRawMode(false);
    this.#in.pause();
    this.#out.write(LEAVE);
  }
}
