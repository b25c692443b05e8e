import { NatError } from "./errors.js";
import { LAYOUT, type NativeBatch } from "./native.js";
import { type Verdict, verdictOf } from "./verdict.js";

/** 32-bit words of a descriptor; `batch.descriptors[slot * DESCRIPTOR_WORDS + DESCRIPTOR.length]`. */
export const DESCRIPTOR_WORDS = LAYOUT.descriptorBytes / 4;
/** The words of a descriptor, in order. */
export const DESCRIPTOR = {
  /** In: where the IPv4 header begins within `batch.bytes`. */
  offset: 0,
  /** In: bytes there, from the IPv4 header on. */
  length: 1,
  /** In: bytes the packet had on the wire, if a capture cut it; 0: the same as `length`. */
  wire: 2,
  /** In: {@link PARTIAL_CHECKSUM}, {@link FROM_OUTSIDE} and {@link HAIRPINNED}, added, or 0. */
  flags: 3,
  /** Out: verdict | direction << 8 | reason << 16; `batch.verdict(slot)` unpacks it. */
  verdict: 4,
  /** Out: the session's slot plus one, or 0. */
  session: 5,
  /** In: the caller's mark, which comes back with packets that the engine puts out for this one. */
  tag: 6,
  /** In: nanoseconds after the time of the batch. */
  delay: 7,
} as const;

/** Descriptor flag: the transport checksum is partial (NEEDS_CSUM): only addresses apply to it. */
export const PARTIAL_CHECKSUM = 1;
/** Descriptor flag: the packet came in on the outside. One with an inside source is spoofed then (RFC 2827). */
export const FROM_OUTSIDE = 2;
/**
 * Descriptor flag: another shard has done this packet's outbound half (`punted`, hairpin). Only with it may a packet
 * come from a public endpoint of one's own.
 */
export const HAIRPINNED = 4;
/** Descriptor flag: the packet is cut into segments when it leaves (TSO, USO), so no `mtu` applies to all of it. */
export const SEGMENTED = 8;

const HEADER_WORDS = LAYOUT.headerBytes / 4;
const MAGIC = 0;
const SLOTS = 1;
const COUNT = 2;
const MOST_SLOTS = 1 << 20;
const MOST_BYTES = 2 ** 31;

/** How large a batch is. */
export interface BatchOptions {
  /** Packets that the batch can hold. @default 256 */
  slots?: number;
  /** Bytes for the packets together. @default slots * 2048 */
  bytes?: number;
}

/** Makes a batch the owner's; the handle lives as long as the batch. @internal */
export let bindBatch: (batch: PacketBatch, owner: object, handle: NativeBatch) => void;
/** The number that the owner's engine knows a batch by, if it is his. @internal */
export let numberOf: (batch: PacketBatch, owner: object) => number | undefined;

/**
 * Packets for one call, on one SharedArrayBuffer: a header, a descriptor for each packet, and the packets' bytes,
 * which may lie anywhere in `bytes`.
 *
 * A worker thread gets the `buffer`, makes its own view with `new PacketBatch(buffer)`, and fills it; whoever
 * owns the `Nat` translates it. Hand it over by your own means (a message, Atomics): a batch must not be written
 * while it is being translated. Doing so spoils packets, nothing else.
 */
export class PacketBatch {
  /** The shared memory. */
  readonly buffer: SharedArrayBuffer;
  /** How many packets fit. */
  readonly slots: number;
  /** The packets' bytes; descriptors hold offsets into this. */
  readonly bytes: Uint8Array;
  /** {@link DESCRIPTOR_WORDS} words a slot. */
  readonly descriptors: Uint32Array;
  /** @internal All of it: header, descriptors, packets. */
  readonly memory: Uint8Array;
  readonly #header: Uint32Array;
  #owner: object | undefined;
  #handle: NativeBatch | undefined;
  #number = 0;

  static {
    bindBatch = (batch, owner, handle) => {
      batch.#owner = owner;
      batch.#handle = handle;
      batch.#number = handle.number;
    };
    numberOf = (batch, owner) =>
      #owner in batch && batch.#owner === owner && batch.#handle !== undefined ? batch.#number : undefined;
  }

  /**
   * A view of a batch that exists; new ones come from `nat.batch()`.
   * @param offset where it begins in the memory, and how many bytes it has; default: it is all of it
   */
  constructor(
    buffer: SharedArrayBuffer,
    offset = 0,
    length = buffer instanceof SharedArrayBuffer ? buffer.byteLength - offset : 0,
  ) {
    if (!(buffer instanceof SharedArrayBuffer) || length < LAYOUT.headerBytes) {
      throw new NatError(
        "NAT_ERR_BATCH",
        "a batch is viewed through the SharedArrayBuffer of one: batch.buffer",
      );
    }
    this.buffer = buffer;
    this.#header = new Uint32Array(buffer, offset, HEADER_WORDS);
    const slots = this.#header[SLOTS]!;
    const head = LAYOUT.headerBytes + slots * LAYOUT.descriptorBytes;
    if (this.#header[MAGIC] !== LAYOUT.batchMagic || head > length) {
      throw new NatError(
        "NAT_ERR_BATCH",
        "this SharedArrayBuffer does not hold a batch of this version of napt",
      );
    }
    this.slots = slots;
    this.descriptors = new Uint32Array(buffer, offset + LAYOUT.headerBytes, slots * DESCRIPTOR_WORDS);
    this.bytes = new Uint8Array(buffer, offset + head, length - head);
    this.memory = new Uint8Array(buffer, offset, length);
  }

