import { LAYOUT } from "./native.js";
import { DIRECTIONS, type DropReason, REASONS } from "./verdict.js";

/** What a `Nat` has counted since it was made. in = out + all drops + held. */
export interface NatStats {
  readonly packets: {
    readonly in: number;
    /** Forwarded or passed, released fragments included. */
    readonly out: number;
    /** Of `out`: left untouched. */
    readonly passed: number;
    /** Fragments that wait now for their first one. */
    readonly held: number;
    /** By direction; "none" for packets that concern neither side. */
    readonly outbound: number;
    readonly inbound: number;
    readonly hairpin: number;
    /** ICMP errors that the NAT sent itself; not in `out`. */
    readonly originated: number;
    /** Of `out`: too big for the MTU of where they went, so that they went in pieces. */
    readonly fragmented: number;
    /** How many pieces those became. */
    readonly pieces: number;
  };
  /** Bytes handed in and out, captured lengths; of those handed in, by direction. */
  readonly bytes: {
    readonly in: number;
    readonly out: number;
    readonly outbound: number;
    readonly inbound: number;
    readonly hairpin: number;
  };
  /** Forwarded packets. */
  readonly protocols: {
    readonly tcp: number;
    readonly udp: number;
    readonly icmp: number;
    /** Of the transports that `protocols` switches on. */
    readonly other: number;
  };
  readonly sessions: {
    readonly created: number;
    readonly expired: number;
    /** By `conntrack.delete` or `reconfigure`. */
    readonly deleted: number;
    /** To make room for new ones (`limits.whenFull`). */
    readonly evicted: number;
    readonly active: number;
    /** The most at one time. */
    readonly peak: number;
  };
  readonly events: {
    /** Recorded, but lost: nobody took them in time. */
    readonly lost: number;
  };
  /** Dropped packets by reason; reasons that never occurred are left out. */
  readonly drops: Readonly<Partial<Record<DropReason, number>>>;
}

// The order of native/nat/stats.h.
const AT = {
  in: 0,
  bytesIn: 1,
  out: 2,
  bytesOut: 3,
  passed: 4,
  held: 5,
  directions: 6,
  protocols: 14,
} as const;
const SESSIONS = 18;
const ORIGINATED = 24;
const EVENTS_LOST = 27;
const DROPS = LAYOUT.counters - REASONS.length;

/** @internal */
export function newCounters(): Float64Array {
  return new Float64Array(LAYOUT.counters);
}

/** @internal The sum of what several have counted. */
export function merged(all: readonly Float64Array[]): Float64Array {
  const sum = newCounters();
  for (const counters of all) {
    for (let i = 0; i < sum.length; i++) sum[i]! += counters[i]!;
  }
  return sum;
}

/** A packet from outside that came in; one between shards has been counted before. */
function addInbound(counters: Float64Array, bytes: number, isNew: boolean): void {
  if (!isNew) return;
  const inbound = DIRECTIONS.indexOf("inbound");
  counters[AT.in]!++;
  counters[AT.bytesIn]! += bytes;
  counters[AT.directions + inbound]!++;
  counters[AT.directions + DIRECTIONS.length + inbound]! += bytes;
}

/** @internal Counts a packet that was dropped before a shard saw it. */
export function addDrop(counters: Float64Array, bytes: number, reason: DropReason, isNew: boolean): void {
  addInbound(counters, bytes, isNew);
  counters[DROPS + REASONS.indexOf(reason)]!++;
}

/** @internal Counts a fragment that waits before a shard sees it. */
export function addWaiting(counters: Float64Array, bytes: number, isNew: boolean): void {
  addInbound(counters, bytes, isNew);
  counters[AT.held]!++;
}

/** Gives the core's counters their names. */
export function statsOf(counters: Float64Array): NatStats {
  const at = (index: number) => counters[index] ?? 0;
  const direction = (name: (typeof DIRECTIONS)[number]) => at(AT.directions + DIRECTIONS.indexOf(name));
  const bytes = (name: (typeof DIRECTIONS)[number]) =>
    at(AT.directions + DIRECTIONS.length + DIRECTIONS.indexOf(name));
  const drops: Partial<Record<DropReason, number>> = {};
  REASONS.forEach((reason, index) => {
    if (reason !== "none" && at(DROPS + index) > 0) drops[reason] = at(DROPS + index);
  });
  return {
    packets: {
      in: at(AT.in),
      out: at(AT.out),
      passed: at(AT.passed),
      held: at(AT.held),
      outbound: direction("outbound"),
      inbound: direction("inbound"),
      hairpin: direction("hairpin"),
      originated: at(ORIGINATED),
      fragmented: at(ORIGINATED + 1),
      pieces: at(ORIGINATED + 2),
    },
    bytes: {
      in: at(AT.bytesIn),
      out: at(AT.bytesOut),
      outbound: bytes("outbound"),
      inbound: bytes("inbound"),
      hairpin: bytes("hairpin"),
    },
    protocols: {
      tcp: at(AT.protocols),
      udp: at(AT.protocols + 1),
      icmp: at(AT.protocols + 2),
      other: at(AT.protocols + 3),
    },
    sessions: {
      created: at(SESSIONS),
      expired: at(SESSIONS + 1),
      deleted: at(SESSIONS + 2),
      active: at(SESSIONS + 3),
      peak: at(SESSIONS + 4),
      evicted: at(SESSIONS + 5),
    },
    events: { lost: at(EVENTS_LOST) },
    drops,
  };
}
