// What a page shows of a gateway, read at one moment: one reading for all pages that are open.
import type { SessionProtocol } from "../conntrack.js";
import type { Gateway } from "../gateway/gateway.js";
import { tellNotices } from "../gateway/notices.js";
import type { GatewayStatus } from "../gateway/status.js";
import {
  countSessions,
  type PortRanges,
  type PortUse,
  portRanges,
  portUse,
  type SessionCount,
} from "../metrics/census.js";
import { packageVersion } from "../version.js";
import { Shared } from "./shared.js";

/** Milliseconds that counters hold, and that a look at the tables does. */
const COUNTERS_HOLD = 80;
const CENSUS_HOLDS = 1000;
/** Public addresses told of: the fullest. */
const MOST_ADDRESSES = 256;
/** Of those, the ones whose ports are told of by ranges. */
const MOST_MAPPED = 16;
/** Notices that are kept. */
const MOST_NOTICES = 50;

/** Something that people may want to know. */
export interface Notice {
  /** By the wall clock, ms. */
  readonly at: number;
  readonly text: string;
}

/** What is in use of a public address; of the fullest also where. */
export type AddressUse = PortUse & { readonly ranges: PortRanges | null };

export interface Reading {
  /** Milliseconds, by a clock that only goes forward: for rates. */
  readonly at: number;
  /** The wall clock's. */
  readonly wall: number;
  readonly version: string;
  readonly status: GatewayStatus;
  /** The most sessions that there may be; 0: no limit. */
  readonly sessionsLimit: number;
  readonly sessions: readonly SessionCount[];
  /** The fullest public addresses. */
  readonly ports: readonly AddressUse[];
  /** How many public addresses there are. */
  readonly addresses: number;
  /** The latest comes first. */
  readonly notices: readonly Notice[];
}

export type { GatewayStatus, PortUse, SessionCount, SessionProtocol };

/** Reads a gateway for pages. */
export class Readings {
  readonly #gateway: Gateway;
  readonly #notices: Notice[] = [];
  readonly #census: Shared<Pick<Reading, "sessions" | "ports" | "addresses">>;
  readonly #reading: Shared<string>;

  constructor(gateway: Gateway) {
    this.#gateway = gateway;
    this.#census = new Shared(() => this.#count(), { least: CENSUS_HOLDS });
    this.#reading = new Shared(() => this.#read(), { least: COUNTERS_HOLD });
    tellNotices(gateway, ({ text }) => {
      this.#notices.unshift({ at: Date.now(), text });
      this.#notices.length = Math.min(this.#notices.length, MOST_NOTICES);
    });
  }

  /** A {@link Reading} as JSON, of a tenth of a second ago at most. @throws NatError NAT_ERR_CLOSED */
  get(): Promise<string> {
    return this.#reading.get();
  }

  async #read(): Promise<string> {
    const census = await this.#census.get();
    const { status, nat } = this.#gateway;
    const reading: Reading = {
      at: performance.now(),
      wall: Date.now(),
      version: packageVersion(),
      status: {
        ...status,
        outside: { ...status.outside, public: status.outside.public.slice(0, MOST_ADDRESSES) },
      },
      sessionsLimit: nat.config.limits.sessions,
      ...census,
      notices: this.#notices,
    };
    return JSON.stringify(reading);
  }

  async #count(): Promise<Pick<Reading, "sessions" | "ports" | "addresses">> {
    const { nat } = this.#gateway;
    const [sessions, all] = [await countSessions(nat), await portUse(nat)];
    const fullness = ({ used }: PortUse) => Math.max(...Object.values(used));
    const fullest = all.map((use, number) => ({ use, number }));
    if (all.length > MOST_MAPPED) fullest.sort((a, b) => fullness(b.use) - fullness(a.use));
    const ports = fullest.slice(0, MOST_ADDRESSES).map(({ use, number }, place) => ({
      ...use,
      ranges: place < MOST_MAPPED ? portRanges(nat, number) : null,
    }));
    return { sessions, ports, addresses: all.length };
  }
}
