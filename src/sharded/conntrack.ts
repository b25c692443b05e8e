import {
  addressOf,
  checkTime,
  protocolNumber,
  type Session,
  type SessionKey,
  sessionsOf,
} from "../conntrack.js";
import { NatError } from "../errors.js";
import { type EventSource, NatEvents } from "../events/nat-events.js";
import type { Shard } from "./shard.js";
import type { Steering } from "./steering.js";

const EVERYTHING = 0xffffffff;

/** What the merged views look at. */
export interface View {
  readonly shards: readonly Shard[];
  readonly steering: Steering;
  readonly clock: () => number;
}

/** The events of all shards. */
function eventsOfShards(view: () => View): EventSource {
  const lost = new Map<Shard, number>();
  return {
    record(mask) {
      // A shard that has died is told to whoever takes from it.
      for (const shard of view().shards) void shard.ask("recordEvents", mask).catch(() => undefined);
    },
    async take(deliver) {
      const takeFrom = async (shard: Shard) => {
        for (let isMore = true; isMore; ) {
          const [rows, more, total] = (await shard.ask("takeEvents")) as [Float64Array, boolean, number];
          deliver(rows, total - (lost.get(shard) ?? 0));
          lost.set(shard, total);
          isMore = more;
        }
      };
      await Promise.all(view().shards.map(takeFrom));
    },
  };
}

/**
 * The sessions of all shards as one table. A hairpinned flow has one session at either end, as in a `Nat`.
 *
 * Events come from the time that the shards hear of it: before any call that is made later is answered (`stats`, say),
 * but maybe after packets that are already on their way. Each shard's are in order.
 */
export class ShardedConntrack extends NatEvents implements AsyncIterable<Session> {
  readonly #view: () => View;
  #timer: NodeJS.Timeout | undefined;

  /** @internal `nat.conntrack` is the way to one. */
  constructor(view: () => View) {
    super(eventsOfShards(view));
    this.#view = view;
  }

  /** How many sessions live. @throws NatError NAT_ERR_CLOSED, NAT_ERR_SHARD */
  async size(): Promise<number> {
    const sizes = await Promise.all(this.#view().shards.map((shard) => shard.ask("size")));
    return (sizes as number[]).reduce((sum, size) => sum + size, 0);
  }

  /**
   * All live sessions, shard by shard. Sessions that come or go meanwhile may be missed, none twice.
   * @throws NatError NAT_ERR_CLOSED, NAT_ERR_SHARD
   */
  async *[Symbol.asyncIterator](): AsyncIterableIterator<Session> {
    for (const shard of this.#view().shards) {
      let from = 0;
      do {
        const [rows, next] = (await shard.ask("read", from)) as [Float64Array, number];
        yield* sessionsOf(rows);
        from = next;
      } while (from !== 0);
    }
  }

  /** All live sessions that a predicate picks. @throws NatError NAT_ERR_CLOSED, NAT_ERR_SHARD */
  async filter(predicate: (session: Session) => boolean): Promise<Session[]> {
    const picked: Session[] = [];
    for await (const session of this) if (predicate(session)) picked.push(session);
    return picked;
  }

  /** The live session of a flow, or null. @throws NatError NAT_ERR_ARGUMENT, NAT_ERR_CLOSED, NAT_ERR_SHARD */
  async find(key: SessionKey): Promise<Session | null> {
    return (await this.#shardOf(key).ask("find", key)) as Session | null;
  }

  /**
   * The live session in a shard's slot, as a batch's descriptors name it (less one), or null.
   * @throws NatError NAT_ERR_ARGUMENT, NAT_ERR_CLOSED, NAT_ERR_SHARD
   */
  async at(shard: number, slot: number): Promise<Session | null> {
    const { shards } = this.#view();
    const one = shards[shard];
    if (one === undefined) {
      throw new NatError("NAT_ERR_ARGUMENT", `shard: ${shard} is not from 0 to ${shards.length - 1}`);
    }
    return (await one.ask("at", slot)) as Session | null;
  }

  /**
   * Ends a session now; with its binding's last session the port is free.
   * @returns whether there was one
   * @throws NatError NAT_ERR_ARGUMENT, NAT_ERR_CLOSED, NAT_ERR_SHARD
   */
  async delete(key: SessionKey): Promise<boolean> {
    return (await this.#shardOf(key).ask("delete", key)) as boolean;
  }

  /**
   * Ends sessions that are due, and puts out what waits for a time.
   * @param now ms; default: the `ShardedNat`'s clock
   * @param budget sessions of a shard to look at in this call, at most
   * @returns how many sessions ended
   * @throws NatError NAT_ERR_ARGUMENT, NAT_ERR_CLOSED, NAT_ERR_SHARD
   */
  async sweep(now: number = this.#view().clock(), budget: number = EVERYTHING): Promise<number> {
    checkTime(now);
    if (!(budget >= 0))
      throw new NatError("NAT_ERR_ARGUMENT", `budget: ${budget} is not a number of sessions`);
    const ended = await Promise.all(this.#view().shards.map((shard) => shard.ask("sweep", now, budget)));
    return (ended as number[]).reduce((sum, count) => sum + count, 0);
  }

  /**
   * Sweeps by the `ShardedNat`'s clock until the returned function is called or it is closed. Only for callers whose
   * packets run by that clock too.
   * @param interval ms between sweeps
   * @param budget sessions of a shard to look at in one sweep, at most
   */
  autoSweep(interval = 1000, budget = 10_000): () => void {
    if (!(interval >= 1)) throw new NatError("NAT_ERR_ARGUMENT", `interval: ${interval} is not 1 ms or more`);
    this.stopSweeping();
    // A shard that has died is told to whoever uses it.
    const sweep = () => void this.sweep(undefined, budget).catch(() => this.stopSweeping());
    this.#timer = setInterval(sweep, interval).unref();
    return () => this.stopSweeping();
  }

  /** Ends what `autoSweep` began. */
  stopSweeping(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** @internal The `ShardedNat` is about to be closed. */
  close(): Promise<void> | undefined {
    this.stopSweeping();
    return this.endEvents();
  }

  #shardOf({ protocol, inside, remote }: SessionKey): Shard {
    const { shards, steering } = this.#view();
    const [from, to] = [addressOf(inside, "inside"), addressOf(remote, "remote")];
    return shards[steering.shardOfFlow(protocolNumber(protocol), from, to)]!;
  }
}
