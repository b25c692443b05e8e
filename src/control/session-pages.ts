// Sessions by the page: filtered and sorted here, so that a page asks only for the rows that it shows.
//
// What is kept is an order: the slots of all sessions that fit, sorted. It is made in parts, holds for a second or ten
// times as long as that took, and there are few. Rows are read when they are asked for, so their figures are of now.
import { setImmediate as turn } from "node:timers/promises";
import type { SessionKey } from "../conntrack.js";
import { NatError } from "../errors.js";
import type { Nat } from "../nat.js";
import { FIELD, type Session, type SessionEndpoint, type SessionProtocol, sessionAt } from "../session.js";
import { BusyError } from "./busy.js";
import { sessionFilter } from "./session-filter.js";
import { Shared } from "./shared.js";
import { orderOf } from "./sort.js";
import { type ToldSession, toldSession } from "./told-session.js";

/** Orders that are kept, milliseconds that one holds at least, and that an old one will do. */
const MOST_ORDERS = 8;
const HOLDS = 1000;
const GRACE = 30_000;
/** Orders that may be waited for. */
const MOST_WAITING = 16;
/** Rows and pins that one may ask for. */
const MOST_ROWS = 500;
const MOST_PINS = 32;
/** Sessions looked at before others get their turn. */
const AT_A_TIME = 1024;

const endpointKey = (field: number) => (row: Float64Array) => row[field]! * 65536 + row[field + 1]!;
const sumOf = (one: number, other: number) => (row: Float64Array) => row[one]! + row[other]!;

/** What sessions are sorted by, from their rows. */
export const SORT_KEYS = {
  protocol: (row) => row[FIELD.protocol]!,
  inside: endpointKey(FIELD.inside),
  public: endpointKey(FIELD.public),
  remote: endpointKey(FIELD.remote),
  state: (row) => row[FIELD.phase]!,
  packets: sumOf(FIELD.packetsOut, FIELD.packetsIn),
  bytes: sumOf(FIELD.bytesOut, FIELD.bytesIn),
  age: (row) => -row[FIELD.createdAt]!,
  idle: (row) => -row[FIELD.lastSeen]!,
  ends: (row) => row[FIELD.expiresAt]!,
} satisfies Record<string, (row: Float64Array) => number>;
export type SortKey = keyof typeof SORT_KEYS;

/** Which part of which sessions. */
export interface PageRequest {
  /** Words of {@link sessionFilter}. */
  readonly terms: readonly string[];
  readonly sort: SortKey;
  readonly descending: boolean;
  readonly from: number;
  readonly count: number;
  /** Sessions to tell of in any case, as {@link sessionKey} reads them. */
  readonly pins: readonly string[];
}

export interface SessionPage {
  /** Milliseconds, by a clock that only goes forward. */
  readonly at: number;
  /** How many fit. */
  readonly total: number;
  readonly from: number;
  /** null: it has ended since. */
  readonly sessions: readonly (ToldSession | null)[];
  /** In the order that they were asked for; null: there is none now. */
  readonly pinned: readonly (ToldSession | null)[];
}

export class SessionPages {
  readonly #nat: Nat;
  /** By filter and sort; the one asked for last comes last. */
  readonly #orders = new Map<string, Shared<Uint32Array>>();
  #waiting = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(nat: Nat) {
    this.#nat = nat;
  }

  /**
   * A part of all sessions that fit.
   * @throws NatError NAT_ERR_ARGUMENT
   * @throws BusyError
   */
  async page({ terms, sort, descending, from, count, pins }: PageRequest): Promise<SessionPage> {
    if (pins.length > MOST_PINS)
      throw new NatError("NAT_ERR_ARGUMENT", `pin: ${pins.length} are more than ${MOST_PINS}`);
    const fits = sessionFilter(terms);
    const keys = pins.map(sessionKey);
    const order = await this.#order(JSON.stringify([terms, sort, descending]), () =>
      this.#sort(terms.length === 0 ? null : fits, SORT_KEYS[sort], descending),
    );
    const now = performance.now();
    const { conntrack } = this.#nat;
    const tell = (session: Session | null) => (session === null ? null : toldSession(session, now));
    const slots = order.subarray(from, from + Math.min(count, MOST_ROWS));
    // A slot may be another session's since.
    const rows = Array.from(slots, (slot) => conntrack.at(slot)).map((one) =>
      one !== null && fits(one) ? one : null,
    );
    return {
      at: now,
      total: order.length,
      from,
      sessions: rows.map(tell),
      pinned: keys.map((key) => tell(conntrack.find(key))),
    };
  }

  #order(name: string, make: () => Promise<Uint32Array>): Promise<Uint32Array> {
    let order = this.#orders.get(name);
    if (order === undefined) {
      order = new Shared(() => this.#inTurn(make), { least: HOLDS, grace: GRACE });
    } else {
      this.#orders.delete(name);
    }
    this.#orders.set(name, order);
    for (const oldest of this.#orders.keys()) {
      if (this.#orders.size <= MOST_ORDERS) break;
      this.#orders.delete(oldest);
    }
    return order.get();
  }

  /** One after the other. */
  async #inTurn<T>(make: () => Promise<T>): Promise<T> {
    if (this.#waiting >= MOST_WAITING)
      throw new BusyError("too many filters at a time; try again in a moment");
    this.#waiting++;
    const made = this.#last.then(make);
    this.#last = made
      .catch(() => {})
      .finally(() => {
        this.#waiting--;
      });
    return made;
  }

  async #sort(
    fits: ((session: Session) => boolean) | null,
    keyOf: (row: Float64Array) => number,
    descending: boolean,
  ): Promise<Uint32Array> {
    const slots: number[] = [];
    const keys: number[] = [];
    let looked = 0;
    for (const row of this.#nat.conntrack.rows()) {
      if (++looked % AT_A_TIME === 0) await turn();
      if (fits !== null && !fits(sessionAt(row))) continue;
      slots.push(row[FIELD.slot]!);
      keys.push(descending ? -keyOf(row) : keyOf(row));
    }
    const order = await orderOf(new Float64Array(keys));
    for (let i = 0; i < order.length; i++) order[i] = slots[order[i]!]!;
    return order;
  }
}

/**
 * What names a session, from "tcp 192.168.226.135:4000 203.0.113.8:80".
 * @throws NatError NAT_ERR_ARGUMENT
 */
export function sessionKey(text: string): SessionKey {
  const [protocol = "", inside, remote, ...more] = text.trim().split(/\s+/);
  const [from, to] = [endpointOf(inside), endpointOf(remote)];
  if (from === null || to === null || more.length > 0) {
    throw new NatError(
      "NAT_ERR_ARGUMENT",
      `"${text}" names no session; give its protocol, inside and remote endpoint, as "tcp 192.168.226.135:4000 203.0.113.8:80"`,
    );
  }
  return { protocol: protocol as SessionProtocol, inside: from, remote: to };
}

function endpointOf(text = ""): SessionEndpoint | null {
  const [, address, port] = /^([0-9.]{7,15}):([0-9]{1,5})$/.exec(text) ?? [];
  return address === undefined ? null : { address, port: Number(port) };
}
