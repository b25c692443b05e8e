// The metrics of a NAT. Their labels have few values, whatever packets come: words of ours, and public addresses of
// the config.
import type { Nat } from "../nat.js";
import { TCP_PHASES } from "../native.js";
import type { NatStats } from "../stats.js";
import { REASONS } from "../verdict.js";
import { packageVersion } from "../version.js";
import { countSessions, PORT_PROTOCOLS, type PortUse } from "./census.js";
import type { Metric, Sample } from "./metric.js";

/** Public addresses that have figures of their own; a larger pool is summed up. */
export const MOST_ADDRESSES = 256;
/** The label of what is summed up. */
const ALL = "all";

/** What metrics of a NAT are read from. */
export interface NatReading {
  readonly nat: Nat;
  stats(): NatStats;
  ports(): Promise<PortUse[]>;
}

/** Kinds of sessions that have a figure though there are none. */
const COMMON = [...TCP_PHASES.map((phase) => `tcp ${phase}`), "udp none", "icmp none"];

const counter = (name: string, help: string, value: (stats: NatStats) => number): Metric<NatReading> => ({
  name,
  type: "counter",
  help,
  labels: [],
  read: ({ stats }) => [[value(stats())]],
});

const gauge = (name: string, help: string, value: (reading: NatReading) => number): Metric<NatReading> => ({
  name,
  type: "gauge",
  help,
  labels: [],
  read: (reading) => [[value(reading)]],
});

export const NAT_METRICS: readonly Metric<NatReading>[] = [
  {
    name: "napt_build_info",
    type: "gauge",
    help: "Always 1; what runs is in the labels",
    labels: ["version", "node"],
    read: () => [[1, packageVersion(), process.version]],
  },
  {
    name: "napt_packets_total",
    type: "counter",
    help: "Packets that came, by direction; none: they concern neither side",
    labels: ["direction"],
    read: ({ stats }) => byDirection(stats().packets),
  },
  {
    name: "napt_bytes_total",
    type: "counter",
    help: "Bytes of the packets that came, by direction",
    labels: ["direction"],
    read: ({ stats }) => byDirection(stats().bytes),
  },
  counter(
    "napt_sent_packets_total",
    "Packets that went on, those included that were left as they are",
    (stats) => stats.packets.out,
  ),
  counter("napt_sent_bytes_total", "Bytes of the packets that went on", (stats) => stats.bytes.out),
  counter("napt_passed_packets_total", "Packets that went on as they are", (stats) => stats.packets.passed),
  {
    name: "napt_forwarded_packets_total",
    type: "counter",
    help: "Packets that went on translated, by protocol; other: transports that the config switches on",
    labels: ["protocol"],
    read: ({ stats }) =>
      Object.entries(stats().protocols).map(([protocol, packets]): Sample => [packets, protocol]),
  },
  {
    name: "napt_drops_total",
    type: "counter",
    help: "Packets dropped, by reason",
    labels: ["reason"],
    read: ({ stats }) => {
      const { drops } = stats();
      return REASONS.flatMap((reason): Sample[] => (reason === "none" ? [] : [[drops[reason] ?? 0, reason]]));
    },
  },
  counter(
    "napt_icmp_errors_total",
    "ICMP errors that the NAT sent itself",
    (stats) => stats.packets.originated,
  ),
  counter(
    "napt_fragmented_packets_total",
    "Packets too big for the MTU, which went on in pieces",
    (stats) => stats.packets.fragmented,
  ),
  counter("napt_pieces_total", "Pieces that those packets became", (stats) => stats.packets.pieces),
  gauge(
    "napt_fragments_held",
    "Fragments that wait for their first one",
    ({ stats }) => stats().packets.held,
  ),
  {
    name: "napt_sessions",
    type: "gauge",
    help: "Sessions, by protocol and TCP state; none: it has no state",
    labels: ["protocol", "state"],
    read: async ({ nat }) => {
      const samples = new Map(COMMON.map((kind) => [kind, 0]));
      for (const { protocol, state, count } of await countSessions(nat)) {
        // Protocols without a name may be as many as there are numbers.
        const kind = `${protocol.startsWith("ip-") ? "other" : protocol} ${state ?? "none"}`;
        samples.set(kind, (samples.get(kind) ?? 0) + count);
      }
      return Array.from(samples, ([kind, count]): Sample => [count, ...kind.split(" ")]);
    },
  },
  gauge("napt_sessions_peak", "The most sessions at one time", ({ stats }) => stats().sessions.peak),
  gauge(
    "napt_sessions_limit",
    "The most sessions that there may be (limits.sessions)",
    ({ nat }) => nat.config.limits.sessions,
  ),
  counter("napt_sessions_created_total", "Sessions made", (stats) => stats.sessions.created),
  counter("napt_sessions_expired_total", "Sessions whose time was over", (stats) => stats.sessions.expired),
  counter(
    "napt_sessions_deleted_total",
    "Sessions ended on request, or by a change of config",
    (stats) => stats.sessions.deleted,
  ),
  counter(
    "napt_sessions_evicted_total",
    "Sessions ended to make room for new ones",
    (stats) => stats.sessions.evicted,
  ),
  counter(
    "napt_events_lost_total",
    "Events that somebody listens to, but lost: nobody took them in time",
    (stats) => stats.events.lost,
  ),
  {
    name: "napt_ports_used",
    type: "gauge",
    help: `Ports in use, by public address and protocol; ports that rest are not; of a pool of more than ${MOST_ADDRESSES} addresses the sum, as "${ALL}"`,
    labels: ["address", "protocol"],
    read: (reading) => ofPorts(reading, (use, protocol) => use.used[protocol]),
  },
  {
    name: "napt_ports_limit",
    type: "gauge",
    help: "Ports that can be handed out, by public address and protocol",
    labels: ["address", "protocol"],
    read: (reading) => ofPorts(reading, (use) => use.ports),
  },
  {
    name: "napt_port_blocks_used",
    type: "gauge",
    help: "Port blocks that hosts have, or that rest, by public address; deterministic ones are not among them",
    labels: ["address"],
    read: (reading) => ofBlocks(reading, ({ blocksUsed }) => blocksUsed),
  },
  {
    name: "napt_port_blocks_limit",
    type: "gauge",
    help: "Port blocks that can be given to hosts, by public address",
    labels: ["address"],
    read: (reading) => ofBlocks(reading, ({ blocks }) => blocks),
  },
];

