import { NatError } from "../errors.js";
import { CaptureChunk } from "./chunk.js";
import { isPcapMagic, PCAP_FILE_HEADER, PcapScanner } from "./pcap.js";
import { BLOCK, PcapngScanner } from "./pcapng.js";
import type { RecordScanner } from "./scanner.js";
import type { CaptureFormat } from "./section.js";
import type { ByteSource } from "./source.js";

/** Where a capture stops making sense. Everything before `offset` was delivered. */
export interface CaptureDamage {
  /** Of the first bad record, in bytes from the start of the uncompressed capture. */
  readonly offset: number;
  readonly message: string;
}

export interface CaptureReaderOptions {
  /** Where the capture is read into; a record must fit in. May view a SharedArrayBuffer. */
  readonly buffer: Uint8Array;
  /** Most records in one chunk. Default 16384. */
  readonly maxRecords?: number;
  /** Awaited before the buffer is changed: for who still reads from chunks given before. */
  readonly beforeRefill?: () => Promise<void>;
}

const DEFAULT_MAX_RECORDS = 16384;

/** Room for the longest header that is read as one piece. */
const MIN_BUFFER = 64;

/**
 * Reads a pcap or pcapng file through one buffer, whatever the file's size, without copying packets:
 * a chunk says where in the buffer they are, and they may be changed there.
 */
export class CaptureReader {
  readonly #source: ByteSource;
  readonly #buffer: Uint8Array;
  readonly #view: DataView;
  readonly #scanner: RecordScanner;
  readonly #chunk: CaptureChunk;
  readonly #beforeRefill: () => Promise<void>;
  /** Offset in the file of the buffer's first byte. */
  #base = 0;
  /** `[#position, #filled)` of the buffer was read and not yet delivered. */
  #position = 0;
  #filled: number;
  /** No more bytes come from the source: it ended, or failed for a reason. */
  #ended: boolean;
  #failure: string | null;
  #damage: CaptureDamage | null = null;

  /** Recognizes the format. Throws a NatError when there is nothing, or no capture. */
  static async open(source: ByteSource, options: CaptureReaderOptions): Promise<CaptureReader> {
    const { buffer, maxRecords = DEFAULT_MAX_RECORDS } = options;
    if (buffer.length < MIN_BUFFER || !(maxRecords >= 1)) {
      throw new NatError(
        "NAT_ERR_ARGUMENT",
        `a capture reader needs ${MIN_BUFFER} bytes and room for a record`,
      );
    }
    const start = await readStart(source, buffer);
    const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
    const scanner = recognize(view, start.filled);
    if (scanner === null) {
      throw new NatError("NAT_ERR_CAPTURE", start.failure ?? describeUnknown(buffer, start.filled));
    }
    return new CaptureReader(
      source,
      scanner,
      new CaptureChunk(buffer, maxRecords, scanner.section),
      view,
      start,
      options.beforeRefill ?? (async () => {}),
    );
  }

  private constructor(
    source: ByteSource,
    scanner: RecordScanner,
    chunk: CaptureChunk,
    view: DataView,
    start: CaptureStart,
    beforeRefill: () => Promise<void>,
  ) {
    this.#source = source;
    this.#scanner = scanner;
    this.#chunk = chunk;
    this.#buffer = chunk.bytes;
    this.#view = view;
    this.#beforeRefill = beforeRefill;
    this.#filled = start.filled;
    this.#ended = start.ended;
    this.#failure = start.failure;
    if (scanner.section.format === "pcap" && start.filled < PCAP_FILE_HEADER) {
      const message = `the file ends within its header (${start.filled} of ${PCAP_FILE_HEADER} bytes)`;
      this.#damage = { offset: 0, message: start.failure ?? message };
    }
  }

  get format(): CaptureFormat {
    return this.#scanner.section.format;
  }

  /** What is wrong with the capture, once `next` has returned null. */
  get damage(): CaptureDamage | null {
    return this.#damage;
  }

  /**
   * The records that follow, or null at the capture's end or damage. The chunk given before becomes
   * invalid. A chunk may have no records: then it covers only bytes between records.
   */
  async next(): Promise<CaptureChunk | null> {
    while (this.#damage === null) {
      if (this.#scan()) return this.#chunk;
      const missing = this.#scanner.fault;
      if (missing !== null) this.#damage = { offset: this.#base + this.#position, message: missing };
      else if (this.#ended) return this.#finish();
      else await this.#fill();
    }
    return null;
  }

  /** Takes whole records that are in the buffer; false when there is nothing to take. */
  #scan(): boolean {
    const chunk = this.#chunk;
    if (this.#scanner.fault !== null) return false;
    chunk.count = 0;
    chunk.begin = this.#position;
    chunk.end = this.#scanner.scan(chunk, this.#view, this.#position, this.#filled);
    this.#position = chunk.end;
    return chunk.end > chunk.begin;
  }

  /** Moves the incomplete record to the buffer's front and reads on behind it. */
  async #fill(): Promise<void> {
    await this.#beforeRefill();
    const buffer = this.#buffer;
    buffer.copyWithin(0, this.#position, this.#filled);
    this.#filled -= this.#position;
    this.#base += this.#position;
    this.#position = 0;
    const got = await readMore(this.#source, buffer.subarray(this.#filled));
    if (got.failure !== null) this.#failure = got.failure;
    this.#ended = got.count === 0;
    this.#filled += got.count;
  }

  #finish(): null {
    const message = this.#failure ?? this.#scanner.describeCut(this.#view, this.#position, this.#filled);
    if (message !== null) this.#damage = { offset: this.#base + this.#position, message };
    return null;
  }
}

interface CaptureStart {
  readonly filled: number;
  readonly ended: boolean;
  readonly failure: string | null;
}

/** Reads at least a pcap file header, unless the source has less. */
async function readStart(source: ByteSource, buffer: Uint8Array): Promise<CaptureStart> {
  let filled = 0;
  for (;;) {
    const got = await readMore(source, buffer.subarray(filled));
    filled += got.count;
    const ended = got.count === 0;
    if (ended || filled >= PCAP_FILE_HEADER) return { filled, ended, failure: got.failure };
  }
}

/** Reads once. A source that fails has ended: what came before is still good, and the failure is told later. */
async function readMore(
  source: ByteSource,
  target: Uint8Array,
): Promise<{ count: number; failure: string | null }> {
  try {
    return { count: await source.read(target), failure: null };
  } catch (error) {
    if (!(error instanceof NatError)) throw error;
    return { count: 0, failure: error.message };
  }
}

function recognize(view: DataView, filled: number): RecordScanner | null {
  if (filled < 4) return null;
  if (view.getUint32(0, false) === BLOCK.section) return new PcapngScanner();
  for (const littleEndian of [true, false]) {
    if (isPcapMagic(view.getUint32(0, littleEndian))) return new PcapScanner(view, 0, littleEndian);
  }
  return null;
}

function describeUnknown(buffer: Uint8Array, filled: number): string {
  if (filled === 0) return "the input is empty, not a pcap or pcapng capture";
  const first = Array.from(buffer.subarray(0, Math.min(filled, 8)), (byte) =>
    byte.toString(16).padStart(2, "0"),
  );
  return `the input is no pcap or pcapng capture: it begins with ${first.join(" ")}`;
}
