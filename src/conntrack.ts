import { parseIpv4 } from "./config/cidr.js";
import { NatError } from "./errors.js";
import { engineEvents } from "./events/engine-events.js";
import { NatEvents } from "./events/nat-events.js";
import { closedEngine, type Engine, LAYOUT } from "./native.js";
import {
  protocolNumber,
  type Session,
  type SessionEndpoint,
  type SessionProtocol,
  sessionAt,
} from "./session.js";
import { unwrapSnapshot, wrapSnapshot } from "./snapshot.js";

export {
  protocolName,
  protocolNumber,
  type Session,
  type SessionEndpoint,
  type SessionProtocol,
  sessionsOf,
} from "./session.js";

/** What names a session: the flow as the inside host sees it. */
export interface SessionKey {
  protocol: SessionProtocol;
  inside: SessionEndpoint;
  /** `port` is not looked at for ICMP. */
  remote: SessionEndpoint;
}

/** When a snapshot is taken or restored. */
export interface SnapshotTime {
  /** ms; default: the `Nat`'s clock. */
  now?: number;
  /** The same moment by a clock that goes on over restarts, in ms. @default Date.now() */
  wall?: number;
}

/** What became of the sessions of a snapshot. */
export interface Restored {
  readonly restored: number;
  /** Their time was over meanwhile. */
  readonly expired: number;
  /** The config has no place for them any more, or their flow or public endpoint is taken. */
  readonly refused: number;
}

const FIELDS = LAYOUT.sessionFields;
const ROWS = 512;
const EVERYTHING = 0xffffffff;
/** Bytes of a snapshot's chunk: some thousand sessions. */
const CHUNK = 1 << 19;

/**
 * The sessions of a `Nat`.
 *
 * Sessions end by their own clocks, to the nanosecond, whether or not anybody sweeps; sweeping gives memory and
 * ports back early when no packets come.
 */
export class Conntrack extends NatEvents implements Iterable<Session> {
  #engine: Engine;
  readonly #clock: () => number;
  readonly #row = new Float64Array(FIELDS);
  #timer: NodeJS.Timeout | undefined;
  /** Changes of config so far. */
  #changes = 0;

  /** @internal `nat.conntrack` is the way to one. */
  constructor(engine: Engine, clock: () => number) {
    super(engineEvents(engine));
    this.#engine = engine;
    this.#clock = clock;
  }

  /** How many sessions live. */
  get size(): number {
    this.#engine.sweep(undefined, EVERYTHING);
    const counters = new Float64Array(LAYOUT.counters);
    this.#engine.readStats(counters);
    return counters[ACTIVE]!;
  }

  /** All live sessions, in no particular order. Sessions that come or go meanwhile may be missed, none twice. */
  *[Symbol.iterator](): IterableIterator<Session> {
    for (const row of this.rows()) yield sessionAt(row);
  }

  /** @internal The same as rows ({@link FIELD}), each to be read at once: the next one may take its memory. */
  *rows(): IterableIterator<Float64Array> {
    const rows = new Float64Array(FIELDS * ROWS);
    let next = 0;
    do {
      const [filled, more] = this.#engine.read(next, rows);
      for (let at = 0; at < filled * FIELDS; at += FIELDS) yield rows.subarray(at, at + FIELDS);
      next = more;
    } while (next !== 0);
  }

  /** The live session of a flow, or null. */
  find(key: SessionKey): Session | null {
    return this.#locate(key) ? sessionAt(this.#row, 0) : null;
  }

  /** The live session in a slot, as a batch's descriptors name it (less one), or null. */
  at(slot: number): Session | null {
    const [filled] = this.#engine.read(slot, this.#row);
    return filled === 1 && this.#row[0] === slot ? sessionAt(this.#row, 0) : null;
  }

  /** All live sessions that a predicate picks. */
  filter(predicate: (session: Session) => boolean): Session[] {
    return [...this].filter(predicate);
  }

