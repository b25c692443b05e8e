import type { CaptureChunk } from "./chunk.js";
import { tooLarge } from "./pcap.js";
import type { RecordScanner } from "./scanner.js";
import { type CaptureInterface, type CaptureSection, MAX_CAPTURED, TimeUnit } from "./section.js";

export const BLOCK = {
  section: 0x0a0d0d0a, // reads the same in both byte orders
  interface: 1,
  obsoletePacket: 2,
  simplePacket: 3,
  enhancedPacket: 6,
} as const;

export const BYTE_ORDER_MAGIC = 0x1a2b3c4d;

export const OPTION = {
  end: 0,
  comment: 1,
  dropCount: 4,
  interfaceName: 2,
  description: 3,
  tsresol: 9,
  tsoffset: 14,
} as const;

/** No block is longer, in bytes: Wireshark's and libpcap's limit. A larger length is damage. */
const MAX_BLOCK = 16 * 1024 * 1024 + 128 * 1024;

/** More interfaces in a section are damage: what is kept of a file must not grow with the file. */
const MAX_INTERFACES = 65536;

/** Bytes before a packet within its block, block type and length included. */
const PACKET_HEADER = 28;
const SIMPLE_HEADER = 12;

/** Reads pcapng blocks. Unknown ones are passed over; they stay within the chunk's byte range. */
export class PcapngScanner implements RecordScanner {
  section: CaptureSection;
  fault: string | null = null;
  /** Bytes still to come of a block without packet that is larger than the buffer. */
  #passing = 0;
  /** Simple Packet Blocks have no time: they get that of the packet before. */
  #seconds = 0;
  #nanos = 0;

  constructor() {
    this.section = { format: "pcapng", littleEndian: true, recordHeaderLength: 0, interfaces: [] };
  }

