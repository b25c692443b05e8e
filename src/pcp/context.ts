// One request's surroundings: who asks, when, and how mappings are made for either protocol.
import type { SessionEndpoint } from "../conntrack.js";
import type { Grant, InsideEndpoint, Refusal, RemoteFilter } from "../explicit-mappings.js";
import type { Nat } from "../nat.js";
import type { Ledger } from "./ledger.js";

/** UDP ports of the control protocols themselves, which no mapping may have (RFC 6887, section 11.3). */
const CONTROL_PORTS: readonly number[] = [5350, 5351];
const ANY_ADDRESS = "0.0.0.0";

export interface Demand {
  endpoint: InsideEndpoint;
  /** As in {@link Entry}. */
  owner: string;
  seconds: number;
  outside?: Partial<SessionEndpoint>;
  exact?: boolean;
  remotes?: readonly RemoteFilter[] | undefined;
}

export class Context {
  constructor(
    readonly nat: Nat,
    readonly ledger: Ledger,
    /** The address of who asks. */
    readonly client: string,
    /** ms */
    readonly now: number,
    /** Seconds since the server began, or lost what it had. */
    readonly epoch: number,
    /** Seconds. */
    private readonly lifetimes: { readonly min: number; readonly max: number },
  ) {}

  /** A requested lifetime within what the server grants, in ms. */
  milliseconds(seconds: number): number {
    return 1000 * Math.min(Math.max(seconds, this.lifetimes.min), this.lifetimes.max);
  }

  /** Whole seconds that are left, to the millisecond: a clock's fractions are not exact. */
  secondsUntil(time: number): number {
    return Math.floor(Math.round(time - this.now) / 1000);
  }

  /** Makes or renews a mapping, and remembers whose it is. */
  grant(demand: Demand): Grant | Refusal {
    const { endpoint, owner, remotes } = demand;
    const granted = this.#request(demand);
    if (granted.reason === null && !granted.permanent) {
      this.ledger.set({ endpoint, owner, remotes, expiresAt: granted.expiresAt }, this.now);
    }
    return granted;
  }

  release(endpoint: InsideEndpoint): void {
    this.nat.mappings.release(endpoint);
    this.ledger.delete(endpoint);
  }

  #request({ endpoint, seconds, outside = {}, exact = false, remotes }: Demand): Grant | Refusal {
    const { address = ANY_ADDRESS, port = 0 } = outside;
    const controls = (granted: { outside: SessionEndpoint }) =>
      endpoint.protocol === "udp" && CONTROL_PORTS.includes(granted.outside.port);
    const ask = (wished: SessionEndpoint, only: boolean) =>
      this.nat.mappings.request(
        {
          ...endpoint,
          lifetime: this.milliseconds(seconds),
          outside: wished,
          exact: only,
          ...(remotes === undefined ? {} : { remotes }),
        },
        this.now,
      );
    if (exact && controls({ outside: { address, port } })) {
      return { reason: "ports-exhausted", outside: null };
    }
    const granted = ask({ address, port }, exact);
    if (granted.reason !== null || granted.permanent || !controls(granted)) return granted;
    // By chance or by preservation: one of the next ports instead.
    this.nat.mappings.release(endpoint);
    for (let other = 5352; other < 5352 + 64; other++) {
      const instead = ask({ address: granted.outside.address, port: other }, true);
      if (instead.reason === null) return instead;
    }
    return { reason: "ports-exhausted", outside: null };
  }
}
