// Where a capture is written: one file, or a ring of files, of which the oldest goes when there are enough.
import { type FileHandle, open, rm } from "node:fs/promises";
import { parse } from "node:path";
import { outputError } from "../capture/sink.js";

/** How a capture is spread over files. */
export interface CaptureFilesOptions {
  /** Bytes from which on a file is full, and another one is begun. @default it never is */
  readonly size?: number;
  /** How many files there are at most, the oldest goes; 0 for any number. @default 10 */
  readonly files?: number;
}

/** Files of a capture. What is written is in them at once: whoever kills the process loses none of it. */
export class CaptureFiles {
  readonly #path: string;
  readonly #size: number;
  readonly #most: number;
  #file: FileHandle | null = null;
  #length = 0;
  #number = 0;
  #names: string[] = [];

  constructor(path: string, { size = Number.POSITIVE_INFINITY, files = 10 }: CaptureFilesOptions = {}) {
    this.#path = path;
    this.#size = size;
    this.#most = files === 0 ? Number.POSITIVE_INFINITY : files;
  }

  /** The file that is written now. */
  get name(): string {
    return this.#names.at(-1) ?? this.#path;
  }

  /** Whether it is time for the next file. */
  get isFull(): boolean {
    return this.#length >= this.#size;
  }

  /** Begins a file, the first one or the next; the one before stays as it is. @throws NatError NAT_ERR_OUTPUT */
  async begin(): Promise<void> {
    const isRing = Number.isFinite(this.#size);
    const name = isRing ? numbered(this.#path, this.#number + 1, new Date()) : this.#path;
    try {
      const next = await open(name, "w", 0o600);
      await this.#file?.close();
      this.#file = next;
      this.#number++;
      this.#length = 0;
      this.#names.push(name);
      while (this.#names.length > this.#most) await rm(this.#names.shift()!, { force: true });
    } catch (error) {
      throw outputError(name, error);
    }
  }

  /**
   * Appends bytes, all or none of them.
   * @throws NatError NAT_ERR_OUTPUT when there is no room, say
   */
  async write(bytes: Uint8Array): Promise<void> {
    const file = this.#file!;
    try {
      for (let at = 0; at < bytes.length; ) {
        const { bytesWritten } = await file.write(bytes, at, bytes.length - at, this.#length + at);
        at += bytesWritten;
      }
      this.#length += bytes.length;
    } catch (error) {
      await file.truncate(this.#length).catch(() => {});
      throw outputError(this.name, error);
    }
  }

  async close(): Promise<void> {
    await this.#file?.close().catch(() => {});
    this.#file = null;
  }
}

/** "nat.pcapng" as "nat_00001_20261123T054443Z.pcapng": the number and when it was begun, as dumpcap does. */
function numbered(path: string, number: number, time: Date): string {
  const { dir, name, ext } = parse(path);
  const stamp = time.toISOString().replace(/[-:]|\.\d+/g, "");
  const file = `${name}_${String(number).padStart(5, "0")}_${stamp}${ext}`;
  return dir === "" ? file : `${dir === "/" ? "" : dir}/${file}`;
}
