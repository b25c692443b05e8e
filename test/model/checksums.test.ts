import assert from "node:assert/strict";
import { test } from "node:test";
import { DESCRIPTOR, DESCRIPTOR_WORDS, Nat, type PacketBatch } from "../../src/index.js";
import {
  describe,
  fullChecksums,
  get16,
  headerChecksumOf,
  hex,
  put16,
  put32,
  replyTo,
  transportChecksumIn,
  transportChecksumOf,
} from "../support/packets.js";
import { runs } from "./world.js";

const SLOT = 128;
const SLOTS = 1024;
/** Batches until a new Nat with new flows. */
const TURNS = 16;

/** Mulberry32: fast, and the same numbers for the same seed. */
function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

interface Flow {
  protocol: 1 | 6 | 17;
  source: number;
  destination: number;
  ports: number;
}

function randomFlow(next: () => number): Flow {
  return {
    protocol: ([1, 6, 17, 17] as const)[next() % 4]!,
    source: 0x0a000000 + (next() & 0x3ff),
    destination: (100 + (next() % 20)) * 0x1000000 + (next() & 0xffffff),
    ports: next(),
  };
}

/** A random valid packet of a flow: any payload, zeros and ones among them, some with options. */
function packetOf(flow: Flow, next: () => number): Uint8Array {
  const headerLength = 20 + (next() % 8 === 0 ? (next() % 3) * 4 : 0);
  const transport = { 6: 20, 17: 8, 1: 8 }[flow.protocol];
  const length = headerLength + transport + (next() % 32);
  const packet = new Uint8Array(length);
  const filler = next() % 8;
  for (let i = 0; i < length; i++) packet[i] = filler === 0 ? 0 : filler === 1 ? 255 : next();
  packet[0] = 0x40 | (headerLength / 4);
  put16(packet, 2, length);
  put16(packet, 6, next() & 0x4000);
  packet[8] = 2 + (next() % 254);
  packet[9] = flow.protocol;
  put32(packet, 12, flow.source);
  put32(packet, 16, flow.destination);
  packet.fill(1, 20, headerLength);
  if (flow.protocol === 1) {
    put16(packet, headerLength, 0x0800);
    put16(packet, headerLength + 4, flow.ports & 0xffff);
  } else {
    put32(packet, headerLength, flow.ports);
  }
  if (flow.protocol === 6) put16(packet, headerLength + 12, 0x5010);
  if (flow.protocol === 17) {
    put16(packet, headerLength + 4, length - headerLength);
    put16(packet, headerLength + 6, next() % 16 === 0 ? 0 : 1);
  }
  return fullChecksums(packet);
}

/** Fills the batch. */
function load(batch: PacketBatch, packets: readonly Uint8Array[]): void {
  packets.forEach((packet, slot) => {
    const descriptor = slot * DESCRIPTOR_WORDS;
    batch.descriptors.fill(0, descriptor, descriptor + DESCRIPTOR_WORDS);
    batch.descriptors[descriptor + DESCRIPTOR.offset] = slot * SLOT;
    batch.descriptors[descriptor + DESCRIPTOR.length] = packet.length;
    batch.bytes.set(packet, slot * SLOT);
  });
  batch.count = packets.length;
}

/** Every packet has come out, with the checksums that computing from scratch gives. */
function verify(batch: PacketBatch, before: readonly Uint8Array[]): void {
  for (let slot = 0; slot < before.length; slot++) {
    const packet = batch.packet(slot);
    const unsummed = packet[9] === 17 && transportChecksumIn(before[slot]!) === 0;
    const header = headerChecksumOf(packet) === get16(packet, 10);
    const transport = transportChecksumIn(packet) === (unsummed ? 0 : transportChecksumOf(packet));
    if (batch.verdict(slot).verdict === "forwarded" && header && transport) continue;
    assert.fail(`${describe(before[slot]!)} ${JSON.stringify(batch.verdict(slot))}\n${hex(packet)}`);
  }
}

test("incremental checksums equal full ones for a million random headers, out and back", () => {
  const next = random(20241122);
  const rounds = Math.ceil(runs(1_000_000) / SLOTS / 2);
  for (let round = 0; round < rounds; ) {
    const nat = new Nat(
      { inside: ["10.0.0.0/22"], outside: ["203.0.113.1", "192.0.2.255"] },
      { seed: round },
    );
    const batch = nat.batch({ slots: SLOTS, bytes: SLOTS * SLOT });
    const flows = Array.from({ length: SLOTS }, () => randomFlow(next));
    for (let turn = 0; turn < TURNS && round < rounds; turn++, round++) {
      const out = Array.from({ length: SLOTS }, () => packetOf(flows[next() % SLOTS]!, next));
      load(batch, out);
      nat.translateBatch(batch, round);
      verify(batch, out);
      const back = out.map((_, slot) => replyTo(new Uint8Array(batch.packet(slot)), { ttl: 9 }));
      load(batch, back);
      nat.translateBatch(batch, round);
      verify(batch, back);
    }
    nat.close();
  }
});

test("every value that a checksum can take is reached exactly, out and back", () => {
  const nat = new Nat({ inside: ["10.0.0.0/22"], outside: ["203.0.113.1"] }, { seed: 1 });
  const batch = nat.batch({ slots: SLOTS, bytes: SLOTS * SLOT });
  const next = random(7);
  for (const protocol of [6, 17] as const) {
    const flow = { ...randomFlow(next), protocol };
    for (let start = 0; start < 0x10000; start += SLOTS) {
      const out = Array.from({ length: SLOTS }, (_, i) => {
        const packet = new Uint8Array(20 + (protocol === 6 ? 20 : 8) + 2);
        packet.set(packetOf(flow, () => 2).subarray(0, packet.length));
        put16(packet, 2, packet.length);
        put16(packet, 4, start + i); // the header's checksum goes through all values too
        if (protocol === 17) put16(packet, 24, packet.length - 20);
        put16(packet, packet.length - 2, start + i);
        return fullChecksums(packet);
      });
      load(batch, out);
      nat.translateBatch(batch, 0);
      verify(batch, out);
      const back = out.map((_, slot) =>
        replyTo(new Uint8Array(batch.packet(slot)), { ttl: 9, id: start + slot }),
      );
      load(batch, back);
      nat.translateBatch(batch, 0);
      verify(batch, back);
    }
  }
  nat.close();
});
