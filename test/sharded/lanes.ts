// The same traffic through a Nat and through shards: what tests of both look like from outside.
import assert from "node:assert/strict";
import {
  type EmittedPacket,
  FROM_OUTSIDE,
  Nat,
  type NatConfig,
  type NatStats,
  ShardedNat,
  type ShardedNatOptions,
  type Verdict,
} from "../../src/index.js";
import { decode, endpoints, fullChecksums } from "../support/packets.js";

export const CONFIG = { inside: ["192.168.226.0/24"], outside: ["203.0.113.1"] } satisfies NatConfig;
export const PUBLIC = "203.0.113.1";

/** A packet after it was sent: its bytes are the ones that came out. */
export interface Sent extends Verdict {
  readonly packet: Uint8Array;
}

/** One NAT, of either kind. */
export interface Lane {
  readonly name: string;
  readonly shards: number;
  readonly now: number;
  /** Sends copies of packets; times only go forward. */
  send(packets: readonly Uint8Array[], now?: number, flags?: number): Promise<Sent[]>;
  take(): EmittedPacket[];
  stats(): Promise<NatStats>;
  size(): Promise<number>;
  sweep(now: number): Promise<number>;
}

export function sharded(nat: ShardedNat): Lane {
  let time = 0;
  return {
    name: `${nat.shards} shards`,
    shards: nat.shards,
    get now() {
      return time;
    },
    async send(packets, now = time, flags = 0) {
      time = Math.max(time, now);
      const copies = packets.map((packet) => Uint8Array.from(packet));
      const verdicts = await nat.translateAll(
        copies.map((packet, tag) => ({ packet, flags, tag: tag + 1 })),
        { now: time },
      );
      return verdicts.map((verdict, i) => ({ ...verdict, packet: copies[i]! }));
    },
    take: () => nat.take(),
    stats: () => nat.stats(),
    size: () => nat.conntrack.size(),
    sweep: (now) => nat.conntrack.sweep(now),
  };
}

export function single(nat: Nat): Lane {
  let time = 0;
  return {
    name: "a Nat",
    shards: 1,
    get now() {
      return time;
    },
    async send(packets, now = time, flags = 0) {
      time = Math.max(time, now);
      return packets.map((original, tag) => {
        const packet = Uint8Array.from(original);
        return { ...nat.translate(packet, { now: time, flags, tag: tag + 1 }), packet };
      });
    },
    take: () => nat.take(),
    stats: async () => nat.stats,
    size: async () => nat.conntrack.size,
    sweep: async (now) => nat.conntrack.sweep(now),
  };
}

/** Runs `story` with a Nat, then with so many shards. */
export async function withEach(
  config: NatConfig,
  story: (lane: Lane) => Promise<void>,
  shards: readonly number[] = [1, 2, 3, 4],
): Promise<void> {
  using nat = new Nat(config, { seed: 1 });
  await story(single(nat));
  for (const count of shards) await withShards(config, count, (lane) => story(lane));
}

export async function withShards(
  config: NatConfig,
  shards: number,
  story: (lane: Lane, nat: ShardedNat) => Promise<void>,
  options: ShardedNatOptions = {},
): Promise<void> {
  const nat = await ShardedNat.create(config, { shards, seed: 1, ...options });
  try {
    await story(sharded(nat), nat);
  } finally {
    await nat.close();
  }
}

/** Sends one packet. */
export async function one(lane: Lane, packet: Uint8Array, now?: number, flags = 0): Promise<Sent> {
  return (await lane.send([packet], now, flags))[0]!;
}

/** Sends one packet, which must be forwarded with right checksums. */
export async function through(lane: Lane, packet: Uint8Array, flags = 0): Promise<Uint8Array> {
  const sent = await one(lane, packet, undefined, flags);
  assert.equal(sent.verdict, "forwarded", `${lane.name}: ${JSON.stringify(sent)}`);
  assertSound(sent.packet);
  return sent.packet;
}

export function assertSound(packet: Uint8Array): void {
  assert.deepEqual(Buffer.from(packet), Buffer.from(fullChecksums(packet)), "a checksum is wrong");
}

/** Where a packet comes from and goes to, as text. */
export function ends(packet: Uint8Array): { src: string; dst: string } {
  const { src, dst } = endpoints(decode(packet));
  return { src: `${src.address}:${src.port}`, dst: `${dst.address}:${dst.port}` };
}

/** in = out + drops + held, whatever happened. */
export async function assertBalanced(lane: Lane): Promise<NatStats> {
  const stats = await lane.stats();
  const { packets, drops } = stats;
  const dropped = Object.values(drops).reduce((sum, count) => sum + count, 0);
  assert.equal(packets.in, packets.out + dropped + packets.held, `${lane.name}: ${JSON.stringify(stats)}`);
  return stats;
}

export { FROM_OUTSIDE };
