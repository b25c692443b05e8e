// What is measured: each work fills a batch outside the time that counts, and has it translated within.
import { DESCRIPTOR, DESCRIPTOR_WORDS, Nat, type PacketBatch } from "../src/index.js";
import { ICMP, IP_HEADER, sealHeader, TCP, UDP } from "../src/ipv4.js";
import { JavaScriptNat } from "./javascript-nat.js";
import {
  configFor,
  establish,
  firstPackets,
  IMIX,
  layOut,
  MIXED,
  PACKET_BYTES,
  Random,
  Replay,
  type Shape,
  SLOT_BYTES,
  shuffled,
  writeFlow,
} from "./traffic.js";

/** A work made ready. */
export interface Running {
  fill(): void;
  /** Translates the batch. */
  call(): void;
  /** The same packets through the pure JavaScript implementation, where it can do them. */
  javascript?(): void;
  /** Throws when packets were not translated as meant. */
  check(): void;
  close(): void;
}

export interface Work {
  readonly name: string;
  /** Bytes of the Ethernet frames, 0: mixed. */
  readonly bytes: number;
  /** Which figure of the limit it is set against. */
  readonly limit?: "outbound" | "inbound";
  start(sessions: number, batch: number): Running;
}

const NOW = 1;

function batchOf(nat: Nat, slots: number, stride = SLOT_BYTES): PacketBatch {
  const batch = nat.batch({ slots, bytes: slots * stride });
  layOut(batch, stride);
  batch.count = slots;
  return batch;
}

/** Fails when packets were dropped, or never reached the engine. */
function checker(nat: Nat): () => void {
  const before = nat.stats.packets.in;
  return () => {
    const { drops, packets } = nat.stats;
    if (Object.keys(drops).length > 0 || packets.in === before) {
      throw new Error(`the benchmark did not do its work: ${JSON.stringify(drops)}`);
    }
  };
}

/** Packets of established flows. */
function established(
  name: string,
  sides: readonly ("out" | "in")[],
  shape: Shape = MIXED,
  { limit = "outbound", javascript = false }: { limit?: Work["limit"]; javascript?: boolean } = {},
): Work {
  return {
    name,
    bytes: 64,
    limit,
    start(sessions, slots) {
      const nat = new Nat(configFor(sessions, shape), { seed: 1 });
      const templates = establish(nat, sessions, shape);
      const batch = batchOf(nat, slots);
      const replay = new Replay(batch, shuffled(sides.map((side) => templates[side])));
      const other = javascript ? new JavaScriptNat(templates) : undefined;
      return {
        fill: () => replay.fill(),
        call: () => void nat.translateBatch(batch, NOW),
        ...(other && { javascript: () => other.translate(batch.bytes, slots) }),
        check: checker(nat),
        close: () => nat.close(),
      };
    },
  };
}

/**
 * New flows, as many in a time as end in it: each costs its making and its later end. The table holds `sessions`.
 * @param filled ports in use, of one
 */
function fresh(name: string, filled: number): Work {
  const seconds = 300;
  const shape = { ...MIXED, filled };
  return {
    name,
    bytes: 64,
    start(sessions, slots) {
      const timeouts = { udp: seconds, tcpOpening: seconds };
      const nat = new Nat({ ...configFor(sessions * 1.02, shape), timeouts }, { seed: 1 });
      const batch = batchOf(nat, slots);
      // When a flow comes again, its session has ended.
      const replay = new Replay(batch, firstPackets(Math.ceil((1.5 * sessions) / slots) * slots, shape));
      let now = 0;
      const fill = () => {
        replay.fill();
        now += (seconds * 1000 * slots) / sessions;
      };
      const call = () => void nat.translateBatch(batch, now);
      for (let i = 0; i < sessions * 1.25; i += slots) {
        fill();
        call();
      }
      return { fill, call, check: checker(nat), close: () => nat.close() };
    },
  };
}