  /**
   * Ends a session now; with its binding's last session the port is free.
   * @returns whether there was one
   */
  delete(key: SessionKey): boolean {
    if (!this.#locate(key)) return false;
    this.#engine.remove(this.#row[0]!);
    return true;
  }

  /**
   * Ends sessions that are due, and puts out what waits for a time (`nat.pending`).
   * @param now ms; default: the `Nat`'s clock
   * @param budget sessions to look at in this call, at most
   * @returns how many sessions ended
   */
  sweep(now: number = this.#clock(), budget: number = EVERYTHING): number {
    checkTime(now);
    if (!(budget >= 0))
      throw new NatError("NAT_ERR_ARGUMENT", `budget: ${budget} is not a number of sessions`);
    return this.#engine.sweep(now, Math.min(Math.floor(budget), EVERYTHING));
  }

  /**
   * Sweeps by the `Nat`'s clock until the returned function is called or the `Nat` is closed. Only for callers
   * whose packets run by that clock too. Does not keep the process alive.
   * @param interval ms between sweeps
   * @param budget sessions to look at in one sweep, at most
   */
  autoSweep(interval = 1000, budget = 10_000): () => void {
    if (!(interval >= 1)) throw new NatError("NAT_ERR_ARGUMENT", `interval: ${interval} is not 1 ms or more`);
    this.stopSweeping();
    this.#timer = setInterval(() => this.sweep(undefined, budget), interval).unref();
    return () => this.stopSweeping();
  }

  /** Ends what `autoSweep` began. */
  stopSweeping(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /**
   * A copy of all live sessions, to be kept over a restart (`restore`), in chunks of up to half a megabyte, some
   * thousand sessions each: put together they are the snapshot. Taking a chunk is no pause, and packets may be
   * translated between two: each session is as it was when its chunk was taken, and one that comes, ends or moves
   * meanwhile may be missed. For all at one moment take all chunks at once.
   *
   * It has each session's endpoints, state, counters, age and time left, and explicit mappings, but not who asked
   * for them (the nonces of PCP: a `PcpServer` begins a new epoch, and hosts ask again). Fragments that wait, ports
   * and blocks that rest and rates that were used up are not in it.
   * @throws NatError NAT_ERR_ARGUMENT, NAT_ERR_CLOSED; NAT_ERR_SNAPSHOT from the chunks, when the config was changed
   * since the first one: take another
   * @example
   * const snapshot = Buffer.concat([...nat.conntrack.snapshot()]);
   */
  snapshot({ now = this.#clock(), wall = Date.now() }: SnapshotTime = {}): IterableIterator<Uint8Array> {
    checkTime(now);
    checkTime(wall, "wall");
    return wrapSnapshot(wall, this.#records(now));
  }

  /**
   * Brings sessions back: with the public endpoint that they had, where the config in force allows it and nobody has
   * it yet, TCP's windows, what was counted, and the time that they had left, less what has passed since. Sessions
   * that there are already stay. Blocks and limits of hosts count as ever, rates don't.
   *
   * A million take less than a second or two, in turns with a gateway's thread; better before packets come, as new
   * sessions may take the ports of old ones.
   * @param snapshot all chunks, one behind the other
   * @throws NatError NAT_ERR_SNAPSHOT when it is cut, damaged or no snapshot of this version: then nothing is changed;
   * NAT_ERR_ARGUMENT, NAT_ERR_CLOSED
   */
  restore(snapshot: Uint8Array, { now = this.#clock(), wall = Date.now() }: SnapshotTime = {}): Restored {
    checkTime(now);
    checkTime(wall, "wall");
    if (!(snapshot instanceof Uint8Array)) {
      throw new NatError("NAT_ERR_ARGUMENT", "snapshot: expected a Uint8Array with all of its chunks");
    }
    const engine = this.#engine;
    engine.pending(); // throws first when closed
    const { wall: then, records } = unwrapSnapshot(snapshot);
    const passed = Math.max(0, wall - then);
    const sum = { restored: 0, expired: 0, refused: 0 };
    // A binding's first session says what it is; the others join it.
    for (const first of [true, false]) {
      for (let at = 0; at < records.length; ) {
        const [bytes, restored, expired, refused] = engine.restore(records.subarray(at), first, now, passed);
        if (bytes === 0) break; // less than a record is left
        at += bytes;
        sum.restored += restored;
        sum.expired += expired;
        sum.refused += refused;
      }
    }
    return sum;
  }

  /** @internal The config was changed: sessions have other slots. */
  renumbered(): void {
    this.#changes++;
  }

  *#records(now: number): Generator<Uint8Array> {
    const changes = this.#changes;
    const room = new Uint8Array(CHUNK);
    let slot = 0;
    do {
      if (changes !== this.#changes) {
        throw new NatError("NAT_ERR_SNAPSHOT", "the config was changed while the snapshot was taken");
      }
      const [bytes, next] = this.#engine.save(slot, now, room);
      slot = next;
      if (bytes > 0) yield room.slice(0, bytes);
    } while (slot !== 0);
  }

  /** @internal The `Nat` is closed. */
  close(): void {
    this.stopSweeping();
    this.endEvents();
    this.#engine = closedEngine;
  }

  #locate({ protocol, inside, remote }: SessionKey): boolean {
    const remotePort = protocol === "icmp" ? 0 : portOf(remote, "remote");
    return this.#engine.find(
      protocolNumber(protocol),
      addressOf(inside, "inside"),
      portOf(inside, "inside"),
      addressOf(remote, "remote"),
      remotePort,
      this.#row,
    );
  }
}

/** @internal An endpoint's address as a number. @throws NatError NAT_ERR_ARGUMENT */
export function addressOf(endpoint: SessionEndpoint, name: string): number {
  const value = typeof endpoint?.address === "string" ? parseIpv4(endpoint.address) : null;
  if (value !== null) return value;
  throw new NatError(
    "NAT_ERR_ARGUMENT",
    `${name}.address: ${JSON.stringify(endpoint?.address)} is no IPv4 address such as "192.168.226.135"`,
  );
}

/** @internal Its port. @throws NatError NAT_ERR_ARGUMENT */
export function portOf(endpoint: SessionEndpoint, name: string): number {
  const value = endpoint?.port;
  if (Number.isInteger(value) && value >= 0 && value <= 65535) return value;
  throw new NatError("NAT_ERR_ARGUMENT", `${name}.port: ${JSON.stringify(value)} is not from 0 to 65535`);
}

/** Times are finite ms between the years -285 and 2255, so that nanoseconds fit 63 bits. */
const FARTHEST = 9e12;

/** @throws NatError NAT_ERR_ARGUMENT unless `now` is a usable time in ms */
export function checkTime(now: number, name = "now"): void {
  if (typeof now === "number" && now >= -FARTHEST && now <= FARTHEST) return;
  throw new NatError(
    "NAT_ERR_ARGUMENT",
    `${name}: ${String(now)} is not a time in ms (a finite number up to 9e12)`,
  );
}

/** Where `sessionsActive` is among the counters (native/nat/stats.h). */
const ACTIVE = 21;
