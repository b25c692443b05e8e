// Who uses a NAT most, now: sessions, inside hosts and remotes by what they send and get, between one look at the
// table and the next. A look takes as long as the table is large; it is taken a part at a time, so that nobody waits
// for it, and not so often that it would take more than a tenth of this thread.
import { setImmediate as turn, setTimeout as wait } from "node:timers/promises";
import { monotonicNow } from "../clock.js";
import { formatIpv4 } from "../config/cidr.js";
import type { Nat } from "../nat.js";
import { FIELD, sessionAt } from "../session.js";
import { BusyError } from "./busy.js";
import { sessionFilter } from "./session-filter.js";
import { First } from "./session-order.js";
import { type ToldSession, toldSession } from "./told-session.js";

/** What goes through by direction, in bits and packets a second. */
export interface Rate {
  readonly outbound: number;
  readonly inbound: number;
  readonly packets: number;
}

/** A session with what went through it since the look before. */
export type TopSession = ToldSession & { readonly rate: Rate };

/** All sessions of an address. */
export interface TopAddress {
  readonly address: string;
  readonly sessions: number;
  readonly rate: Rate;
}

/** What a look at the table has found. */
export interface Top {
  /** Seconds since the look before, which rates are of; 0: there was none, so that all rates are 0. */
  readonly seconds: number;
  /** How many sessions fit. */
  readonly fitting: number;
  /** The first in the order that was asked for. */
  readonly sessions: readonly TopSession[];
  /** Inside hosts and remotes with the highest rates; of equal ones those with the most sessions. */
  readonly hosts: readonly TopAddress[];
  readonly remotes: readonly TopAddress[];
}

/** By what the sessions of a top can be sorted. */
export const TOP_ORDERS = ["rate", "bytes", "packets", "age", "idle", "expires"] as const;
export type TopOrder = (typeof TOP_ORDERS)[number];

export interface TopQuery {
  /** Terms of {@link sessionFilter}. */
  readonly filter: readonly string[];
  readonly sort: TopOrder;
  /** How many of each, at most. */
  readonly limit: number;
}

/** Sessions looked at before others get their turn. */
const AT_A_TIME = 1024;

/** What is kept of each slot from one look to the next. */
const KEPT = 4;
const [KEPT_CREATED, KEPT_OUT, KEPT_IN, KEPT_PACKETS] = [0, 1, 2, 3] as const;
/** Sessions say when they were made to 134 ms. */
const CREATED_STEP = 135;

/** Of the time, looks take a tenth at most. */
const SHARE = 10;
/** Milliseconds that an answer is good for others who ask the same. */
const FRESH = 500;
/** Milliseconds after which what is kept is forgotten, when nobody has asked. */
const FORGET_AFTER = 10_000;
/** Who may wait for a look of his own. */
const MOST_WAITING = 8;

/** How many of each can be asked for. */
export const MOST_TOP = 100;

/** What went through since the look before. */
interface Passed {
  outbound: number;
  inbound: number;
  packets: number;
}

interface Sum extends Passed {
  sessions: number;
}

/** What comes first has the largest of these numbers; the same orders as {@link SESSION_ORDERS}. */
const WEIGHTS: Readonly<Record<TopOrder, (row: Float64Array, passed: Passed) => number>> = {
  rate: (_row, { outbound, inbound }) => outbound + inbound,
  bytes: (row) => row[FIELD.bytesOut]! + row[FIELD.bytesIn]!,
  packets: (row) => row[FIELD.packetsOut]! + row[FIELD.packetsIn]!,
  age: (row) => -row[FIELD.createdAt]!,
  idle: (row) => -row[FIELD.lastSeen]!,
  expires: (row) => -row[FIELD.expiresAt]!,
};

/** Tells who uses a NAT most. */
export class TopReader {
  readonly #nat: Nat;
  readonly #clock: () => number;
  /** By slot, `KEPT` numbers each. */
  #kept = new Float64Array(0);
  #lookedAt: number | null = null;
  #notBefore = 0;
  #waiting = 0;
  #last: Promise<unknown> = Promise.resolve();
  readonly #answers = new Map<string, { readonly until: number; readonly top: Promise<Top> }>();
  #forget: NodeJS.Timeout | undefined;

  /** @param clock that of the NAT's packets, in ms */
  constructor(nat: Nat, clock = monotonicNow) {
    this.#nat = nat;
    this.#clock = clock;
  }