/** Established flows with one new one in ten, which ends 30 s later. */
function churning(name: string, lengths: readonly number[]): Work {
  const seconds = 30;
  const share = 10;
  return {
    name,
    bytes: lengths.length === 1 ? 64 : 0,
    start(sessions, slots) {
      const stride = Math.max(SLOT_BYTES, ...lengths.map((length) => (length + 63) & ~63));
      const short = Math.ceil(sessions / share);
      const ports = [{ protocol: "udp" as const, ports: "80", seconds }];
      const config = { ...configFor(sessions * 1.2), timeouts: { udp: 86_400, ports } };
      const nat = new Nat(config, { seed: 1 });
      const kept = sessions - short;
      const templates = establish(nat, kept);
      const batch = batchOf(nat, slots, stride);
      const random = new Random();
      const shape = { ...MIXED, protocols: [UDP, UDP] as const };
      const words = new Float64Array(batch.bytes.buffer, batch.bytes.byteOffset, (slots * stride) / 8);
      const sources = [templates.out, templates.in].map(({ bytes }) => new Float64Array(bytes.buffer));
      let flow = 0;
      let now = 0;
      const fill = () => {
        for (let i = 0; i < slots; i++) {
          const length = lengths[random.below(lengths.length)]!;
          batch.descriptors[i * DESCRIPTOR_WORDS + DESCRIPTOR.length] = length;
          if (i % share === 0) {
            const number = 8 * sessions + (flow++ % (8 * sessions));
            const at = i * stride;
            writeFlow(batch.bytes.subarray(at, at + length), number, { shape, remotePort: 80 });
            continue;
          }
          const source = sources[random.below(2)]!;
          const from = random.below(kept) * (SLOT_BYTES / 8);
          const to = (i * stride) / 8;
          for (let w = 0; w < SLOT_BYTES / 8; w++) words[to + w] = source[from + w]!;
          if (length === PACKET_BYTES) continue;
          const packet = batch.bytes.subarray(i * stride, i * stride + 20);
          packet[2] = length >>> 8;
          packet[3] = length & 255;
          sealHeader(packet.subarray(0, IP_HEADER));
        }
        now += (seconds * 1000 * (slots / share)) / short;
      };
      const call = () => void nat.translateBatch(batch, now);
      for (let i = 0; i < short * 1.25; i += slots / share) {
        fill();
        call();
      }
      return { fill, call, check: checker(nat), close: () => nat.close() };
    },
  };
}

/** Inside hosts that talk by each other's public endpoints. */
const hairpin: Work = {
  name: "hairpin",
  bytes: 64,
  start(sessions, slots) {
    const shape = { ...MIXED, protocols: [UDP, UDP] as const };
    const nat = new Nat({ ...configFor(sessions, shape), filtering: "endpoint-independent" }, { seed: 1 });
    const { out } = establish(nat, sessions, shape);
    const bindings = Array.from(nat.conntrack, (session) => session.public);
    const random = new Random();
    for (let flow = 0; flow < sessions; flow++) {
      const { address, port } = bindings[random.below(bindings.length)]!;
      const packet = out.bytes.subarray(flow * SLOT_BYTES, flow * SLOT_BYTES + PACKET_BYTES);
      writeFlow(packet, flow, { shape, remotePort: port });
      packet.set(address.split(".").map(Number), 16);
      sealHeader(packet.subarray(0, IP_HEADER));
    }
    const batch = batchOf(nat, slots);
    const replay = new Replay(batch, shuffled([out]));
    return {
      fill: () => replay.fill(),
      call: () => void nat.translateBatch(batch, NOW),
      check: checker(nat),
      close: () => nat.close(),
    };
  },
};

/** Datagrams in two fragments each, in order. */
const fragments: Work = {
  name: "fragments",
  bytes: 64,
  start(sessions, slots) {
    const shape = { ...MIXED, protocols: [UDP, UDP] as const };
    const nat = new Nat(configFor(sessions, shape), { seed: 1 });
    const { out } = establish(nat, sessions, shape);
    const batch = batchOf(nat, slots);
    const random = new Random();
    let id = 0;
    let now = NOW;
    return {
      fill() {
        now += 1;
        for (let i = 0; i + 1 < slots; i += 2) {
          const from = random.below(sessions) * SLOT_BYTES;
          id = (id + 1) & 0xffff;
          for (const part of [0, 1]) {
            const at = (i + part) * SLOT_BYTES;
            const packet = batch.bytes.subarray(at, at + PACKET_BYTES);
            packet.set(out.bytes.subarray(from, from + PACKET_BYTES));
            packet[3] = part === 0 ? 44 : 50;
            packet.set([id >>> 8, id & 255, part === 0 ? 0x20 : 0, part === 0 ? 0 : 3], 4);
            sealHeader(packet.subarray(0, IP_HEADER));
          }
        }
      },
      call: () => void nat.translateBatch(batch, now),
      check: checker(nat),
      close: () => nat.close(),
    };
  },
};

const all = (protocol: number): Shape => ({ ...MIXED, protocols: [protocol, protocol] });

export const WORKS = {
  established: established("established", ["out", "in"], MIXED, { javascript: true }),
  outbound: established("outbound", ["out"], MIXED, { javascript: true }),
  inbound: established("inbound", ["in"], MIXED, { limit: "inbound", javascript: true }),
  udp: established("established udp", ["out", "in"], all(UDP)),
  tcp: established("established tcp", ["out", "in"], all(TCP)),
  icmp: established("icmp", ["out", "in"], all(ICMP)),
  csit: established("63 ports a host", ["out", "in"], { ...MIXED, portsOfHost: 63 }),
  fresh: fresh("new", 2 / 3),
  crowded: fresh("new, 90 % of the ports taken", 0.9),
  churn: churning("churn", [PACKET_BYTES]),
  mixed: churning("mixed", IMIX),
  hairpin,
  fragments,
} as const;
