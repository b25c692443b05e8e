/**
 * A flood of new flows beside sessions that are in use. Packets are laid out once and only patched after that, so
 * that the time goes into the NAT: a batch is a copy of a template with new ports.
 */
import { equal, fail } from "node:assert/strict";
import { DESCRIPTOR, DESCRIPTOR_WORDS, type Nat, type NatConfig, type PacketBatch } from "../../src/index.js";
import { VERDICTS } from "../../src/verdict.js";
import {
  echo,
  fullChecksums,
  get16,
  headerChecksumOf,
  put16,
  replyTo,
  tcp,
  udp,
} from "../support/packets.js";

export const PER_SECOND = 1_000_000;
const SLOTS = 256;
const SLOT_BYTES = 64;
const SLOT_WORDS = SLOT_BYTES / 4;
const FORWARDED = VERDICTS.indexOf("forwarded");

export const POOL = ["203.0.113.1", "203.0.113.2"];
export const FORWARD = { protocol: "tcp", outside: `${POOL[0]}:8080`, inside: "10.9.0.1:80" } as const;

export function floodConfig(limits: NatConfig["limits"], timeouts: NatConfig["timeouts"]): NatConfig {
  return { inside: ["10.0.0.0/8"], outside: POOL, forwards: [FORWARD], limits, timeouts };
}

/** A batch whose packets lie at fixed places, 64 bytes apart. */
function fixedBatch(nat: Nat): PacketBatch {
  const batch = nat.batch({ slots: SLOTS, bytes: SLOTS * SLOT_BYTES });
  for (let i = 0; i < SLOTS; i++)
    batch.descriptors[i * DESCRIPTOR_WORDS + DESCRIPTOR.offset] = i * SLOT_BYTES;
  batch.count = SLOTS;
  return batch;
}

/** Packets ready to be copied into a fixed batch, all the same length. */
class Packets {
  readonly bytes: Uint8Array;

  constructor(readonly list: readonly Uint8Array[]) {
    this.bytes = new Uint8Array(list.length * SLOT_BYTES);
    list.forEach((packet, i) => {
      this.bytes.set(packet, i * SLOT_BYTES);
    });
  }
  /** Those of one batch. */
  of(batch: number): Uint8Array {
    return this.bytes.subarray(batch * SLOTS * SLOT_BYTES, (batch + 1) * SLOTS * SLOT_BYTES);
  }
}

// ------------------------------------------------------------------------------------------------ in use

/** Sessions in use: half of them TCP connections, half UDP flows, each of them with packets both ways. */
export class InUse {
  /** Packets that did not come through, or through another session. */
  lost = 0;
  sent = 0;
  readonly #nat: Nat;
  readonly #batch: PacketBatch;
  readonly #packets: Packets;
  readonly #sessions: number[] = [];
  readonly #rounds: number;
  #next = 0;

