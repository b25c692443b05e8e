import { randomFillSync } from "node:crypto";
import { monotonicNow, wallOffset } from "./clock.js";
import { compileConfig } from "./config/compile.js";
import { parseConfig } from "./config/load.js";
import type { NatConfig, ResolvedNatConfig } from "./config/schema.js";
import { Conntrack, checkTime } from "./conntrack.js";
import { NatError } from "./errors.js";
import { type Explanation, explanationOf } from "./explain/explanation.js";
import { ExplicitMappings } from "./explicit-mappings.js";
import { closedEngine, type Engine, guarded, LAYOUT, type NativePacket, native } from "./native.js";
import { type BatchOptions, bindBatch, numberOf, PacketBatch } from "./packet-batch.js";
import { type NatStats, statsOf } from "./stats.js";
import { Tap, type TapOptions } from "./tap/tap.js";
import { type Verdict, verdictOf } from "./verdict.js";

/** What a `Nat` has besides its config. */
export interface NatOptions {
  /** Makes port choice and hashing repeatable: same packets, config and seed, same bytes. @default random */
  seed?: number | bigint;
  /** Where `now` comes from when a call does not say: ms that never go back. @default performance.now */
  clock?: () => number;
}

/** What there is to say of a packet besides its bytes. */
export interface TranslateOptions {
  /** The time in ms, by any clock that the caller keeps to; an earlier one counts as no time passed. */
  now?: number;
  /** Bytes that the packet had on the wire, where a capture cut it. @default packet.length */
  wireLength?: number;
  /** A mark that comes back with packets that the engine puts out for this one (`take`). @default 0 */
  tag?: number;
  /** {@link PARTIAL_CHECKSUM} and {@link FROM_OUTSIDE}, added, or 0. @default 0 */
  flags?: number;
}

/** A packet that the engine puts out by itself, or word that one it held is gone. */
export interface EmittedPacket {
  /**
   * A fragment released after its first one came or a piece of a packet that was larger than the `mtu`, an ICMP
   * error of the NAT's own, or a held fragment that died. The pieces of a packet come together and in order.
   */
  readonly kind: "fragment" | "icmp" | "discarded";
  /** The IPv4 packet, the caller's to keep; empty when discarded. */
  readonly packet: Uint8Array;
  /** Where it goes. */
  readonly side: "inside" | "outside";
  /** The mark of this packet as it was handed in, or of the packet that the error is about. */
  readonly tag: number;
  /** The mark of the packet that brought it out; 0 when time did. */
  readonly cause: number;
  /** When, in ms of the caller's clock. */
  readonly at: number;
}

/** @internal A Nat's engine, for the gateway's thread. */
export let engineOf: (nat: Nat) => Engine;

const KINDS = ["fragment", "icmp", "discarded"] as const;
const NO_OPTIONS: TranslateOptions = {};

/**
 * A NAT: one owner of public addresses and their ports, with the sessions through them.
 *
 * Belongs to one thread; worker threads each make their own, with public addresses or port ranges of their own.
 *
 * @example
 * const nat = new Nat({ inside: ["192.168.226.0/24"], outside: ["203.0.113.1"] });
 * const { verdict } = nat.translate(packet, { now: Date.now() }); // the packet is rewritten in place
 */
export class Nat {
  /** The sessions. */
  readonly conntrack: Conntrack;
  /** The mappings that hosts asked for. */
  readonly mappings: ExplicitMappings;
  #engine: Engine;
  readonly #clock: () => number;
  /** What time it was at 0 of the clock, in ms since 1970, if that is known. */
  readonly #epoch: number;
  readonly #taps = new Set<Tap>();
  /** Whose batches are its own. */
  readonly #key = {};
  #config: ResolvedNatConfig;

  static {
    engineOf = (nat) => nat.#engine;
  }

