// The memory of a tap: records of packets, one behind the other, around in a ring (native/nat/tap.h). Whoever
// translates writes it; here it is read, one record at a time, without a copy.
import { formatIpv4 } from "../config/cidr.js";
import { protocolName } from "../conntrack.js";
import { LAYOUT, TAP_KINDS, type TapKind } from "../native.js";
import { type Verdict, verdictOf } from "../verdict.js";
import type { TappedSession } from "./tapped-packet.js";

const HEADER = LAYOUT.tapHeaderBytes;
const RECORD = LAYOUT.tapRecordBytes;
/** Words of the header, and its one number of 64 bits. */
const WRITTEN = 0;
const READ = 16;
const LOST = 1;

/** Words of a record. */
const WORD = {
  size: 0,
  captured: 1,
  length: 2,
  lost: 3,
  timeLow: 4,
  timeHigh: 5,
  result: 6,
  tag: 7,
} as const;
/** Bytes of a record. */
const BYTE = { kind: 32, side: 33, left: 34, link: 35, wall: 36, protocol: 62 } as const;
/** Where addresses and ports of its session are: inside, remote, public. */
const ADDRESSES = [44, 48, 52] as const;
const PORTS = [56, 58, 60] as const;

/** LINKTYPE_ETHERNET and LINKTYPE_IPV4. */
export const LINK_TYPES = [1, 228] as const;
export const ETHERNET = 0;

/** A tap's ring, at one of its records. */
export class TapRing {
  readonly memory: Uint8Array;
  readonly #words: Uint32Array;
  readonly #bytes: DataView;
  readonly #lost: BigUint64Array;
  readonly #size: number;
  #read = 0;
  /** Of the record. */
  #at: number = HEADER;
  #recordSize = 0;

  /** `size`: a power of two. */
  constructor(size: number) {
    const buffer = new SharedArrayBuffer(HEADER + size);
    this.memory = new Uint8Array(buffer);
    this.#words = new Uint32Array(buffer);
    this.#bytes = new DataView(buffer);
    this.#lost = new BigUint64Array(buffer, 0, 2);
    this.#size = size;
  }

  /** Packets that found no room so far. */
  get lost(): number {
    return Number(Atomics.load(this.#lost, LOST));
  }

  /** Goes on to the next record; the one before is overwritten from now on. False when there is none. */
  next(): boolean {
    if (this.#recordSize !== 0) {
      this.#read = (this.#read + this.#recordSize) >>> 0;
      this.#recordSize = 0;
      Atomics.store(this.#words, READ, this.#read);
    }
    if (Atomics.load(this.#words, WRITTEN) === this.#read) return false;
    let at = this.#read & (this.#size - 1);
    if (this.#words[(HEADER + at) >>> 2] === 0) {
      this.#read = (this.#read + this.#size - at) >>> 0;
      at = 0;
    }
    this.#at = HEADER + at;
    this.#recordSize = this.#word(WORD.size);
    return true;
  }

  /** Bytes of the packet that there are, and that it had on the wire. */
  get captured(): number {
    return this.#word(WORD.captured);
  }
  get length(): number {
    return this.#word(WORD.length);
  }
  /** Packets that found no room since the record before. */
  get lostBefore(): number {
    return this.#word(WORD.lost);
  }
  /** ns, in two words. */
  get timeHigh(): number {
    return this.#word(WORD.timeHigh);
  }
  get timeLow(): number {
    return this.#word(WORD.timeLow);
  }
  /** Whether that is since 1970; else it is by the caller's clock. */
  get isWallTime(): boolean {
    return this.#byte(BYTE.wall) === 1;
  }
  get tag(): number {
    return this.#word(WORD.tag);
  }
  get kind(): TapKind {
    return TAP_KINDS[this.#byte(BYTE.kind)] ?? "translated";
  }
  get side(): "inside" | "outside" {
    return this.#byte(BYTE.side) === 0 ? "inside" : "outside";
  }
  get way(): "came" | "left" {
    return this.#byte(BYTE.left) === 0 ? "came" : "left";
  }
  get linkType(): number {
    return LINK_TYPES[this.#byte(BYTE.link)]!;
  }
  /** Null where it is nothing that the NAT decided. */
  get verdict(): Verdict | null {
    return this.kind !== "translated" ? null : verdictOf(this.#word(WORD.result));
  }

  /** The packet's bytes, where they lie. */
  get bytes(): Uint8Array {
    const from = this.#at + RECORD;
    return this.memory.subarray(from, from + this.captured);
  }

  /** The number of the session's protocol; 0: there is no session. */
  get protocol(): number {
    return this.#byte(BYTE.protocol);
  }
  /** Of the session's ends: inside, remote, public. */
  address(end: 0 | 1 | 2): number {
    return this.#bytes.getUint32(this.#at + ADDRESSES[end]);
  }
  port(end: 0 | 1 | 2): number {
    return this.#bytes.getUint16(this.#at + PORTS[end]);
  }
  get session(): TappedSession | null {
    if (this.protocol === 0) return null;
    const end = (which: 0 | 1 | 2) => ({ address: formatIpv4(this.address(which)), port: this.port(which) });
    return { protocol: protocolName(this.protocol), inside: end(0), public: end(2), remote: end(1) };
  }

  #word(index: number): number {
    return this.#words[(this.#at >>> 2) + index]!;
  }
  #byte(offset: number): number {
    return this.memory[this.#at + offset]!;
  }
}
