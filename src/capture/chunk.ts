import type { CaptureSection } from "./section.js";

/**
 * A run of whole records in the reader's buffer, one element of each array per packet.
 *
 * `[begin, end)` is the part of the buffer that the chunk covers. Parts of it that belong to no record are a
 * file header or pcapng blocks that hold no packet; who copies the range without the records to be left out
 * keeps all of them. All positions are offsets into the buffer. A reader has one chunk and uses it again:
 * it is valid, as the bytes are, until the next `next()`.
 */
export class CaptureChunk {
  /** The reader's buffer. */
  readonly bytes: Uint8Array;
  /** The section that all records of this chunk belong to. */
  section: CaptureSection;
  begin = 0;
  end = 0;
  count = 0;

  /** The whole record or block, its header and padding included. */
  readonly recordStart: Uint32Array;
  readonly recordEnd: Uint32Array;
  /** The packet, from its link header on. */
  readonly dataStart: Uint32Array;
  /** Bytes of the packet that the capture holds. */
  readonly capLength: Uint32Array;
  /** Bytes of the packet on the wire, as the file says; less than `capLength` only in odd files. */
  readonly wireLength: Uint32Array;
  readonly linkType: Uint32Array;
  /** Number of the interface within the section; 0 in pcap. */
  readonly interfaceId: Uint32Array;
  /** Whole seconds since 1970. */
  readonly timeSeconds: Float64Array;
  /** Nanoseconds within the second, 0 to 999 999 999. */
  readonly timeNanos: Uint32Array;

  constructor(bytes: Uint8Array, capacity: number, section: CaptureSection) {
    this.bytes = bytes;
    this.section = section;
    this.recordStart = new Uint32Array(capacity);
    this.recordEnd = new Uint32Array(capacity);
    this.dataStart = new Uint32Array(capacity);
    this.capLength = new Uint32Array(capacity);
    this.wireLength = new Uint32Array(capacity);
    this.linkType = new Uint32Array(capacity);
    this.interfaceId = new Uint32Array(capacity);
    this.timeSeconds = new Float64Array(capacity);
    this.timeNanos = new Uint32Array(capacity);
  }

  get capacity(): number {
    return this.recordStart.length;
  }
}
