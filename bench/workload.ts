// Packets for the benchmarks: 64-byte frames' IPv4 packets of established flows, in random order.
import type { Nat } from "../src/index.js";
import { DESCRIPTOR, DESCRIPTOR_WORDS, type PacketBatch } from "../src/index.js";

/** Bytes of an IPv4 packet in a 64-byte Ethernet frame. */
export const PACKET_BYTES = 50;
/** Bytes from one packet of a batch to the next. */
export const SLOT_BYTES = 64;

/** One packet of every flow, half TCP and half UDP, as they come from inside or outside. */
export interface Templates {
  readonly flows: number;
  readonly bytes: Uint8Array;
}

function sum(bytes: Uint8Array, from: number, to: number, initial: number): number {
  let total = initial;
  for (let i = from; i < to; i += 2) total += (bytes[i]! << 8) | (i + 1 < to ? bytes[i + 1]! : 0);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return total;
}

/** Fills in both checksums of a packet that has none. */
function seal(packet: Uint8Array): void {
  const tcp = packet[9] === 6;
  const at = tcp ? 36 : 26;
  const header = ~sum(packet, 0, 20, 0) & 0xffff;
  packet[10] = header >>> 8;
  packet[11] = header & 0xff;
  const pseudo = sum(packet, 12, 20, packet[9]! + PACKET_BYTES - 20);
  const transport = ~sum(packet, 20, PACKET_BYTES, pseudo) & 0xffff || (tcp ? 0 : 0xffff);
  packet[at] = transport >>> 8;
  packet[at + 1] = transport & 0xff;
}

/** The outbound packet of a flow: 1,000 source ports a host, one remote endpoint each. */
export function writeFlow(packet: Uint8Array, flow: number): void {
  const host = Math.floor(flow / 1000);
  const tcp = flow % 2 === 1;
  packet.fill(0x5a, 28, PACKET_BYTES);
  packet.set([0x45, 0, 0, PACKET_BYTES, 0x12, 0x34, 0x40, 0, 64, tcp ? 6 : 17, 0, 0]);
  packet.set([10, (host >>> 16) & 255, (host >>> 8) & 255, host & 255], 12);
  packet.set([198, 51, 100, flow % 250], 16);
  const port = 2000 + (flow % 1000);
  packet.set([port >>> 8, port & 255, 1, 187], 20);
  packet.set(tcp ? [0, 0, 1, 0, 0, 0, 1, 0, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0] : [0, 30, 0, 0], 24);
  seal(packet);
}

/** Turns a translated outbound packet into its answer. */
export function answer(packet: Uint8Array): void {
  const copy = packet.slice(0, 24);
  packet.set(copy.subarray(16, 20), 12);
  packet.set(copy.subarray(12, 16), 16);
  packet.set(copy.subarray(22, 24), 20);
  packet.set(copy.subarray(20, 22), 22);
  packet[8] = 64;
  packet[10] = packet[11] = 0;
  packet[packet[9] === 6 ? 36 : 26] = 0;
  packet[packet[9] === 6 ? 37 : 27] = 0;
  seal(packet);
}

/** The config for so many flows: enough public addresses that a third of the ports are used. */
export function configFor(flows: number) {
  const addresses = Math.max(1, Math.ceil(flows / 2 / 20_000));
  const outside = Array.from({ length: addresses }, (_, i) => `203.0.${113 + (i >> 8)}.${i & 255}`);
  return { inside: ["10.0.0.0/8"], outside, limits: { sessions: 8_388_608 } };
}

/** Establishes all flows (TCP by an answer), and returns their outbound and inbound packets. */
export function establish(nat: Nat, flows: number): { outbound: Templates; inbound: Templates } {
  const outbound = { flows, bytes: new Uint8Array(flows * SLOT_BYTES) };
  const inbound = { flows, bytes: new Uint8Array(flows * SLOT_BYTES) };
  const batch = nat.batch({ slots: 256, bytes: 256 * SLOT_BYTES });
  layOut(batch, SLOT_BYTES);
  for (let first = 0; first < flows; first += 256) {
    batch.count = Math.min(256, flows - first);
    for (let i = 0; i < batch.count; i++) {
      const template = outbound.bytes.subarray((first + i) * SLOT_BYTES, (first + i + 1) * SLOT_BYTES);
      writeFlow(template.subarray(0, PACKET_BYTES), first + i);
      batch.bytes.set(template, i * SLOT_BYTES);
    }
    nat.translateBatch(batch, 0);
    for (let i = 0; i < batch.count; i++) {
      const packet = batch.bytes.subarray(i * SLOT_BYTES, i * SLOT_BYTES + PACKET_BYTES);
      answer(packet);
      inbound.bytes.set(packet, (first + i) * SLOT_BYTES);
    }
    nat.translateBatch(batch, 0);
  }
  if (nat.conntrack.size !== flows) throw new Error(`${nat.conntrack.size} of ${flows} flows established`);
  return { outbound, inbound };
}

/** Points the descriptors at fixed slots. */
export function layOut(batch: PacketBatch, stride: number): void {
  for (let i = 0; i < batch.slots; i++) {
    batch.descriptors[i * DESCRIPTOR_WORDS + DESCRIPTOR.offset] = i * stride;
    batch.descriptors[i * DESCRIPTOR_WORDS + DESCRIPTOR.length] = PACKET_BYTES;
  }
}

/** Packets in a stream: more than caches hold. */
const STREAM_PACKETS = 1 << 20;

/**
 * Batch after batch of packets of random flows. The stream is laid out beforehand, so that filling a batch is one
 * copy of memory, the least that whoever receives packets has to do.
 */
export class Replay {
  readonly #slots: Uint8Array;
  readonly #stream: Uint8Array;
  readonly #batchBytes: number;
  #at = 0;

  /** @param sources templates to mix evenly */
  constructor(batch: PacketBatch, sources: readonly Templates[]) {
    layOut(batch, SLOT_BYTES);
    batch.count = batch.slots;
    this.#batchBytes = batch.slots * SLOT_BYTES;
    this.#slots = batch.bytes.subarray(0, this.#batchBytes);
    this.#stream = new Uint8Array(STREAM_PACKETS * SLOT_BYTES);
    let random = 0x2545f491;
    for (let i = 0; i < STREAM_PACKETS; i++) {
      random ^= random << 13;
      random ^= random >>> 17;
      random ^= random << 5;
      const { bytes, flows } = sources[i % sources.length]!;
      const from = ((random >>> 0) % flows) * SLOT_BYTES;
      this.#stream.set(bytes.subarray(from, from + SLOT_BYTES), i * SLOT_BYTES);
    }
  }

  /** Fills the batch with the next packets. */
  fill(): void {
    this.#slots.set(this.#stream.subarray(this.#at, this.#at + this.#batchBytes));
    this.#at = (this.#at + this.#batchBytes) % this.#stream.length;
  }
}
