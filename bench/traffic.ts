// Packets for the benchmarks: IPv4 packets of many flows, in random order.
import { DESCRIPTOR, DESCRIPTOR_WORDS, type Nat, type NatConfig, type PacketBatch } from "../src/index.js";
import { ICMP, seal, TCP, UDP } from "../src/ipv4.js";

/** Bytes of an IPv4 packet in a 64-byte Ethernet frame. */
export const PACKET_BYTES = 50;
/** Bytes from one such packet of a batch to the next. */
export const SLOT_BYTES = 64;
/** The simple IMIX: IPv4 bytes of 7, 4 and 1 of twelve packets. */
export const IMIX = [50, 50, 50, 50, 50, 50, 50, 576, 576, 576, 576, 1500] as const;

/** How flows are numbered onto endpoints. */
export interface Shape {
  /** Protocols that flows have in turn, two of each. */
  readonly protocols: readonly [number, number];
  /** Source ports of a host: 1,000, or 63 as CSIT and RFC 9693 have it. */
  readonly portsOfHost: number;
  /** Ports of a public address and protocol that are used, of one. */
  readonly filled: number;
}
export const MIXED: Shape = { protocols: [UDP, TCP], portsOfHost: 1000, filled: 2 / 3 };

/** One packet of every flow, a slot each, as they come from inside or outside. */
export interface Templates {
  readonly flows: number;
  readonly bytes: Uint8Array;
}

export interface FlowOptions {
  readonly shape?: Shape;
  readonly remotePort?: number;
  readonly syn?: boolean;
}

/** Writes the outbound packet of a flow, as long as `packet`. */
export function writeFlow(
  packet: Uint8Array,
  flow: number,
  { shape = MIXED, remotePort = 443, syn = false }: FlowOptions = {},
): void {
  const host = Math.floor(flow / shape.portsOfHost);
  // Even and odd ports of each protocol: parity is kept, and a NAT has half of its ports for either.
  const protocol = shape.protocols[(flow >>> 1) % 2]!;
  packet.fill(0x5a, 28);
  packet.set([0x45, 0, packet.length >>> 8, packet.length & 255, 0x12, 0x34, 0x40, 0, 64, protocol, 0, 0]);
  packet.set([10, (host >>> 16) & 255, (host >>> 8) & 255, host & 255], 12);
  packet.set([198, 51, 100, flow % 250], 16);
  const port = 2000 + (flow % shape.portsOfHost);
  const end = [port >>> 8, port & 255];
  if (protocol === ICMP) {
    packet.set([8, 0, 0, 0, ...end, 0, 1], 20);
  } else {
    packet.set([...end, remotePort >>> 8, remotePort & 255], 20);
    const rest = packet.length - 20;
    packet.set(
      protocol === TCP
        ? [0, 0, 1, 0, 0, 0, 1, 0, 0x50, syn ? 2 : 0x10, 0xff, 0xff, 0, 0, 0, 0]
        : [rest >>> 8, rest & 255, 0, 0],
      24,
    );
  }
  seal(packet);
}

/** Turns a translated outbound packet into its answer. */
export function turn(packet: Uint8Array): void {
  const ends = packet.slice(12, 24);
  packet.set(ends.subarray(4, 8), 12);
  packet.set(ends.subarray(0, 4), 16);
  packet[8] = 64;
  if (packet[9] === ICMP) {
    packet[20] = 0;
  } else {
    packet.set(ends.subarray(10, 12), 20);
    packet.set(ends.subarray(8, 10), 22);
  }
  seal(packet);
}

/** A config for so many flows: as many public addresses as `shape.filled` asks for. */
export function configFor(flows: number, shape: Shape = MIXED): NatConfig {
  const spaces = new Set(shape.protocols).size;
  const ofAddress = Math.floor(64_512 * shape.filled) * spaces;
  const addresses = Math.max(1, Math.ceil(flows / ofAddress));
  const outside = Array.from({ length: addresses }, (_, i) => `203.0.${113 + (i >> 8)}.${i & 255}`);
  return { inside: ["10.0.0.0/8"], outside, limits: { sessions: 8_388_608 } };
}

