import type { CaptureChunk } from "./chunk.js";
import { PCAP_FILE_HEADER, PCAP_MAGIC, PCAP_RECORD_HEADER } from "./pcap.js";
import { BLOCK, BYTE_ORDER_MAGIC, OPTION } from "./pcapng.js";
import { MAX_CAPTURED, TimeUnit } from "./section.js";
import type { ByteSink } from "./sink.js";

/** Bytes that wait before {@link PcapWriter.full} and {@link PcapngWriter.full} ask for a flush. */
const FLUSH_AT = 256 * 1024;

/** Longest comment, in bytes of UTF-8: the option's length has 16 bits. */
const MAX_COMMENT = 65535;

const EPB_HEADER = 28;

export interface PcapOptions {
  readonly linkType: number;
  /** Nanosecond instead of microsecond timestamps. Default false. */
  readonly nanoseconds?: boolean;
  /** Default true. */
  readonly littleEndian?: boolean;
  /** Default {@link MAX_CAPTURED}. */
  readonly snapLength?: number;
}

/** Writes a pcap file. */
export class PcapWriter {
  readonly #out: GrowingBuffer;
  readonly #littleEndian: boolean;
  readonly #nanosPerUnit: number;

  constructor(sink: ByteSink, options: PcapOptions) {
    const littleEndian = options.littleEndian ?? true;
    const nanoseconds = options.nanoseconds ?? false;
    this.#out = new GrowingBuffer(sink);
    this.#littleEndian = littleEndian;
    this.#nanosPerUnit = nanoseconds ? 1 : 1000;
    const at = this.#out.reserve(PCAP_FILE_HEADER);
    const view = this.#out.view;
    view.setUint32(at, nanoseconds ? PCAP_MAGIC.nanoseconds : PCAP_MAGIC.microseconds, littleEndian);
    view.setUint16(at + 4, 2, littleEndian); // version 2.4
    view.setUint16(at + 6, 4, littleEndian);
    view.setUint32(at + 16, options.snapLength ?? MAX_CAPTURED, littleEndian);
    view.setUint32(at + 20, options.linkType, littleEndian);
  }