  /** Makes the memory of a new batch. */
  static allocate({ slots = 256, bytes = slots * 2048 }: BatchOptions = {}): PacketBatch {
    if (!Number.isInteger(slots) || slots < 1 || slots > MOST_SLOTS) {
      throw new NatError(
        "NAT_ERR_ARGUMENT",
        `slots: ${slots} is not a number of packets from 1 to ${MOST_SLOTS}`,
      );
    }
    if (!Number.isInteger(bytes) || bytes < 1 || bytes > MOST_BYTES) {
      throw new NatError(
        "NAT_ERR_ARGUMENT",
        `bytes: ${bytes} is not a number of bytes from 1 to ${MOST_BYTES}`,
      );
    }
    const buffer = new SharedArrayBuffer(PacketBatch.sizeOf(slots, bytes));
    return PacketBatch.format(buffer, 0, slots, bytes);
  }

  /** @internal Bytes that a batch takes. */
  static sizeOf(slots: number, bytes: number): number {
    return LAYOUT.headerBytes + slots * LAYOUT.descriptorBytes + bytes;
  }

  /** @internal Makes a batch within a memory. */
  static format(buffer: SharedArrayBuffer, offset: number, slots: number, bytes: number): PacketBatch {
    const header = new Uint32Array(buffer, offset, HEADER_WORDS);
    header[MAGIC] = LAYOUT.batchMagic;
    header[SLOTS] = slots;
    return new PacketBatch(buffer, offset, PacketBatch.sizeOf(slots, bytes));
  }

  /** How many packets are in the batch, from slot 0 on. Lives in the shared memory. */
  get count(): number {
    return this.#header[COUNT]!;
  }
  /** @throws NatError NAT_ERR_ARGUMENT for more than `slots` */
  set count(value: number) {
    if (!Number.isInteger(value) || value < 0 || value > this.slots) {
      throw new NatError(
        "NAT_ERR_ARGUMENT",
        `count: ${value} is not from 0 to ${this.slots}, the batch's slots`,
      );
    }
    this.#header[COUNT] = value;
  }

  /** Empties the batch. */
  clear(): void {
    this.#header[COUNT] = 0;
  }

  /**
   * Copies a packet in behind the last one, for callers who don't lay packets out themselves.
   * @returns its slot
   * @throws NatError NAT_ERR_BATCH when slots or bytes are used up
   */
  push(
    packet: Uint8Array,
    { wireLength = 0, tag = 0, flags = 0 }: { wireLength?: number; tag?: number; flags?: number } = {},
  ): number {
    const slot = this.count;
    const last = (slot - 1) * DESCRIPTOR_WORDS;
    const end = slot === 0 ? 0 : this.descriptors[last]! + this.descriptors[last + DESCRIPTOR.length]!;
    const offset = (end + 63) & ~63; // a packet's header begins a cache line
    if (slot >= this.slots || offset + packet.length > this.bytes.length) {
      throw new NatError(
        "NAT_ERR_BATCH",
        `no room for a packet of ${packet.length} bytes: ${slot} of ${this.slots} slots and ` +
          `${end} of ${this.bytes.length} bytes are used`,
      );
    }
    this.bytes.set(packet, offset);
    const at = slot * DESCRIPTOR_WORDS;
    this.descriptors[at + DESCRIPTOR.offset] = offset;
    this.descriptors[at + DESCRIPTOR.length] = packet.length;
    this.descriptors[at + DESCRIPTOR.wire] = wireLength;
    this.descriptors[at + DESCRIPTOR.flags] = flags;
    this.descriptors[at + DESCRIPTOR.tag] = tag;
    this.descriptors[at + DESCRIPTOR.delay] = 0;
    this.#header[COUNT] = slot + 1;
    return slot;
  }

  /** The bytes of a packet; a new view with each call. */
  packet(slot: number): Uint8Array {
    const at = slot * DESCRIPTOR_WORDS;
    const offset = this.descriptors[at + DESCRIPTOR.offset] ?? 0;
    return this.bytes.subarray(offset, offset + (this.descriptors[at + DESCRIPTOR.length] ?? 0));
  }

  /** What became of a packet in the last `translateBatch`. */
  verdict(slot: number): Verdict {
    return verdictOf(this.descriptors[slot * DESCRIPTOR_WORDS + DESCRIPTOR.verdict] ?? 0);
  }
}