/** Points the descriptors at fixed slots. */
export function layOut(batch: PacketBatch, stride: number): void {
  for (let i = 0; i < batch.slots; i++) {
    batch.descriptors[i * DESCRIPTOR_WORDS + DESCRIPTOR.offset] = i * stride;
    batch.descriptors[i * DESCRIPTOR_WORDS + DESCRIPTOR.length] = PACKET_BYTES;
  }
}

/** Establishes all flows (TCP by an answer), and returns their outbound and inbound packets. */
export function establish(nat: Nat, flows: number, shape: Shape = MIXED): Record<"out" | "in", Templates> {
  const outbound = { flows, bytes: new Uint8Array(flows * SLOT_BYTES) };
  const inbound = { flows, bytes: new Uint8Array(flows * SLOT_BYTES) };
  const batch = nat.batch({ slots: 256, bytes: 256 * SLOT_BYTES });
  layOut(batch, SLOT_BYTES);
  for (let first = 0; first < flows; first += 256) {
    batch.count = Math.min(256, flows - first);
    for (let i = 0; i < batch.count; i++) {
      const at = (first + i) * SLOT_BYTES;
      writeFlow(outbound.bytes.subarray(at, at + PACKET_BYTES), first + i, { shape });
      batch.bytes.set(outbound.bytes.subarray(at, at + SLOT_BYTES), i * SLOT_BYTES);
    }
    nat.translateBatch(batch, 0);
    for (let i = 0; i < batch.count; i++) {
      const packet = batch.bytes.subarray(i * SLOT_BYTES, i * SLOT_BYTES + PACKET_BYTES);
      turn(packet);
      inbound.bytes.set(packet, (first + i) * SLOT_BYTES);
    }
    nat.translateBatch(batch, 0);
  }
  if (nat.conntrack.size !== flows) throw new Error(`${nat.conntrack.size} of ${flows} flows established`);
  return { out: outbound, in: inbound };
}

/** Numbers that look random, the same in each run. */
export class Random {
  #state = 0x2545f491;

  below(bound: number): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return (x >>> 0) % bound;
  }
}

/** Packets in a stream: more than caches hold. */
const STREAM_PACKETS = 1 << 20;

/** The first packets of flows, a slot each, one flow after the other. */
export function firstPackets(flows: number, shape: Shape): Uint8Array {
  const stream = new Uint8Array(flows * SLOT_BYTES);
  for (let flow = 0; flow < flows; flow++) {
    const at = flow * SLOT_BYTES;
    writeFlow(stream.subarray(at, at + PACKET_BYTES), flow, { shape, syn: true });
  }
  return stream;
}

/** Packets of random flows, of a random one of the `sources`. */
export function shuffled(sources: readonly Templates[]): Uint8Array {
  const random = new Random();
  const stream = new Float64Array((STREAM_PACKETS * SLOT_BYTES) / 8);
  const words = sources.map(({ bytes }) => new Float64Array(bytes.buffer));
  const step = SLOT_BYTES / 8;
  for (let i = 0; i < STREAM_PACKETS; i++) {
    const source = random.below(sources.length);
    const from = random.below(sources[source]!.flows) * step;
    for (let w = 0; w < step; w++) stream[i * step + w] = words[source]![from + w]!;
  }
  return new Uint8Array(stream.buffer);
}

/**
 * Batch after batch of a stream of 64-byte packets, over and over. As it is laid out beforehand, filling a batch is one
 * copy from memory that is read in order, and leaves no cache misses behind.
 */
export class Replay {
  readonly #slots: Uint8Array;
  readonly #stream: Uint8Array;
  #at = 0;

  constructor(batch: PacketBatch, stream: Uint8Array) {
    layOut(batch, SLOT_BYTES);
    batch.count = batch.slots;
    this.#slots = batch.bytes.subarray(0, batch.slots * SLOT_BYTES);
    this.#stream = stream;
  }

  /** Fills the batch with the next packets. */
  fill(): void {
    if (this.#at + this.#slots.length > this.#stream.length) this.#at = 0;
    this.#slots.set(this.#stream.subarray(this.#at, this.#at + this.#slots.length));
    this.#at += this.#slots.length;
  }
}