  /**
   * What there is now; several who ask the same at about the same time get the same.
   * @throws NatError NAT_ERR_ARGUMENT for terms that say nothing
   * @throws BusyError when too many ask different things
   */
  read(query: TopQuery): Promise<Top> {
    const key = JSON.stringify(query);
    const now = performance.now();
    for (const [one, { until }] of this.#answers) if (until < now) this.#answers.delete(one);
    const known = this.#answers.get(key);
    if (known !== undefined) return known.top;
    const fits = query.filter.length === 0 ? null : sessionFilter(query.filter);
    if (this.#waiting >= MOST_WAITING) {
      throw new BusyError(`${this.#waiting} others wait for an answer; ask again later`);
    }
    this.#waiting++;
    const top = this.#last.then(async () => {
      try {
        await wait(Math.max(0, this.#notBefore - performance.now()));
        return await this.#look(query, fits);
      } finally {
        this.#waiting--;
      }
    });
    this.#last = top.catch(() => {});
    const answer = { until: Number.POSITIVE_INFINITY, top };
    this.#answers.set(key, answer);
    const settled = () => {
      if (this.#answers.get(key) === answer)
        this.#answers.set(key, { until: performance.now() + FRESH, top });
    };
    top.then(settled, () => this.#answers.delete(key));
    return top;
  }

  async #look({ sort, limit }: TopQuery, fits: ReturnType<typeof sessionFilter> | null): Promise<Top> {
    let busy = 0;
    let since = performance.now();
    /** Lets others have their turn. */
    const pause = async () => {
      busy += performance.now() - since;
      await turn();
      since = performance.now();
    };
    const now = this.#clock();
    const before = this.#lookedAt;
    const seconds = before === null ? 0 : (now - before) / 1000;
    this.#lookedAt = now;
    const rateOf = ({ outbound, inbound, packets }: Passed): Rate =>
      seconds === 0
        ? NO_RATE
        : {
            outbound: (8 * outbound) / seconds,
            inbound: (8 * inbound) / seconds,
            packets: packets / seconds,
          };

    const first = new First<TopSession>(limit, true);
    const hosts = new Map<number, Sum>();
    const remotes = new Map<number, Sum>();
    const passed = { outbound: 0, inbound: 0, packets: 0 };
    const weigh = WEIGHTS[sort];
    let looked = 0;
    let fitting = 0;
    for (const row of this.#nat.conntrack.rows()) {
      if (++looked % AT_A_TIME === 0) await pause();
      this.#passed(row, before, passed);
      if (fits !== null && !fits(sessionAt(row), now)) continue;
      fitting++;
      add(hosts, row[FIELD.inside]!, passed);
      add(remotes, row[FIELD.remote]!, passed);
      const weight = weigh(row, passed);
      if (first.takes(weight)) {
        first.add(weight, { ...toldSession(sessionAt(row), now), rate: rateOf(passed) });
      }
    }
    const best = async (sums: ReadonlyMap<number, Sum>): Promise<TopAddress[]> => {
      const chosen = new First<TopAddress>(limit, true);
      let seen = 0;
      for (const [address, sum] of sums) {
        if (++seen % AT_A_TIME === 0) await pause();
        // Where nothing went through, sessions decide; they never outweigh a byte.
        const weight = sum.outbound + sum.inbound + sum.sessions / 2 ** 32;
        if (!chosen.takes(weight)) continue;
        chosen.add(weight, { address: formatIpv4(address >>> 0), sessions: sum.sessions, rate: rateOf(sum) });
      }
      return chosen.all();
    };
    const top: Top = {
      seconds,
      fitting,
      sessions: first.all(),
      hosts: await best(hosts),
      remotes: await best(remotes),
    };
    await pause();
    this.#notBefore = since + (SHARE - 1) * busy;
    clearTimeout(this.#forget);
    this.#forget = setTimeout(() => this.#reset(), FORGET_AFTER).unref();
    return top;
  }

  /** What went through a session since the look before, and keeps what there is now. */
  #passed(row: Float64Array, before: number | null, passed: Passed): void {
    const slot = row[FIELD.slot]! * KEPT;
    if (slot >= this.#kept.length) this.#grow(slot + KEPT);
    const kept = this.#kept;
    const created = row[FIELD.createdAt]!;
    const outbound = row[FIELD.bytesOut]!;
    const inbound = row[FIELD.bytesIn]!;
    const packets = row[FIELD.packetsOut]! + row[FIELD.packetsIn]!;
    const isSame = kept[slot + KEPT_CREATED] === created && kept[slot + KEPT_OUT]! <= outbound;
    passed.outbound = passed.inbound = passed.packets = 0;
    if (isSame) {
      passed.outbound = outbound - kept[slot + KEPT_OUT]!;
      passed.inbound = Math.max(0, inbound - kept[slot + KEPT_IN]!);
      passed.packets = Math.max(0, packets - kept[slot + KEPT_PACKETS]!);
    } else if (before !== null && created + CREATED_STEP >= before) {
      // It is new. One that is not had another slot before, as after a change of config: nobody knows.
      passed.outbound = outbound;
      passed.inbound = inbound;
      passed.packets = packets;
    }
    kept[slot + KEPT_CREATED] = created;
    kept[slot + KEPT_OUT] = outbound;
    kept[slot + KEPT_IN] = inbound;
    kept[slot + KEPT_PACKETS] = packets;
  }

  #grow(length: number): void {
    const larger = new Float64Array(Math.max(length, 2 * this.#kept.length, KEPT * 1024));
    larger.fill(Number.NaN);
    larger.set(this.#kept);
    this.#kept = larger;
  }

  #reset(): void {
    this.#kept = new Float64Array(0);
    this.#lookedAt = null;
    this.#answers.clear();
  }
}

const NO_RATE: Rate = { outbound: 0, inbound: 0, packets: 0 };

/** @param address as a signed number it is no object of its own in a Map */
function add(sums: Map<number, Sum>, address: number, { outbound, inbound, packets }: Passed): void {
  const sum = sums.get(address | 0);
  if (sum === undefined) {
    sums.set(address | 0, { sessions: 1, outbound, inbound, packets });
    return;
  }
  sum.sessions++;
  sum.outbound += outbound;
  sum.inbound += inbound;
  sum.packets += packets;
}
