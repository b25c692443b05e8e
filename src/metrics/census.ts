// What a NAT holds now, by kind: sessions by protocol and state, ports by public address. The tables are looked
// through a part at a time, so that neither packets nor others in this thread wait for a large one.
import { setImmediate as turn } from "node:timers/promises";
import { formatIpv4 } from "../config/cidr.js";
import { protocolName, type SessionProtocol } from "../conntrack.js";
import { engineOf, type Nat } from "../nat.js";
import { LAYOUT, TCP_PHASES, type TcpPhase } from "../native.js";

/** Sessions of a kind, those included that are due but not yet swept. */
export interface SessionCount {
  readonly protocol: SessionProtocol;
  /** Null for other protocols than TCP, and for what only stands for an explicit mapping. */
  readonly state: TcpPhase | null;
  readonly count: number;
}

/** What is in use of a public address that ports are handed out of. */
export interface PortUse {
  readonly address: string;
  /** That can be handed out, of each protocol. */
  readonly ports: number;
  /** Of those, by protocol; ports that rest are not in use. */
  readonly used: Readonly<Record<PortProtocol, number>>;
  /** That can be given to hosts (`portAssignment.blockSize`). */
  readonly blocks: number;
  /** Given, or at rest before another host gets it. */
  readonly blocksUsed: number;
}

/** Protocols that have public ports of their own, in the order of native/nat/config.h. */
export const PORT_PROTOCOLS = ["tcp", "udp", "icmp", "udplite", "dccp", "gre"] as const;
export type PortProtocol = (typeof PORT_PROTOCOLS)[number];

/** Ports that are told of together by {@link portRanges}. */
export const PORT_RANGE = 1024;
const RANGES = 65536 / PORT_RANGE;

/** Ports in use of a public address by protocol: of each range of {@link PORT_RANGE} ports how many. */
export type PortRanges = Readonly<Record<PortProtocol, readonly number[]>>;

/** Addresses at a time: each has its pages looked at, which the system may have to bring first. */
const ROWS = 16;

/**
 * How many sessions there are of each kind; kinds that there are none of are left out. Sessions that come or go
 * meanwhile may be missed.
 * @throws NatError NAT_ERR_CLOSED
 */
export async function countSessions(nat: Nat): Promise<SessionCount[]> {
  const counts = new Float64Array(LAYOUT.sessionKinds);
  for (let next = engineOf(nat).countSessions(0, counts); next !== 0; ) {
    await turn();
    next = engineOf(nat).countSessions(next, counts);
  }
  const all = Array.from(counts, (count, kind): SessionCount => {
    const state = TCP_PHASES[kind];
    return state === undefined
      ? { protocol: protocolName(kind - TCP_PHASES.length), state: null, count }
      : { protocol: "tcp", state, count };
  });
  return all.filter(({ count }) => count > 0);
}

/** What is in use of each address of the pool. @throws NatError NAT_ERR_CLOSED */
export async function portUse(nat: Nat): Promise<PortUse[]> {
  const all: PortUse[] = [];
  const rows = new Float64Array(LAYOUT.portFields * ROWS);
  for (let from = 0; ; ) {
    const [filled, next] = engineOf(nat).readPorts(from, rows);
    for (let row = 0; row < filled; row++) {
      const [address, ports, blocks, blocksUsed, ...used] = rows.subarray(
        row * LAYOUT.portFields,
        (row + 1) * LAYOUT.portFields,
      ) as unknown as [number, number, number, number, ...number[]];
      const byProtocol = Object.fromEntries(PORT_PROTOCOLS.map((name, space) => [name, used[space]!]));
      all.push({
        address: formatIpv4(address),
        ports,
        used: byProtocol as Record<PortProtocol, number>,
        blocks,
        blocksUsed,
      });
    }
    if (next === 0) return all;
    from = next;
    await turn();
  }
}

/**
 * Which ports are in use of an address of the pool, by its number in {@link portUse}; null when there is none any more.
 * @throws NatError NAT_ERR_CLOSED
 */
export function portRanges(nat: Nat, address: number): PortRanges | null {
  const ranges = new Float64Array(PORT_PROTOCOLS.length * RANGES);
  if (!engineOf(nat).readPortRanges(address, ranges)) return null;
  const of = (space: number) => Array.from(ranges.subarray(space * RANGES, (space + 1) * RANGES));
  return Object.fromEntries(PORT_PROTOCOLS.map((name, space) => [name, of(space)])) as unknown as PortRanges;
}