  scan(chunk: CaptureChunk, view: DataView, from: number, to: number): number {
    const capacity = chunk.capacity;
    let at = from + Math.min(this.#passing, to - from);
    this.#passing -= at - from;
    let littleEndian = this.section.littleEndian;

    while (at + 12 <= to) {
      const type = view.getUint32(at, littleEndian);
      if (type === BLOCK.section) {
        if (at > chunk.begin) break; // a chunk has packets of one section only
        if (!this.#beginSection(view, at)) break;
        littleEndian = this.section.littleEndian;
        chunk.section = this.section;
      }
      const length = view.getUint32(at + 4, littleEndian);
      const next = at + ((length + 3) & ~3); // some writers forgot the padding in the length
      if (next > to || length < 12 || length > MAX_BLOCK) {
        this.fault = this.#incomplete(type, length, view.byteLength);
        if (this.fault === null && next - at > view.byteLength) {
          this.#passing = next - to;
          return to;
        }
        break;
      }
      if (view.getUint32(next - 4, littleEndian) !== length) {
        this.fault = "the lengths at the start and the end of a block differ";
        break;
      }
      if (type === BLOCK.enhancedPacket || type === BLOCK.obsoletePacket || type === BLOCK.simplePacket) {
        if (chunk.count === capacity) break;
        if (!this.#packet(chunk, view, type, at, next, length)) break;
      } else if (type === BLOCK.interface) {
        if (!this.#interface(view, at, length)) break;
      }
      at = next;
    }
    return at;
  }

  describeCut(view: DataView, from: number, to: number): string | null {
    const have = to - from;
    if (this.#passing > 0) return `the file ends within a block (${this.#passing} bytes are missing)`;
    if (have === 0) return null;
    if (have < 12) return `the file ends within a block header (${have} bytes)`;
    return `the file ends within a block (${have} of ${view.getUint32(from + 4, this.section.littleEndian)} bytes)`;
  }

  /** Says why a block that is not all in the buffer can never be read; null = more bytes may help. */
  #incomplete(type: number, length: number, room: number): string | null {
    if (length < 12) return `a block claims to be ${length} bytes long, less than its own header`;
    if (length > MAX_BLOCK) return `a block claims to be ${length} bytes long, more than ${MAX_BLOCK}`;
    if (((length + 3) & ~3) <= room) return null;
    switch (type) {
      case BLOCK.section:
      case BLOCK.interface:
      case BLOCK.obsoletePacket:
      case BLOCK.simplePacket:
      case BLOCK.enhancedPacket:
        return tooLarge(length, room);
      default:
        return null;
    }
  }

  /** Learns the byte order from a section header, of which at least 12 bytes are there. */
  #beginSection(view: DataView, at: number): boolean {
    const littleEndian = view.getUint32(at + 8, true) === BYTE_ORDER_MAGIC;
    if (!littleEndian && view.getUint32(at + 8, false) !== BYTE_ORDER_MAGIC) {
      this.fault = "a section header without byte order magic";
      return false;
    }
    if (view.getUint32(at + 4, littleEndian) < 28) {
      this.fault = "a section header shorter than its fields";
      return false;
    }
    // Comes here again when the block's rest was not there yet: then the section just begins again.
    this.section = { format: "pcapng", littleEndian, recordHeaderLength: 0, interfaces: [] };
    return true;
  }

  #interface(view: DataView, at: number, length: number): boolean {
    if (length < 20) {
      this.fault = "an interface block shorter than its fields";
      return false;
    }
    if (this.section.interfaces.length === MAX_INTERFACES) {
      this.fault = `a section with more than ${MAX_INTERFACES} interfaces`;
      return false;
    }
    const littleEndian = this.section.littleEndian;
    this.section.interfaces.push({
      linkType: view.getUint16(at + 8, littleEndian),
      snapLength: view.getUint32(at + 12, littleEndian),
      clock: readClock(view, at + 16, at + length - 4, littleEndian),
    });
    return true;
  }

  #packet(
    chunk: CaptureChunk,
    view: DataView,
    type: number,
    at: number,
    next: number,
    length: number,
  ): boolean {
    const littleEndian = this.section.littleEndian;
    const simple = type === BLOCK.simplePacket;
    const header = simple ? SIMPLE_HEADER : PACKET_HEADER;
    if (length < header + 4) {
      this.fault = "a packet block shorter than its fields";
      return false;
    }
    let interfaceId = 0;
    if (type === BLOCK.enhancedPacket) interfaceId = view.getUint32(at + 8, littleEndian);
    else if (!simple) interfaceId = view.getUint16(at + 8, littleEndian);
    const iface = this.section.interfaces[interfaceId];
    if (iface === undefined) {
      this.fault = `a packet of interface ${interfaceId}, which the section doesn't have`;
      return false;
    }
    const room = length - header - 4;
    const wire = view.getUint32(at + header - 4, littleEndian);
    const captured = simple ? simpleCaptured(wire, room, iface) : view.getUint32(at + 20, littleEndian);
    if (captured > room || captured > MAX_CAPTURED) {
      this.fault = `a packet claims ${captured} captured bytes, more than ${Math.min(room, MAX_CAPTURED)}`;
      return false;
    }
    if (!simple) {
      const clock = iface.clock;
      clock.decode(view.getUint32(at + 12, littleEndian), view.getUint32(at + 16, littleEndian));
      this.#seconds = clock.seconds;
      this.#nanos = clock.nanos;
    }
    const n = chunk.count;
    chunk.recordStart[n] = at;
    chunk.recordEnd[n] = next;
    chunk.dataStart[n] = at + header;
    chunk.capLength[n] = captured;
    chunk.wireLength[n] = wire;
    chunk.linkType[n] = iface.linkType;
    chunk.interfaceId[n] = interfaceId;
    chunk.timeSeconds[n] = this.#seconds;
    chunk.timeNanos[n] = this.#nanos;
    chunk.count = n + 1;
    return true;
  }
}

/** A Simple Packet Block doesn't say how much it holds: the least of three limits. */
function simpleCaptured(wire: number, room: number, iface: CaptureInterface): number {
  const limit = iface.snapLength === 0 ? room : Math.min(room, iface.snapLength);
  return Math.min(wire, limit);
}

/** Reads if_tsresol and if_tsoffset. Options that make no sense end the list: the packets are still good. */
function readClock(view: DataView, from: number, to: number, littleEndian: boolean): TimeUnit {
  let resolution = 6;
  let offsetSeconds = 0;
  for (let at = from; at + 4 <= to; ) {
    const code = view.getUint16(at, littleEndian);
    const length = view.getUint16(at + 2, littleEndian);
    const value = at + 4;
    if (code === OPTION.end || value + length > to) break;
    if (code === OPTION.tsresol && length === 1) resolution = view.getUint8(value);
    if (code === OPTION.tsoffset && length === 8) {
      offsetSeconds = Number(view.getBigInt64(value, littleEndian));
    }
    at = value + ((length + 3) & ~3);
  }
  const usual = resolution === 6 && offsetSeconds === 0;
  return usual ? TimeUnit.MICROSECONDS : new TimeUnit(resolution, offsetSeconds);
}
