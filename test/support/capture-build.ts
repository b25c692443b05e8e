import { CaptureReader } from "../../src/capture/reader.js";
import type { ByteSource } from "../../src/capture/source.js";

/** Builds captures byte by byte from the formats' specifications, apart from the product's own writers. */

/** Appends fields in one byte order. */
export class Fields {
  readonly #bytes: number[] = [];
  constructor(readonly littleEndian: boolean) {}

  uint(size: number, value: number | bigint): this {
    const wide = BigInt.asUintN(size * 8, BigInt(value));
    const digits = Array.from({ length: size }, (_, i) => Number((wide >> BigInt(8 * i)) & 0xffn));
    this.#bytes.push(...(this.littleEndian ? digits : digits.reverse()));
    return this;
  }
  u8 = (value: number) => this.uint(1, value);
  u16 = (value: number) => this.uint(2, value);
  u32 = (value: number) => this.uint(4, value);

  raw(bytes: Iterable<number>): this {
    for (const byte of bytes) this.#bytes.push(byte);
    return this;
  }
  pad(unit = 4): this {
    while (this.#bytes.length % unit !== 0) this.#bytes.push(0);
    return this;
  }
  done(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** A packet to be written, and what a reader has to find. */
export interface Packet {
  readonly data: Uint8Array;
  readonly seconds: number;
  readonly nanos: number;
  readonly wireLength?: number;
}

/** Packets of mixed lengths whose bytes and times tell them apart. Times are whole microseconds. */
export function samplePackets(count: number, seconds = 1_700_000_000): Packet[] {
  return Array.from({ length: count }, (_, i) => {
    const data = Uint8Array.from({ length: (i * 7) % 61 }, (_, j) => (i * 31 + j) & 0xff);
    return {
      data,
      seconds: seconds + i,
      nanos: ((i * 123_457) % 1_000_000) * 1000,
      wireLength: data.length + i,
    };
  });
}

export interface PcapShape {
  readonly littleEndian: boolean;
  readonly magic: number;
  /** The whole field, upper bits included. */
  readonly linkType: number;
}

export function pcapFile(shape: PcapShape, packets: readonly Packet[]): Uint8Array {
  const file = new Fields(shape.littleEndian);
  file.u32(shape.magic).u16(2).u16(4).u32(0).u32(0).u32(262144).u32(shape.linkType);
  for (const { data, seconds, nanos, wireLength } of packets) {
    const fraction = shape.magic === 0xa1b23c4d ? nanos : Math.floor(nanos / 1000);
    file
      .u32(seconds)
      .u32(fraction)
      .u32(data.length)
      .u32(wireLength ?? data.length);
    if (shape.magic === 0xa1b2cd34) file.u32(3).u16(0x800).u8(4).u8(0);
    file.raw(data);
  }
  return file.done();
}

/** Any pcapng block around a body. */
export function block(littleEndian: boolean, type: number, body: Uint8Array): Uint8Array {
  const padded = new Fields(littleEndian).raw(body).pad().done();
  const length = padded.length + 12;
  return new Fields(littleEndian).u32(type).u32(length).raw(padded).u32(length).done();
}

export function option(littleEndian: boolean, code: number, value: Uint8Array): Uint8Array {
  return new Fields(littleEndian).u16(code).u16(value.length).raw(value).pad().done();
}

export function sectionBlock(littleEndian: boolean, options: Uint8Array = new Uint8Array(0)): Uint8Array {
  const body = new Fields(littleEndian).u32(0x1a2b3c4d).u16(1).u16(0).uint(8, -1).raw(options).done();
  return block(littleEndian, 0x0a0d0d0a, body);
}

export interface InterfaceShape {
  readonly linkType: number;
  readonly snapLength?: number;
  readonly tsresol?: number;
  readonly tsoffset?: number;
  readonly fcslen?: number;
}

export function interfaceBlock(littleEndian: boolean, shape: InterfaceShape): Uint8Array {
  const body = new Fields(littleEndian)
    .u16(shape.linkType)
    .u16(0)
    .u32(shape.snapLength ?? 0);
  body.raw(option(littleEndian, 2, Buffer.from("if0")));
  if (shape.fcslen !== undefined) body.raw(option(littleEndian, 13, Uint8Array.of(shape.fcslen)));
  if (shape.tsresol !== undefined) body.raw(option(littleEndian, 9, Uint8Array.of(shape.tsresol)));
  if (shape.tsoffset !== undefined) {
    body.raw(option(littleEndian, 14, new Fields(littleEndian).uint(8, shape.tsoffset).done()));
  }
  return block(littleEndian, 1, body.u32(0).done());
}

export function enhancedBlock(
  littleEndian: boolean,
  interfaceId: number,
  stamp: bigint,
  data: Uint8Array,
  wireLength = data.length,
  options: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const body = new Fields(littleEndian)
    .u32(interfaceId)
    .u32(Number(stamp >> 32n))
    .u32(Number(stamp & 0xffffffffn));
  return block(littleEndian, 6, body.u32(data.length).u32(wireLength).raw(data).pad().raw(options).done());
}

export function obsoleteBlock(
  littleEndian: boolean,
  interfaceId: number,
  stamp: bigint,
  data: Uint8Array,
  wireLength = data.length,
): Uint8Array {
  const body = new Fields(littleEndian).u16(interfaceId).u16(0xffff);
  body.u32(Number(stamp >> 32n)).u32(Number(stamp & 0xffffffffn));
  return block(littleEndian, 2, body.u32(data.length).u32(wireLength).raw(data).done());
}

export function simpleBlock(littleEndian: boolean, data: Uint8Array, wireLength = data.length): Uint8Array {
  return block(littleEndian, 3, new Fields(littleEndian).u32(wireLength).raw(data).done());
}

/** Timestamp in units of 10^-digits seconds. */
export function stampOf(seconds: number, nanos: number, digits: number): bigint {
  return BigInt(seconds) * 10n ** BigInt(digits) + (BigInt(nanos) * 10n ** BigInt(digits)) / 1_000_000_000n;
}

/** A source that gives at most `piece` bytes a read. */
export function memorySource(bytes: Uint8Array, piece = Number.POSITIVE_INFINITY): ByteSource {
  let at = 0;
  return {
    size: bytes.length,
    get consumed() {
      return at;
    },
    async read(target) {
      const part = bytes.subarray(at, at + Math.min(piece, target.length));
      target.set(part);
      at += part.length;
      return part.length;
    },
    async close() {},
  };
}

export interface FoundRecord {
  /** Of the record, in the file. */
  readonly start: number;
  readonly end: number;
  readonly data: Uint8Array;
  readonly wireLength: number;
  readonly linkType: number;
  readonly interfaceId: number;
  readonly seconds: number;
  readonly nanos: number;
}

export interface Found {
  readonly format: string;
  readonly records: FoundRecord[];
  /** What the chunks cover, joined. */
  readonly copy: Uint8Array;
  readonly damage: { offset: number; message: string } | null;
  readonly chunks: number;
}

/** Reads a capture to its end, checks what must hold of every chunk, and collects what was found. */
export async function readAll(source: ByteSource, bufferSize = 1 << 20, maxRecords = 1000): Promise<Found> {
  const buffer = new Uint8Array(new SharedArrayBuffer(bufferSize));
  const reader = await CaptureReader.open(source, { buffer, maxRecords });
  const records: FoundRecord[] = [];
  const parts: Uint8Array[] = [];
  let base = 0;
  let chunks = 0;
  for (;;) {
    const chunk = await reader.next();
    if (chunk === null) break;
    chunks++;
    if (chunk.end <= chunk.begin || chunk.end > bufferSize) throw new Error("a chunk that covers no bytes");
    let before = chunk.begin;
    for (let i = 0; i < chunk.count; i++) {
      const [start, end, at] = [chunk.recordStart[i]!, chunk.recordEnd[i]!, chunk.dataStart[i]!];
      const captured = chunk.capLength[i]!;
      if (start < before || at <= start || at + captured > end || end > chunk.end) {
        throw new Error(`record ${i} is not within its chunk, or overlaps the one before`);
      }
      before = end;
      records.push({
        start: base + start - chunk.begin,
        end: base + end - chunk.begin,
        data: buffer.slice(at, at + captured),
        wireLength: chunk.wireLength[i]!,
        linkType: chunk.linkType[i]!,
        interfaceId: chunk.interfaceId[i]!,
        seconds: chunk.timeSeconds[i]!,
        nanos: chunk.timeNanos[i]!,
      });
    }
    parts.push(buffer.slice(chunk.begin, chunk.end));
    base += chunk.end - chunk.begin;
  }
  if ((await reader.next()) !== null) throw new Error("a chunk after the end");
  return { format: reader.format, records, copy: concat(...parts), damage: reader.damage, chunks };
}