  constructor(nat: Nat, flows: number, now: number) {
    this.#nat = nat;
    this.#batch = fixedBatch(nat);
    const hand = (packet: Uint8Array) => {
      equal(nat.translate(packet, { now }).verdict, "forwarded");
      return packet;
    };
    const packets: Uint8Array[] = [];
    for (let n = 0; n < flows; n++) {
      const src = `10.1.${n >> 8}.${n & 255}:5000`;
      const dst = `198.51.100.${n % 250}:443`;
      if (n % 2 === 0) {
        const question = udp({ src, dst, payload: new Uint8Array(12), df: true });
        packets.push(question, replyTo(hand(question.slice())));
        continue;
      }
      const at = { seq: 1000, ack: 2000 };
      const synAck = replyTo(hand(tcp({ src, dst, flags: "S", seq: 999 })));
      synAck.set([0, 0, 0x07, 0xcf, 0, 0, 0x03, 0xe8, 0x50, 0x12], 24); // SYN and ACK: seq 1999, ack 1000
      hand(fullChecksums(synAck));
      const outbound = tcp({ src, dst, ...at, df: true });
      const inbound = replyTo(hand(outbound.slice()));
      inbound.set([0, 0, 0x07, 0xd0, 0, 0, 0x03, 0xe8], 24); // seq 2000, ack 1000
      packets.push(outbound, fullChecksums(inbound));
    }
    this.#packets = new Packets(packets);
    this.#rounds = packets.length / SLOTS;
    equal(this.#rounds % 1, 0, "flows fill whole batches");
    for (let i = 0; i < SLOTS; i++) {
      this.#batch.descriptors[i * DESCRIPTOR_WORDS + DESCRIPTOR.length] = 40;
    }
    for (let round = 0; round < this.#rounds; round++) {
      this.#translate(now);
      for (let i = 0; i < SLOTS; i++) {
        this.#sessions.push(this.#batch.descriptors[i * DESCRIPTOR_WORDS + DESCRIPTOR.session]!);
      }
    }
    equal(new Set(this.#sessions).size, flows);
    this.sent = 0;
  }

  /** Batches until every session has had a packet each way. */
  get rounds(): number {
    return this.#rounds;
  }

  /** Sends the packets of some of them, both ways, and counts what did not come through. */
  send(now: number): void {
    const first = this.#next * SLOTS;
    this.#translate(now);
    const { descriptors } = this.#batch;
    for (let i = 0; i < SLOTS; i++) {
      const at = i * DESCRIPTOR_WORDS;
      const came = (descriptors[at + DESCRIPTOR.verdict]! & 0xff) === FORWARDED;
      if (!came || descriptors[at + DESCRIPTOR.session] !== this.#sessions[first + i]) this.lost++;
    }
  }

  #translate(now: number): void {
    this.#batch.bytes.set(this.#packets.of(this.#next));
    this.#nat.translateBatch(this.#batch, now);
    this.#next = (this.#next + 1) % this.#rounds;
    this.sent += SLOTS;
  }
}

// ------------------------------------------------------------------------------------------------ the flood

const BANK = 64; // batches of templates: so many times 256 attackers' addresses

/** The attackers: inside hosts (UDP, TCP, pings) and outsiders whose SYNs a forward lets in, in turn. */
function attackers(): Packets {
  const payload = new Uint8Array(12);
  return new Packets(
    Array.from({ length: BANK * SLOTS }, (_, n) => {
      const low = `${n >> 8}.${n & 255}`;
      const inside = { src: `10.2.${low}:1`, dst: `198.51.100.${n % 250}:1` };
      switch (n % 4) {
        case 0:
          return udp({ ...inside, payload, checksum: 0 });
        case 1:
          return tcp({ ...inside, flags: "S" });
        case 2:
          return tcp({ src: `192.0.${low}:1`, dst: FORWARD.outside, flags: "S" });
        default:
          return echo({ src: `10.3.${low}`, dst: "198.51.100.7", identifier: 1, payload });
      }
    }),
  );
}

/** New flows, 1,000,000 a second; each packet is another one's first. */
export class Flood {
  /** Flows offered. */
  offered = 0;
  readonly #nat: Nat;
  readonly #batch: PacketBatch;
  readonly #words: Uint32Array;
  readonly #packets = attackers();
  #at = 0;
  #wave = 0;

  constructor(nat: Nat) {
    this.#nat = nat;
    this.#batch = fixedBatch(nat);
    const { bytes, descriptors } = this.#batch;
    this.#words = new Uint32Array(bytes.buffer, bytes.byteOffset, SLOTS * SLOT_WORDS);
    for (let i = 0; i < SLOTS; i++) {
      descriptors[i * DESCRIPTOR_WORDS + DESCRIPTOR.length] = 40;
      descriptors[i * DESCRIPTOR_WORDS + DESCRIPTOR.delay] = i * (1e9 / PER_SECOND);
    }
  }

  /** How long a batch takes, in ms. */
  static readonly STEP = (SLOTS * 1000) / PER_SECOND;

  /** The next 256 new flows, a microsecond apart. */
  send(now: number): void {
    const words = this.#words;
    this.#batch.bytes.set(this.#packets.of(this.#at));
    this.#at = (this.#at + 1) % BANK;
    // Each time around the bank all have another source port (or identifier), from 1 on.
    if (this.#at === 0) this.#wave = (this.#wave + 1) % 65_535;
    const port = this.#wave + 1;
    const source = (port >> 8) | ((port & 0xff) << 8);
    for (let i = 0, at = 5; i < SLOTS; i += 4, at += 4 * SLOT_WORDS) {
      words[at] = (words[at]! & 0xffff_0000) | source;
      words[at + SLOT_WORDS] = (words[at + SLOT_WORDS]! & 0xffff_0000) | source;
      words[at + 2 * SLOT_WORDS] = (words[at + 2 * SLOT_WORDS]! & 0xffff_0000) | source;
      words[at + 3 * SLOT_WORDS + 1] = (words[at + 3 * SLOT_WORDS + 1]! & 0xffff_0000) | source;
    }
    this.#nat.translateBatch(this.#batch, now);
    this.offered += SLOTS;
  }
}

// ------------------------------------------------------------------------------------------------ afterwards

const TEMPLATES = {
  udp: udp({ src: "10.0.0.0:4000", dst: "198.51.100.7:53", checksum: 0 }),
  tcp: tcp({ src: "10.0.0.0:4000", dst: "198.51.100.7:53", flags: "S", checksum: 0 }),
  icmp: echo({ src: "10.0.0.0", dst: "198.51.100.7", identifier: 4000 }),
};

/** Opens flows, each of another host; asserts that all are let in at once, with public endpoints of their own. */
export function fillUp(nat: Nat, protocol: keyof typeof TEMPLATES, flows: number, now: number): void {
  const template = TEMPLATES[protocol];
  const rest = headerChecksumOf(template) ^ 0xffff; // the header's sum but for the host
  const packet = template.slice();
  const endpoints = new Set<number>();
  const { evicted } = nat.stats.sessions;
  for (let n = 0; n < flows; n++) {
    packet.set(template);
    packet[13] = 64 + (n >> 16);
    put16(packet, 14, n & 0xffff);
    const sum = rest + packet[13] + (n & 0xffff);
    put16(packet, 10, ((sum & 0xffff) + (sum >> 16)) ^ 0xffff);
    const { verdict, reason } = nat.translate(packet, { now });
    if (verdict !== "forwarded") fail(`${protocol} flow ${n + 1} of ${flows}: ${reason}`);
    endpoints.add(packet[15]! * 65_536 + get16(packet, protocol === "icmp" ? 24 : 20));
  }
  equal(endpoints.size, flows, "every flow has an endpoint of its own");
  equal(nat.stats.sessions.evicted, evicted, "and nobody had to make room");
}
