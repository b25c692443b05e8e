import { availableParallelism } from "node:os";
import { monotonicNow } from "./clock.js";
import { parseConfig } from "./config/load.js";
import type { NatConfig, ResolvedNatConfig } from "./config/schema.js";
import { checkTime } from "./conntrack.js";
import { NatError } from "./errors.js";
import { type EmittedPacket, emittedOf, seedWords, type TranslateOptions } from "./nat.js";
import type { NativePacket } from "./native.js";
import { FROM_OUTSIDE, HAIRPINNED } from "./packet-batch.js";
import { ShardedConntrack } from "./sharded/conntrack.js";
import { ShardedMappings } from "./sharded/mappings.js";
import { planShards, type ShardPlan } from "./sharded/plan.js";
import type { ProducerHandle } from "./sharded/producer.js";
import type { RingShape } from "./sharded/ring.js";
import { Shard } from "./sharded/shard.js";
import { datagramKey, isFirstFragment, SHARD_DISPUTED, SHARD_UNKNOWN, Steering } from "./sharded/steering.js";
import { WaitingFragments } from "./sharded/waiting-fragments.js";
import { addDrop, addWaiting, merged, type NatStats, newCounters, statsOf } from "./stats.js";
import {
  DROPPED,
  type DropReason,
  droppedFor,
  FORWARDED,
  heldFor,
  PASSED,
  PUNTED,
  type Verdict,
  verdictOf,
} from "./verdict.js";

/** A shard needs a part of each public address's ports; more of them would leave too few. */
export const MOST_SHARDS = 64;

/** What a `ShardedNat` has besides its config. */
export interface ShardedNatOptions {
  /** Worker threads, each with a part of the public ports: 1 to {@link MOST_SHARDS}. @default one for each processor */
  shards?: number;
  /** As for a `Nat`; one shard does what a `Nat` does, byte for byte. @default random */
  seed?: number | bigint;
  /** Where `now` comes from when a call does not say: ms that never go back. @default performance.now */
  clock?: () => number;
  /** Packets that a batch holds. @default 256 */
  slots?: number;
  /** Bytes for the packets of a batch together; the largest packet has to fit. @default slots * 2048 */
  bytes?: number;
  /** Batches under way to a shard, from each producer: a power of two from 2 to 1024. @default 8 */
  batches?: number;
  /** Threads that may feed the shards by themselves (`producer`), each with rings of its own. @default 1 */
  producers?: number;
}

/** A packet to translate, with what else there is to say of it. */
export interface PacketToTranslate extends Omit<TranslateOptions, "now"> {
  packet: Uint8Array;
}

/** A packet, or a held fragment, on its way to a shard. */
interface Traveller {
  readonly packet: Uint8Array;
  readonly flags: number;
  readonly wireLength: number;
  readonly tag: number;
}
type Settle = (result: number, bytes: Uint8Array) => void;
type Fail = (error: Error) => void;

/**
 * A NAT over several worker threads that share nothing: each shard owns a part of every public address's ports, and
 * the inside hosts whose address leads to it. Packets find their shard by arithmetic on their own bytes
 * ({@link ShardedNat.shardOf}), in any thread; no table is shared, and no lock.
 *
 * It means the same as a `Nat` of the same config, but for this:
 *
 * - A host has the ports of its shard's part: these can be used up while other shards have some left, and
 *   `portAssignment.preserve` keeps only ports that are among them.
 * - `pooling` holds as it does for a `Nat`. `portAssignment.blockSize`: parts are made of whole blocks.
 * - `limits.sessions`, `sessionRate`, `icmpErrorRate`, `fragments` and `portAssignment.holdDownPorts` are divided
 *   evenly: a shard refuses what goes beyond its share. Limits by host are as they are.
 * - `portAssignment.holdDown`: ports rest where a part has 1,024 ports or more, as with a small range of a `Nat`.
 * - Where datagrams may be fragmented, each shard has identifications of its own (RFC 6864), so more of them change.
 * - Refused are `portAssignment.deterministic`, `alg.pptp` and forwards of SCTP; and `protocols` without ports (SCTP,
 *   GRE, ESP, others), which go by their remote, where paired pooling or a limit by host could not hold.
 *
 * Like open sockets its workers keep the process alive until `close`.
 *
 * @example
 * const nat = await ShardedNat.create({ inside: ["192.168.226.0/24"], outside: ["203.0.113.1"] }, { shards: 2 });
 * const verdicts = await nat.translateAll(packets, { now });   // the packets are rewritten in place
 * await nat.close();
 */
