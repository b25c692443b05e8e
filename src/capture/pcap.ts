import type { CaptureChunk } from "./chunk.js";
import type { RecordScanner } from "./scanner.js";
import { type CaptureSection, MAX_CAPTURED, TimeUnit } from "./section.js";

/** The first 32 bits of a pcap file in the byte order of the machine that wrote it. */
export const PCAP_MAGIC = {
  microseconds: 0xa1b2c3d4,
  nanoseconds: 0xa1b23c4d,
  kuznetzov: 0xa1b2cd34,
} as const;

export const PCAP_FILE_HEADER = 24;
export const PCAP_RECORD_HEADER = 16;
/** Kuznetzov's patch to libpcap added interface, protocol and packet type to each record. */
const KUZNETZOV_RECORD_HEADER = 24;

/** The upper bits of the link type field say whether frames end in a check sequence. */
const LINK_TYPE_MASK = 0x03ffffff;

/** True when a file that begins with this word is pcap, in one byte order or the other. */
export function isPcapMagic(word: number): boolean {
  return word === PCAP_MAGIC.microseconds || word === PCAP_MAGIC.nanoseconds || word === PCAP_MAGIC.kuznetzov;
}

/** Reads pcap records. */
export class PcapScanner implements RecordScanner {
  readonly section: CaptureSection;
  fault: string | null = null;
  #headerTaken = false;
  readonly #nanosPerUnit: number;

  /** `header` views the file header at `offset`; its magic has been checked. */
  constructor(header: DataView, offset: number, littleEndian: boolean) {
    const magic = header.getUint32(offset, littleEndian);
    const nanoseconds = magic === PCAP_MAGIC.nanoseconds;
    this.#nanosPerUnit = nanoseconds ? 1 : 1000;
    this.section = {
      format: "pcap",
      littleEndian,
      recordHeaderLength: magic === PCAP_MAGIC.kuznetzov ? KUZNETZOV_RECORD_HEADER : PCAP_RECORD_HEADER,
      interfaces: [
        {
          linkType: header.getUint32(offset + 20, littleEndian) & LINK_TYPE_MASK,
          snapLength: header.getUint32(offset + 16, littleEndian),
          clock: nanoseconds ? TimeUnit.NANOSECONDS : TimeUnit.MICROSECONDS,
        },
      ],
    };
  }

  scan(chunk: CaptureChunk, view: DataView, from: number, to: number): number {
    const { littleEndian, recordHeaderLength } = this.section;
    const linkType = this.section.interfaces[0]!.linkType;
    const nanosPerUnit = this.#nanosPerUnit;
    const capacity = chunk.capacity;
    let at = from;
    if (!this.#headerTaken) {
      at += PCAP_FILE_HEADER;
      this.#headerTaken = true;
    }
    let n = chunk.count;
    while (n < capacity && at + recordHeaderLength <= to) {
      const captured = view.getUint32(at + 8, littleEndian);
      const dataStart = at + recordHeaderLength;
      const recordEnd = dataStart + captured;
      if (recordEnd > to || captured > MAX_CAPTURED) {
        this.fault = faultOf(captured, recordHeaderLength, view.byteLength);
        break;
      }
      let seconds = view.getUint32(at, littleEndian);
      let nanos = view.getUint32(at + 4, littleEndian) * nanosPerUnit;
      if (nanos >= 1e9) {
        const carry = Math.floor(nanos / 1e9);
        seconds += carry;
        nanos -= carry * 1e9;
      }
      chunk.recordStart[n] = at;
      chunk.recordEnd[n] = recordEnd;
      chunk.dataStart[n] = dataStart;
      chunk.capLength[n] = captured;
      chunk.wireLength[n] = view.getUint32(at + 12, littleEndian);
      chunk.linkType[n] = linkType;
      chunk.interfaceId[n] = 0;
      chunk.timeSeconds[n] = seconds;
      chunk.timeNanos[n] = nanos;
      n++;
      at = recordEnd;
    }
    chunk.count = n;
    return at;
  }

  describeCut(view: DataView, from: number, to: number): string | null {
    const have = to - from;
    if (have === 0) return null;
    const header = this.section.recordHeaderLength;
    if (have < header) return `the file ends within a record header (${have} of ${header} bytes)`;
    const need = header + view.getUint32(from + 8, this.section.littleEndian);
    return `the file ends within a record (${have} of ${need} bytes)`;
  }
}

function faultOf(captured: number, headerLength: number, room: number): string | null {
  if (captured > MAX_CAPTURED) {
    return `a record claims ${captured} captured bytes, more than the ${MAX_CAPTURED} that a packet may have`;
  }
  return headerLength + captured > room ? tooLarge(headerLength + captured, room) : null;
}

/** The message for a record that can never be whole in the buffer. */
export function tooLarge(length: number, room: number): string {
  return `a record of ${length} bytes is larger than the read buffer (${room} bytes)`;
}