  /** Appends a packet, link header first. Time: seconds since 1970 and nanoseconds in the second. */
  packet(bytes: Uint8Array, seconds: number, nanos: number, wireLength = bytes.length): void {
    const at = this.#out.reserve(PCAP_RECORD_HEADER + bytes.length);
    const view = this.#out.view;
    view.setUint32(at, seconds, this.#littleEndian);
    view.setUint32(at + 4, Math.floor(nanos / this.#nanosPerUnit), this.#littleEndian);
    view.setUint32(at + 8, bytes.length, this.#littleEndian);
    view.setUint32(at + 12, wireLength, this.#littleEndian);
    this.#out.bytes.set(bytes, at + PCAP_RECORD_HEADER);
  }

  /** True when it is time to flush. */
  get full(): boolean {
    return this.#out.length >= FLUSH_AT;
  }

  /** Hands what was appended to the sink. Nothing may be appended until it resolves. */
  flush(): Promise<void> {
    return this.#out.flush();
  }
}

export interface PcapngInterface {
  readonly linkType: number;
  readonly name?: string;
  readonly description?: string;
  /** Decimal digits of the second that timestamps have. Default 9. */
  readonly digits?: 6 | 9;
}

/** Writes a pcapng file of one little-endian section. */
export class PcapngWriter {
  readonly #out: GrowingBuffer;
  readonly #clocks: TimeUnit[] = [];

  constructor(sink: Pick<ByteSink, "write">) {
    this.#out = new GrowingBuffer(sink);
    const at = this.#out.reserve(28);
    const view = this.#out.view;
    view.setUint32(at, BLOCK.section, true);
    view.setUint32(at + 4, 28, true);
    view.setUint32(at + 8, BYTE_ORDER_MAGIC, true);
    view.setUint16(at + 12, 1, true); // version 1.0
    view.setBigInt64(at + 16, -1n, true); // the section's length isn't known
    view.setUint32(at + 24, 28, true);
  }

  /** Declares an interface and returns its number, for {@link packet}. */
  addInterface(options: PcapngInterface): number {
    const digits = options.digits ?? 9;
    const texts: [number, Uint8Array][] = [];
    if (options.name !== undefined) texts.push([OPTION.interfaceName, utf8(options.name)]);
    if (options.description !== undefined) texts.push([OPTION.description, utf8(options.description)]);
    texts.push([OPTION.tsresol, Uint8Array.of(digits)]);
    let length = 20 + 4;
    for (const [, value] of texts) length += optionLength(value);

    const start = this.#out.reserve(length);
    const view = this.#out.view;
    view.setUint32(start, BLOCK.interface, true);
    view.setUint32(start + 4, length, true);
    view.setUint16(start + 8, options.linkType, true);
    let at = start + 16; // the snapshot length stays 0: no limit
    for (const [code, value] of texts) at = this.#option(at, code, value);
    view.setUint32(start + length - 4, length, true); // before it zeros: the end of options
    this.#clocks.push(digits === 9 ? TimeUnit.NANOSECONDS : TimeUnit.MICROSECONDS);
    return this.#clocks.length - 1;
  }

  /**
   * Appends a packet, link header first, with an optional comment, of which the first 65535 bytes are kept, and the
   * number of packets that are missing before it.
   */
  packet(
    interfaceId: number,
    bytes: Uint8Array,
    seconds: number,
    nanos: number,
    wireLength = bytes.length,
    comment = "",
    lost = 0,
  ): void {
    const clock = this.#clocks[interfaceId];
    if (clock === undefined) throw new RangeError(`no interface ${interfaceId}`);
    const options: [number, Uint8Array][] = [];
    if (comment !== "") options.push([OPTION.comment, utf8(comment)]);
    if (lost > 0) options.push([OPTION.dropCount, littleEndian64(lost)]);
    const padded = (bytes.length + 3) & ~3;
    let length = EPB_HEADER + padded + (options.length === 0 ? 0 : 4) + 4;
    for (const [, value] of options) length += optionLength(value);
    const start = this.#out.reserve(length);
    const view = this.#out.view;
    clock.encode(seconds, nanos);
    putEnhancedPacket(view, start, length, interfaceId, clock, bytes.length, wireLength, true);
    this.#out.bytes.set(bytes, start + EPB_HEADER);
    let at = start + EPB_HEADER + padded;
    for (const [code, value] of options) at = this.#option(at, code, value);
  }

  /** True when it is time to flush. */
  get full(): boolean {
    return this.#out.length >= FLUSH_AT;
  }

  /** Hands what was appended to the sink. Nothing may be appended until it resolves. */
  flush(): Promise<void> {
    return this.#out.flush();
  }

  /** Puts an option at `at`, padded with the zeros that are there, and returns the position after it. */
  #option(at: number, code: number, value: Uint8Array): number {
    this.#out.view.setUint16(at, code, true);
    this.#out.view.setUint16(at + 2, value.length, true);
    this.#out.bytes.set(value, at + 4);
    return at + optionLength(value);
  }
}

/** What {@link encodeRecordLike} looks at in a chunk. */
export type RecordSample = Pick<CaptureChunk, "bytes" | "section" | "interfaceId" | "recordStart">;

/**
 * A record in the format of the capture that record `index` of `chunk` is from, and of its interface: for a
 * packet that comes from the NAT and not from the capture. `packet` begins with its link header.
 */
export function encodeRecordLike(
  chunk: RecordSample,
  index: number,
  packet: Uint8Array,
  seconds: number,
  nanos: number,
  wireLength = packet.length,
): Uint8Array {
  const { format, littleEndian, recordHeaderLength, interfaces } = chunk.section;
  const interfaceId = chunk.interfaceId[index]!;
  const clock = interfaces[interfaceId]!.clock;
  if (format === "pcapng") {
    const length = EPB_HEADER + ((packet.length + 3) & ~3) + 4;
    const block = new Uint8Array(length);
    const view = new DataView(block.buffer);
    clock.encode(seconds, nanos);
    putEnhancedPacket(view, 0, length, interfaceId, clock, packet.length, wireLength, littleEndian);
    block.set(packet, EPB_HEADER);
    return block;
  }
  const record = new Uint8Array(recordHeaderLength + packet.length);
  const original = chunk.recordStart[index]!;
  record.set(chunk.bytes.subarray(original, original + recordHeaderLength)); // keeps a variant's own fields
  const view = new DataView(record.buffer);
  const nanosPerUnit = clock === TimeUnit.NANOSECONDS ? 1 : 1000;
  view.setUint32(0, seconds, littleEndian);
  view.setUint32(4, Math.floor(nanos / nanosPerUnit), littleEndian);
  view.setUint32(8, packet.length, littleEndian);
  view.setUint32(12, wireLength, littleEndian);
  record.set(packet, recordHeaderLength);
  return record;
}

/** Fills in all of an Enhanced Packet Block but packet and options; the time is what `clock` encoded last. */
function putEnhancedPacket(
  view: DataView,
  at: number,
  length: number,
  interfaceId: number,
  clock: TimeUnit,
  captured: number,
  wireLength: number,
  littleEndian: boolean,
): void {
  view.setUint32(at, BLOCK.enhancedPacket, littleEndian);
  view.setUint32(at + 4, length, littleEndian);
  view.setUint32(at + 8, interfaceId, littleEndian);
  view.setUint32(at + 12, clock.high, littleEndian);
  view.setUint32(at + 16, clock.low, littleEndian);
  view.setUint32(at + 20, captured, littleEndian);
  view.setUint32(at + 24, wireLength, littleEndian);
  view.setUint32(at + length - 4, length, littleEndian);
}

/** Memory that output gathers in until it is flushed to a sink. */
class GrowingBuffer {
  bytes = new Uint8Array(2 * FLUSH_AT);
  view = new DataView(this.bytes.buffer);
  length = 0;
  readonly #sink: Pick<ByteSink, "write">;

  constructor(sink: Pick<ByteSink, "write">) {
    this.#sink = sink;
  }

  /** Appends `count` zeros and returns their position. `bytes` and `view` may be others afterwards. */
  reserve(count: number): number {
    const at = this.length;
    this.length = at + count;
    if (this.length > this.bytes.length) {
      const grown = new Uint8Array(2 * this.length);
      grown.set(this.bytes.subarray(0, at));
      this.bytes = grown;
      this.view = new DataView(grown.buffer);
    } else {
      this.bytes.fill(0, at, this.length);
    }
    return at;
  }

  async flush(): Promise<void> {
    if (this.length > 0) await this.#sink.write(this.bytes.subarray(0, this.length));
    this.length = 0;
  }
}

/** An option's whole length: code, length and value padded to 32 bits. */
function optionLength(value: Uint8Array): number {
  return 4 + ((value.length + 3) & ~3);
}

function littleEndian64(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  return bytes;
}

function utf8(text: string): Uint8Array {
  const bytes = Buffer.from(text);
  if (bytes.length <= MAX_COMMENT) return bytes;
  let end = MAX_COMMENT;
  while ((bytes[end]! & 0xc0) === 0x80) end--; // not within a character
  return bytes.subarray(0, end);
}
