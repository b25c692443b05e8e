import { SingleBar } from "cli-progress";

/** Below this a file is done before a bar could be read. */
const LONG_FILE = 32 << 20;

/** A progress bar on a terminal, for inputs long enough to wait for; otherwise nothing. */
export class Progress {
  readonly #bar: SingleBar | null = null;

  /** @param size bytes of the input, or null when unknown */
  constructor(size: number | null) {
    if (size === null || size < LONG_FILE || !process.stderr.isTTY) return;
    this.#bar = new SingleBar({
      format: "{bar} {percentage}%  {mb} MB  {packets} packets  {eta_formatted} left",
      stream: process.stderr,
      barCompleteChar: "█",
      barIncompleteChar: "░",
      hideCursor: true,
      clearOnComplete: true,
      etaBuffer: 50,
    });
    this.#bar.start(size, 0, { mb: 0, packets: 0 });
  }

  update(consumed: number, packets: number): void {
    this.#bar?.update(consumed, { mb: Math.round(consumed / 1e6), packets: packets.toLocaleString("en-US") });
  }

  end(): void {
    this.#bar?.stop();
  }
}