  /**
   * @throws ConfigError when the config is not right
   * @throws NatError NAT_ERR_ARGUMENT for a bad option, NAT_ERR_MEMORY when the system refuses the memory
   */
  constructor(config: NatConfig, { seed, clock = monotonicNow }: NatOptions = {}) {
    if (typeof clock !== "function")
      throw new NatError("NAT_ERR_ARGUMENT", "clock: expected a function that gives ms");
    this.#config = parseConfig(config);
    this.#clock = clock;
    this.#epoch = clock === monotonicNow ? wallOffset() : 0;
    const words = seedWords(seed);
    this.#engine = guarded(() => new native.Engine(compileConfig(this.#config), words));
    this.conntrack = new Conntrack(this.#engine, clock);
    this.mappings = new ExplicitMappings(() => this.#engine, clock);
  }

  /** The config in force, defaults filled in. */
  get config(): ResolvedNatConfig {
    return this.#config;
  }

  /**
   * Translates one IPv4 packet in place; the bytes of a dropped one stay as they are. Convenient, but each call
   * crosses into native code: for packet rates use a batch.
   * @param packet from its IPv4 header on; bytes behind the packet's own length (padding) are left alone
   * @throws NatError NAT_ERR_ARGUMENT, NAT_ERR_CLOSED
   */
  translate(packet: Uint8Array, options: TranslateOptions = NO_OPTIONS): Verdict {
    const { now = this.#clock(), wireLength = 0, tag = 0, flags = 0 } = options;
    checkTime(now);
    checkPacket(packet);
    // Each argument that crosses over costs as much as a dozen instructions of the translation.
    const plain = (wireLength | flags | tag) === 0;
    return verdictOf(
      plain
        ? this.#engine.translate(packet, now)
        : this.#engine.translate(packet, now, wireLength, flags, tag),
    );
  }

  /**
   * What `translate` would do with a packet, and why: verdict, the rules that decide, sessions and bindings, each field
   * before and after. Neither the packet nor the NAT is changed in any way: later packets have the same fate, ports
   * included, as if nobody had asked.
   *
   * It is no second opinion: the packet is translated, in a copy of the process that the system makes (fork) and that
   * ends with the call. That takes a millisecond or a few, in which a gateway's packets wait.
   * @param packet as `translate` has it
   * @throws NatError NAT_ERR_ARGUMENT, NAT_ERR_CLOSED; NAT_ERR_MEMORY when the system refuses the copy
   * @example
   * const { verdict, why } = nat.explain(packet); // why?.key: "filtering"
   */
  explain(packet: Uint8Array, options: Omit<TranslateOptions, "tag"> = NO_OPTIONS): Explanation {
    const { now = this.#clock(), wireLength = 0, flags = 0 } = options;
    const { explain } = this.#engine; // throws first when closed
    checkTime(now);
    checkPacket(packet);
    const told = guarded(() => explain.call(this.#engine, packet, now, wireLength, flags));
    return explanationOf(packet, told, this.#config);
  }

  /** Makes a batch: packets and descriptors in shared memory, known to this `Nat` alone. */
  batch(options: BatchOptions = {}): PacketBatch {
    const batch = PacketBatch.allocate(options);
    const handle = this.#engine.createBatch(new Uint8Array(batch.buffer), batch.slots);
    bindBatch(batch, this.#key, handle);
    return batch;
  }

  /**
   * Translates the `count` packets of a batch in place, in order. The hot path: it allocates nothing.
   * @param now ms; each packet's time is this plus its descriptor's `delay`
   * @returns how many packets wait to be taken (`take`)
   * @throws NatError NAT_ERR_BATCH for a batch of another Nat, NAT_ERR_ARGUMENT, NAT_ERR_CLOSED
   */
  translateBatch(batch: PacketBatch, now: number = this.#clock()): number {
    checkTime(now);
    const number = numberOf(batch, this.#key);
    if (number === undefined) {
      throw new NatError("NAT_ERR_BATCH", "the batch is not from this Nat; make one with nat.batch()");
    }
    return this.#engine.translateBatch(number, now);
  }

  /** How many packets wait to be taken. */
  get pending(): number {
    return this.#engine.pending();
  }

  /**
   * Takes the packets that the engine puts out itself, oldest first. A caller who lets fragments be held,
   * or sets an `mtu`, has to: what is not taken fills the store, and then fragments are dropped.
   */
  take(): EmittedPacket[] {
    return this.#engine.take().map(emittedOf);
  }

  /**
   * Shows packets as they came and as they left, from now on: those that are translated, with what became of them, and
   * those that the NAT puts out itself, as they are taken. Of a gateway (`gateway.nat.tap()`) it shows what its thread
   * moves, as frames. At most eight at a time. `captureTap` writes what it shows to a file for Wireshark.
   *
   * Without taps this costs nothing; with one each packet is copied twice.
   * @throws NatError NAT_ERR_ARGUMENT for a bad option, or one too many; NAT_ERR_CLOSED
   * @example
   * for await (const { side, way, verdict, packet } of nat.tap({ filter: "dropped not :22" })) ...
   */
  tap(options: TapOptions = {}): Tap {
    const engine = this.#engine;
    engine.pending(); // throws first when closed
    const tap = new Tap(
      {
        open: (memory, wanted, snaplen) => engine.openTap(memory, wanted, snaplen),
        close: (number) => {
          engine.closeTap(number);
          this.#taps.delete(tap);
        },
      },
      { epoch: this.#epoch, ...options },
    );
    this.#taps.add(tap);
    return tap;
  }

  /** Puts out what waits for a time that will not come, as at the end of a capture; then `take`. */
  flush(): void {
    this.#engine.flush();
  }

  /** What was counted so far. Sessions that are due count as active until they are swept (`conntrack.size` does). */
  get stats(): NatStats {
    const counters = new Float64Array(LAYOUT.counters);
    this.#engine.readStats(counters);
    return statsOf(counters);
  }

  /**
   * Changes the config, all of it or, on an error, nothing. Sessions that the new config could have stay with
   * their ports; new timeouts hold for them at once. The others end.
   * @throws ConfigError
   */
  reconfigure(config: NatConfig): void {
    const { reconfigure } = this.#engine; // throws first when closed
    const resolved = parseConfig(config);
    guarded(() => reconfigure.call(this.#engine, compileConfig(resolved)));
    this.#config = resolved;
    this.conntrack.renumbered();
  }

  /** Ends all sessions and gives the memory back. Any later call throws NAT_ERR_CLOSED; closing twice is fine. */
  close(): void {
    if (this.#engine === closedEngine) return;
    this.conntrack.close();
    for (const tap of this.#taps) tap.close();
    this.#engine.close();
    this.#engine = closedEngine;
  }

  /** `close`, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

function checkPacket(packet: Uint8Array): void {
  if (packet instanceof Uint8Array) return;
  throw new NatError("NAT_ERR_ARGUMENT", "packet: expected a Uint8Array or Buffer with one IPv4 packet");
}

/** @internal */
export function emittedOf([packet, kind, side, tag, cause, at]: NativePacket): EmittedPacket {
  return { kind: KINDS[kind]!, packet, side: side === 0 ? "outside" : "inside", tag, cause, at };
}

/** @internal A 128-bit seed from the option, or from the system. */
export function seedWords(seed: number | bigint | undefined): BigUint64Array {
  const words = new BigUint64Array(2);
  if (seed === undefined) return randomFillSync(words);
  const usable = typeof seed === "bigint" || (typeof seed === "number" && Number.isSafeInteger(seed));
  if (!usable || seed < 0) {
    throw new NatError("NAT_ERR_ARGUMENT", `seed: ${String(seed)} is not a whole number from 0 on`);
  }
  const value = BigInt(seed);
  words[0] = BigInt.asUintN(64, value);
  words[1] = BigInt.asUintN(64, value >> 64n);
  return words;
}