function byDirection(of: NatStats["packets"] | NatStats["bytes"]): Sample[] {
  const { outbound, inbound, hairpin } = of;
  return [
    [outbound, "outbound"],
    [inbound, "inbound"],
    [hairpin, "hairpin"],
    [of.in - outbound - inbound - hairpin, "none"],
  ];
}

/** Figures by address; summed up where there are many. */
function byAddress(all: readonly PortUse[], value: (use: PortUse) => number): [number, string][] {
  if (all.length <= MOST_ADDRESSES) return all.map((use) => [value(use), use.address]);
  return [[all.reduce((sum, use) => sum + value(use), 0), ALL]];
}

async function ofPorts(
  { nat, ports }: NatReading,
  value: (use: PortUse, protocol: (typeof PORT_PROTOCOLS)[number]) => number,
): Promise<Sample[]> {
  const all = await ports();
  const { protocols, alg } = nat.config;
  const isOn = { tcp: true, udp: true, icmp: true, ...protocols, gre: protocols.gre || alg.pptp };
  return PORT_PROTOCOLS.filter((protocol) => isOn[protocol]).flatMap((protocol) =>
    byAddress(all, (use) => value(use, protocol)).map(([sum, address]): Sample => [sum, address, protocol]),
  );
}

async function ofBlocks({ nat, ports }: NatReading, value: (use: PortUse) => number): Promise<Sample[]> {
  return nat.config.portAssignment.blockSize === 0 ? [] : byAddress(await ports(), value);
}