export class ShardedNat {
  /** The sessions of all shards. */
  readonly conntrack: ShardedConntrack;
  /** The mappings that hosts asked for. */
  readonly mappings: ShardedMappings;
  readonly #shards: readonly Shard[];
  readonly #shape: RingShape;
  readonly #producers: number;
  readonly #clock: () => number;
  readonly #waiting: WaitingFragments;
  readonly #own = newCounters(); // of packets that no shard has seen
  #config: ResolvedNatConfig;
  #plan: ShardPlan;
  #steering: Steering;
  #emitted: EmittedPacket[] = [];
  #following = 0; // packets that other packets brought out, on their way
  #quiet: (() => void)[] = [];
  #generation = 0;
  #changing: Promise<unknown> = Promise.resolve();
  #isFlushing = false;
  #isClosed = false;

  /** @internal {@link ShardedNat.create} is the way to one. */
  private constructor(config: ResolvedNatConfig, plan: ShardPlan, options: Checked) {
    this.#config = config;
    this.#plan = plan;
    this.#steering = new Steering(plan.steering);
    this.#waiting = new WaitingFragments(plan.steering.fragmentLimit, plan.steering.fragmentTimeout);
    this.#shape = options.shape;
    this.#producers = options.producers;
    this.#clock = options.clock;
    this.#shards = plan.configs.map(
      (compiled, number) =>
        new Shard({
          number,
          config: compiled,
          seed: seedOf(options.seed, number),
          shape: options.shape,
          onEmitted: (packets) => this.#onEmitted(packets),
        }),
    );
    const view = () => ({ shards: this.#shards, steering: this.#steering, clock: this.#clock });
    this.conntrack = new ShardedConntrack(view);
    this.mappings = new ShardedMappings(view);
  }

  /**
   * Starts the workers.
   * @throws ConfigError when the config is not right, or can't be divided among so many shards
   * @throws NatError NAT_ERR_ARGUMENT for a bad option, NAT_ERR_MEMORY when the system refuses the memory,
   * NAT_ERR_SHARD when a worker can't start
   */
  static async create(config: NatConfig, options: ShardedNatOptions = {}): Promise<ShardedNat> {
    const checked = checkOptions(options);
    const resolved = parseConfig(config);
    const nat = new ShardedNat(resolved, planShards(resolved, checked.shards), checked);
    try {
      await Promise.all(nat.#shards.map((shard) => shard.start()));
    } catch (error) {
      await nat.close();
      throw error;
    }
    return nat;
  }

  /** The config in force, defaults filled in. */
  get config(): ResolvedNatConfig {
    return this.#config;
  }

  /** How many shards there are. */
  get shards(): number {
    return this.#shards.length;
  }

  /**
   * The shard that a packet belongs to, as {@link ShardProducer.shardOf} tells it.
   * @param flags {@link FROM_OUTSIDE}, {@link HAIRPINNED}, added, or 0
   * @param now ms
   */
  shardOf(packet: Uint8Array, flags = 0, now = 0): number {
    return this.#steering.shardOf(packet, flags, now);
  }

  /**
   * Translates one IPv4 packet in place; see {@link ShardedNat.translateAll}.
   * @throws NatError NAT_ERR_ARGUMENT, NAT_ERR_BATCH, NAT_ERR_CLOSED, NAT_ERR_SHARD
   */
  async translate(packet: Uint8Array, { now, ...options }: TranslateOptions = {}): Promise<Verdict> {
    const [verdict] = await this.translateAll([{ packet, ...options }], now === undefined ? {} : { now });
    return verdict!;
  }

  /**
   * Translates IPv4 packets in place, those of a shard in order; packets to another shard's hosts go through both.
   * The bytes of a dropped one stay as they are. Convenient: for packet rates use a `producer`.
   * @param packets each from its IPv4 header on, alone or with options of its own; don't touch them meanwhile
   * @param options `now`: the time in ms of all of them, as for `Nat.translate`
   * @returns what became of each
   * @throws NatError NAT_ERR_ARGUMENT, NAT_ERR_BATCH for a packet that no batch can hold, NAT_ERR_CLOSED,
   * NAT_ERR_SHARD when a shard has died: what became of the packets is not known then
   */
  async translateAll(
    packets: readonly (Uint8Array | PacketToTranslate)[],
    { now = this.#clock() }: { now?: number } = {},
  ): Promise<Verdict[]> {
    this.#checkOpen();
    checkTime(now);
    const travellers = packets.map(travellerOf);
    for (const expired of this.#waiting.expired(now)) this.#discard(expired, "fragment-timeout", 0, now);
    const verdicts = new Array<Verdict>(packets.length);
    let left = packets.length;
    if (left > 0) {
      await new Promise<void>((resolve, reject) => {
        travellers.forEach((traveller, index) => {
          const settle: Settle = (result, bytes) => {
            if (isOut(result)) traveller.packet.set(bytes);
            verdicts[index] = verdictOf(result);
            if (--left === 0) resolve();
          };
          this.#send(traveller, now, settle, reject);
        });
      });
    }
    await this.#settled();
    return verdicts;
  }

  /** How many packets wait to be taken. */
  get pending(): number {
    return this.#emitted.length;
  }

  /**
   * Takes the packets that the shards put out themselves, as `Nat.take` does. After `translateAll` those are there
   * that its packets brought out.
   */
  take(): EmittedPacket[] {
    const emitted = this.#emitted;
    this.#emitted = [];
    return emitted;
  }

  /** Puts out what waits for a time that will not come, as at the end of a capture; then `take`. */
  async flush(): Promise<void> {
    this.#checkOpen();
    await this.#askAll("flush");
  }

  /**
   * What all shards have counted. A packet between shards counts once. `sessions.peak` is the sum of the shards'
   * peaks, which may have been at different times.
   * @throws NatError NAT_ERR_CLOSED, NAT_ERR_SHARD
   */
  async stats(): Promise<NatStats> {
    this.#checkOpen();
    const counters = (await this.#askAll("stats")) as Float64Array[];
    const sum = merged([this.#own, ...counters]);
    for (const { packet, flags } of this.#waiting) {
      addWaiting(sum, packet.length, (flags & HAIRPINNED) === 0);
    }
    return statsOf(sum);
  }

  /**
   * Changes the config, all of it or, on an error, nothing. Sessions that the new config could have stay with their
   * ports, if these are still their shard's: other `ports` are cut elsewhere. Producers in other threads need a new
   * handle to steer by it.
   * @throws ConfigError, NatError NAT_ERR_CLOSED, NAT_ERR_SHARD; NAT_ERR_MEMORY, after which sessions that the new
   * config could not have may be gone
   */
  async reconfigure(config: NatConfig): Promise<void> {
    this.#checkOpen();
    const resolved = parseConfig(config);
    const plan = planShards(resolved, this.#shards.length);
    const change = this.#changing.then(() => this.#apply(resolved, plan));
    this.#changing = change.catch(() => undefined);
    await change;
  }

  /**
   * What a thread needs to feed the shards by itself: `new ShardProducer(handle)`.
   * @param producer which one, from 0; each may be used by one thread
   * @throws NatError NAT_ERR_ARGUMENT, NAT_ERR_CLOSED
   */
  producer(producer = 0): ProducerHandle {
    this.#checkOpen();
    if (!Number.isInteger(producer) || producer < 0 || producer >= this.#producers) {
      const right = `from 0 to ${this.#producers - 1}; "producers" says how many there are`;
      throw new NatError("NAT_ERR_ARGUMENT", `producer: ${producer} is not ${right}`);
    }
    return {
      producer,
      steering: this.#plan.steering,
      shape: this.#shape,
      buffers: this.#shards.map(({ buffer }) => buffer),
      generation: this.#generation,
    };
  }

  /**
   * Ends the workers and all sessions. Calls that are under way, and later ones, reject with NAT_ERR_CLOSED; closing
   * twice is fine.
   */
  async close(): Promise<void> {
    this.#isClosed = true;
    const told = this.conntrack.close();
    if (told !== undefined) await told;
    await Promise.all(this.#shards.map((shard) => shard.close()));
  }

  /** `close`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new NatError("NAT_ERR_CLOSED", "this ShardedNat is closed");
  }

  #askAll(name: "stats" | "flush"): Promise<unknown[]> {
    return Promise.all(this.#shards.map((shard) => shard.ask(name)));
  }

  async #apply(config: ResolvedNatConfig, plan: ShardPlan): Promise<void> {
    const change = (to: ShardPlan) =>
      Promise.allSettled(this.#shards.map((shard, index) => shard.ask("reconfigure", to.configs[index]!)));
    const failed = (await change(plan)).find((result) => result.status === "rejected");
    if (failed !== undefined) {
      await change(this.#plan);
      throw failed.reason;
    }
    const steering = new Steering(plan.steering);
    steering.adopt(this.#steering);
    this.#steering = steering;
    this.#waiting.bounds = plan.steering;
    this.#plan = plan;
    this.#config = config;
    this.#generation++;
    for (const shard of this.#shards) shard.renew();
  }

  /** Sends a packet to its shard, and from there on to the sibling that it is hairpinned to. */
  #send(traveller: Traveller, now: number, settle: Settle, fail: Fail): void {
    const { packet, flags } = traveller;
    const shard = this.#steering.shardOf(packet, flags, now);
    if (shard === SHARD_DISPUTED) {
      settle(this.#count(traveller, "fragment-refused"), packet);
      return;
    }
    if (shard === SHARD_UNKNOWN) {
      this.#keep(traveller, now, settle);
      return;
    }
    const through: Settle = (result, bytes) => {
      if ((result & 0xff) !== PUNTED) return settle(result, bytes);
      this.#send(onward(traveller, bytes), now, settle, fail);
    };
    this.#shards[shard]!.put({ ...traveller, now, settle: through, fail });
    this.#scheduleFlush();
    if (isFirstFragment(packet) && this.#waiting.size > 0) {
      for (const fragment of this.#waiting.take(datagramKey(packet)))
        this.#follow(fragment, traveller.tag, now);
    }
  }

  /** Keeps a fragment until the first one of its datagram tells its shard. */
  #keep(traveller: Traveller, now: number, settle: Settle): void {
    const fragment = { ...traveller, packet: Uint8Array.from(traveller.packet) };
    const evicted = this.#waiting.add(datagramKey(fragment.packet), fragment, now);
    for (const other of evicted) {
      if (other !== fragment) this.#discard(other, "fragment-limit", traveller.tag, now);
    }
    const kept = !evicted.includes(fragment);
    const direction = (fragment.flags & HAIRPINNED) === 0 ? "inbound" : "hairpin";
    settle(kept ? heldFor(direction) : this.#count(fragment, "fragment-limit"), fragment.packet);
  }

  /** Sends a packet that another one brought out; it comes out by `take`. */
  #follow(traveller: Traveller, cause: number, now: number): void {
    this.#following++;
    const end = () => {
      if (--this.#following > 0) return;
      for (const resolve of this.#quiet.splice(0)) resolve();
    };
    const { tag } = traveller;
    const settle: Settle = (result, bytes) => {
      const out = isOut(result);
      if (out || (result & 0xff) === DROPPED) {
        this.#emitted.push({
          kind: out ? "fragment" : "discarded",
          packet: out ? Buffer.from(bytes) : Buffer.alloc(0),
          side: "inside",
          tag,
          cause,
          at: now,
        });
      }
      end();
    };
    this.#send(traveller, now, settle, end); // a shard that has died is told to whoever uses it
  }

  /** A kept fragment dies. */
  #discard(fragment: Traveller, reason: DropReason, cause: number, now: number): void {
    this.#count(fragment, reason);
    const { tag } = fragment;
    this.#emitted.push({ kind: "discarded", packet: Buffer.alloc(0), side: "inside", tag, cause, at: now });
  }

  /** Counts a packet that is dropped here; gives the result. */
  #count({ packet, flags }: Traveller, reason: DropReason): number {
    const isFirstHalf = (flags & HAIRPINNED) === 0;
    addDrop(this.#own, packet.length, reason, isFirstHalf);
    return droppedFor(reason, isFirstHalf ? "inbound" : "hairpin");
  }

  #onEmitted(packets: readonly NativePacket[]): void {
    for (const native of packets) {
      const [packet, , side, tag, cause, at] = native;
      if (side !== SIBLING) this.#emitted.push(emittedOf(native));
      else this.#follow({ packet, flags: HAIRPINNED, wireLength: 0, tag }, cause, at);
    }
  }

  /** Resolves when nothing is on its way that other packets brought out. */
  async #settled(): Promise<void> {
    while (this.#following > 0) await new Promise<void>((resolve) => this.#quiet.push(resolve));
  }

  /** Packets that are sent in one go share batches. */
  #scheduleFlush(): void {
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    queueMicrotask(() => {
      this.#isFlushing = false;
      for (const shard of this.#shards) shard.flush();
    });
  }
}

/** The side of what the engine puts out for a sibling. */
const SIBLING = 2;

/** Whether a packet goes on. */
function isOut(result: number): boolean {
  const verdict = result & 0xff;
  return verdict === FORWARDED || verdict === PASSED;
}

function onward({ flags, wireLength, tag }: Traveller, bytes: Uint8Array): Traveller {
  return { packet: Uint8Array.from(bytes), flags: (flags & ~FROM_OUTSIDE) | HAIRPINNED, wireLength, tag };
}

function travellerOf(given: Uint8Array | PacketToTranslate): Traveller {
  const {
    packet,
    flags = 0,
    wireLength = 0,
    tag = 0,
  } = given instanceof Uint8Array ? { packet: given } : given;
  if (!(packet instanceof Uint8Array)) {
    throw new NatError("NAT_ERR_ARGUMENT", "packet: expected a Uint8Array or Buffer with one IPv4 packet");
  }
  if ((flags & HAIRPINNED) !== 0) {
    throw new NatError("NAT_ERR_ARGUMENT", "flags: HAIRPINNED is for producers; here it is done for you");
  }
  return { packet, flags, wireLength, tag };
}

/** The first shard's seed is what was given, so that one shard does what a `Nat` does. */
function seedOf(words: BigUint64Array, shard: number): BigUint64Array {
  const mixed = BigInt.asUintN(64, BigInt(shard) * 0x9e3779b97f4a7c15n);
  return BigUint64Array.of(words[0]! ^ mixed, words[1]!);
}

interface Checked {
  readonly shards: number;
  readonly producers: number;
  readonly seed: BigUint64Array;
  readonly clock: () => number;
  readonly shape: RingShape;
}

function checkOptions({
  shards = Math.min(availableParallelism(), MOST_SHARDS),
  seed,
  clock = monotonicNow,
  slots = 256,
  bytes = slots * 2048,
  batches = 8,
  producers = 1,
}: ShardedNatOptions): Checked {
  const whole = (name: string, value: number, least: number, most: number) => {
    if (Number.isInteger(value) && value >= least && value <= most) return;
    throw new NatError(
      "NAT_ERR_ARGUMENT",
      `${name}: ${value} is not a whole number from ${least} to ${most}`,
    );
  };
  whole("shards", shards, 1, MOST_SHARDS);
  whole("slots", slots, 1, 65536);
  whole("bytes", bytes, 1, 2 ** 28);
  whole("batches", batches, 2, 1024);
  whole("producers", producers, 0, 64);
  if ((batches & (batches - 1)) !== 0) {
    throw new NatError("NAT_ERR_ARGUMENT", `batches: ${batches} is no power of two`);
  }
  if (typeof clock !== "function")
    throw new NatError("NAT_ERR_ARGUMENT", "clock: expected a function that gives ms");
  const shape = { rings: producers + 1, batches, slots, bytes };
  return { shards, producers, seed: seedWords(seed), clock, shape };
}
