// How a gateway fares, in one object for people and programs.
import type { NatStats } from "../stats.js";
import type { CaptureCounts } from "../tap/capture.js";
import type { GatewayStats } from "./stats.js";

interface StatusOfSide {
  readonly interface: string;
  /** The gateway's own address. */
  readonly address: string;
  /** Whether the interface is up, while the gateway runs. */
  readonly up: boolean;
  /** Stations whose hardware address is known. */
  readonly neighbours: number;
}

/** How a gateway fares. */
export interface GatewayStatus {
  readonly running: boolean;
  /** Seconds since the start. */
  readonly uptime: number;
  readonly inside: StatusOfSide;
  readonly outside: StatusOfSide & { readonly public: readonly string[] };
  readonly nat: NatStats;
  readonly gateway: GatewayStats | null;
  /** The capture that the config has begun, and where it is now; null: there is none. */
  readonly capture: (CaptureCounts & { readonly file: string }) | null;
}
