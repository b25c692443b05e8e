// Sessions that outlast the gateway, whether it is ended or killed: a snapshot in a file, taken anew again and again.
import type { Restored } from "../conntrack.js";
import { NatError } from "../errors.js";
import type { Nat } from "../nat.js";
import { readIfThere, writeWhole, writeWholeSlowly } from "./files.js";

export interface SavedSessionsConfig {
  /** The path of the file. */
  readonly file: string;
  /** Seconds from one snapshot to the next. */
  readonly every: number;
}

export class SavedSessions {
  readonly #nat: Nat;
  readonly #config: SavedSessionsConfig;
  readonly #warn: (text: string) => void;
  #timer: NodeJS.Timeout | undefined;
  #isOpen = true;

  constructor(nat: Nat, config: SavedSessionsConfig, warn: (text: string) => void) {
    this.#nat = nat;
    this.#config = config;
    this.#warn = warn;
  }

  /** Brings back what the file has; null when there is none, or none that can be read, which is told. */
  restore(): Restored | null {
    const { file } = this.#config;
    try {
      const snapshot = readIfThere(file);
      return snapshot === null ? null : this.#nat.conntrack.restore(snapshot);
    } catch (error) {
      this.#warn(`sessions: ${file} is not read: ${(error as Error).message}; beginning without sessions`);
      return null;
    }
  }

  /** Keeps the file up to date from now on. */
  start(): void {
    this.#timer = setTimeout(
      () => void this.#save().then(() => this.#isOpen && this.start()),
      this.#config.every * 1000,
    );
  }

  /** Writes all sessions once more, and ends. */
  close(): void {
    this.#isOpen = false;
    clearTimeout(this.#timer);
    try {
      writeWhole(this.#config.file, this.#nat.conntrack.snapshot());
    } catch (error) {
      this.#complain(error as Error);
    }
  }

  async #save(): Promise<void> {
    try {
      await writeWholeSlowly(this.#config.file, this.#nat.conntrack.snapshot(), () => this.#isOpen);
    } catch (error) {
      // The config was changed meanwhile: the next one has all.
      const isPassing = error instanceof NatError && error.code === "NAT_ERR_SNAPSHOT";
      if (!isPassing && this.#isOpen) this.#complain(error as Error);
    }
  }

  #complain({ message }: Error): void {
    this.#warn(
      `sessions: they can't be written to ${this.#config.file}: ${message}; those written before stay there`,
    );
  }
}
