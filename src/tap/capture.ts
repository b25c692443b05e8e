// What a tap shows, as a pcapng of both sides: in files, or down a stream.
import type { Writable } from "node:stream";
import { BothSidesWriter } from "../capture/both-sides.js";
import { streamSink } from "../capture/sink.js";
import { CaptureFiles, type CaptureFilesOptions } from "./files.js";
import type { Tap } from "./tap.js";
import { commentOf } from "./tapped-packet.js";

/** What a capture has come to. */
export interface CaptureCounts {
  /** Packets written. One that is translated is two, one on each side. */
  readonly packets: number;
  /** Packets that the tap lost: they came faster than they could be written. */
  readonly lost: number;
  /** Packets that could not be written, as where the disk is full. */
  readonly unwritten: number;
}

/** Where a capture goes; each write is of whole pcapng blocks. */
type CaptureOutput = Pick<CaptureFiles, "isFull" | "begin" | "write" | "close">;

/**
 * Writes what a tap shows as a pcapng of both sides: an interface for each, times in nanoseconds, and a comment on every
 * packet with session and verdict. Packets that are missing are counted in the next one (epb_dropcount).
 * @param to a path, or a stream, which is ended with the tap; the tap is closed when the stream is
 * @returns when the tap has ended and all is written
 * @throws NatError NAT_ERR_OUTPUT when it can't be written; the tap is closed then
 * @example
 * const tap = nat.tap({ filter: "192.168.226.135" });
 * const written = captureTap(tap, "both.pcapng");
 * // ... and in the end
 * tap.close();
 * const { packets, lost } = await written;
 */
export async function captureTap(
  tap: Tap,
  to: string | Writable,
  options: CaptureFilesOptions = {},
): Promise<CaptureCounts> {
  const output = typeof to === "string" ? new CaptureFiles(to, options) : streamOutput(tap, to);
  const capture = new TapCapture(tap, output);
  await capture.begin();
  await capture.run();
  return capture.counts;
}

function streamOutput(tap: Tap, stream: Writable): CaptureOutput {
  const sink = streamSink(stream, "the stream");
  stream.once("close", () => tap.close());
  return {
    isFull: false,
    begin: async () => {},
    // A stream may keep what it was given.
    write: (bytes) => sink.write(bytes.slice()),
    close: () => (stream.destroyed ? sink.abort() : sink.close()),
  };
}

/** @internal Writes a tap's packets until the tap ends. */
export class TapCapture {
  readonly #tap: Tap;
  readonly #output: CaptureOutput;
  readonly #warn: ((error: Error) => void) | null;
  #writer: BothSidesWriter;
  #packets = 0;
  #unwritten = 0;
  /** Packets that are missing since the last one that was written. */
  #missing = 0;
  #hasWarned = false;

  /** `warn` is told the first time that the output fails; the capture goes on when it can. Without, a failure ends it. */
  constructor(tap: Tap, output: CaptureOutput, warn: ((error: Error) => void) | null = null) {
    this.#tap = tap;
    this.#output = output;
    this.#warn = warn;
    this.#writer = this.#newSection();
  }

  get counts(): CaptureCounts {
    return { packets: this.#packets, lost: this.#tap.lost, unwritten: this.#unwritten };
  }

  /**
   * Begins the output, which can be read from then on.
   * @throws NatError NAT_ERR_OUTPUT when it can't be; the tap is closed then
   */
  async begin(): Promise<void> {
    try {
      await this.#beginFile();
    } catch (error) {
      await this.#end();
      throw error;
    }
  }

  /** Writes until the tap ends. @throws NatError NAT_ERR_OUTPUT where the output fails, without `warn` */
  async run(): Promise<void> {
    try {
      while (await this.#tap.take(() => true)) {
        let failure = this.#output.isFull ? await failureOf(this.#beginFile()) : null;
        const gathered = this.#gather();
        failure ??= await failureOf(this.#writer.flush());
        if (failure === null) this.#succeed(gathered);
        else this.#fail(failure, gathered);
      }
    } finally {
      await this.#end();
    }
  }

  async #end(): Promise<void> {
    this.#tap.close();
    await this.#output.close();
  }

  async #beginFile(): Promise<void> {
    await this.#output.begin();
    this.#writer = this.#newSection();
    await this.#writer.flush();
  }

  #newSection(): BothSidesWriter {
    // All that a pcapng needs to begin with; within a file, too.
    return new BothSidesWriter(this.#output);
  }

  /** Appends the record at hand and those behind it, until there is enough to write. */
  #gather(): Gathered {
    const tap = this.#tap;
    const { ring } = tap;
    const gathered = { count: 0, missing: this.#missing };
    for (let lost = this.#missing; ; lost = 0) {
      const lostBefore = tap.takeLost();
      const { side, bytes: frame, linkType, length: wireLength } = ring;
      const packet = { frame, linkType, wireLength, ...tap.time };
      this.#writer.packet(side, packet, commentOf(ring), lost + lostBefore);
      gathered.count++;
      gathered.missing += lostBefore;
      if (this.#writer.full || !tap.advance()) return gathered;
    }
  }

  #succeed({ count }: Gathered): void {
    this.#packets += count;
    this.#missing = 0;
  }

  #fail(error: Error, { count, missing }: Gathered): void {
    if (this.#warn === null) throw error;
    this.#unwritten += count;
    this.#missing = missing + count;
    this.#writer = this.#newSection();
    if (!this.#hasWarned) this.#warn(error);
    this.#hasWarned = true;
  }
}

/** Packets that were appended, and that were missing before or between them. */
interface Gathered {
  readonly count: number;
  readonly missing: number;
}

function failureOf(trying: Promise<void>): Promise<Error | null> {
  return trying.then(
    () => null,
    (error: Error) => error,
  );
}
