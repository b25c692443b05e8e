// What a NAT does, in plain words, from its config: the terms are those of RFC 4787, 5382, 5508 and 6888.
import { BEHAVING_PROTOCOLS, type Behaviour, type Behaviours, behaviourOf } from "../config/behaviour.js";
import type { ResolvedNatConfig } from "../config/schema.js";

/** One thing that a NAT does one way or another. */
export interface BehaviourInWords {
  /** "Mapping" */
  readonly topic: string;
  /** "endpoint-independent" */
  readonly value: string;
  /** What that means for hosts. */
  readonly meaning: string;
  /** The keys of the config that say so. */
  readonly key: string;
}

const MAPPING: Readonly<Record<Behaviour, string>> = {
  "endpoint-independent": "An inside port keeps its public port, whoever it talks to. Hole punching works.",
  "address-dependent": "An inside port has another public port for each remote address.",
  "address-and-port-dependent":
    "An inside port has another public port for each remote address and port. Hole punching rarely works.",
};

const FILTERING: Readonly<Record<Behaviour, string>> = {
  "endpoint-independent": "Anybody may send to a public port that is in use.",
  "address-dependent": "Only remote addresses that the host has sent to may answer, from any port.",
  "address-and-port-dependent": "Only remote endpoints that the host has sent to may answer.",
};

const POOLING = {
  paired: "All flows of a host leave from one public address.",
  "soft-paired": "All flows of a host leave from one public address, until that is full.",
  arbitrary: "Flows of a host leave from any public address.",
} as const;

/** What a NAT does, the most important first. */
export function behaviourInWords(config: ResolvedNatConfig): BehaviourInWords[] {
  const { timeouts, limits, portAssignment, pooling, hairpinning, inboundRefresh } = config;
  const [mapping, filtering] = [
    byProtocol("mapping", config.mapping),
    byProtocol("filtering", config.filtering),
  ];
  const rows: BehaviourInWords[] = [
    ...mapping.map((one) => behaviourRow("Mapping", "mapping", one, MAPPING)),
    ...filtering.map((one) => behaviourRow("Filtering", "filtering", one, FILTERING)),
    {
      topic: "Hairpinning",
      key: "hairpinning",
      ...(hairpinning
        ? { value: "on", meaning: "Inside hosts reach each other by their public endpoints." }
        : { value: "off", meaning: "Inside hosts do not reach each other by their public endpoints." }),
    },
    { topic: "Pooling", key: "pooling", value: pooling, meaning: POOLING[pooling] },
    { topic: "Port assignment", key: "portAssignment", ...portsInWords(portAssignment) },
    {
      topic: "Refresh",
      key: "inboundRefresh",
      ...(inboundRefresh
        ? { value: "both ways", meaning: "UDP packets of either direction keep a session alive." }
        : { value: "outbound", meaning: "Only UDP packets that leave keep a session alive." }),
    },
    timeoutRow("UDP timeout", "timeouts.udp", timeouts.udp, "idle UDP sessions end"),
    timeoutRow(
      "TCP timeout",
      "timeouts.tcpEstablished",
      timeouts.tcpEstablished,
      "idle open connections end",
    ),
    timeoutRow(
      "TCP transitory timeout",
      "timeouts.tcpTransitory",
      timeouts.tcpTransitory,
      "connections end that are opening, closing or were reset",
    ),
    timeoutRow("ICMP timeout", "timeouts.icmp", timeouts.icmp, "idle ICMP queries end"),
    {
      topic: "ICMP errors",
      key: "icmpErrors",
      ...(config.icmpErrors
        ? { value: "sent", meaning: "Who sends what can't be forwarded is told." }
        : { value: "not sent", meaning: "What can't be forwarded is dropped in silence." }),
    },
    limitRow(limits),
  ];
  const others = config.policies.length;
  if (others > 0) {
    rows.push({
      topic: "Policies",
      key: "policies",
      value: String(others),
      meaning: `Hosts in ${config.policies.flatMap(({ inside }) => inside).join(", ")} get some of this otherwise.`,
    });
  }
  return rows;
}

interface OfProtocols {
  readonly protocols: readonly string[];
  readonly value: Behaviour;
}

/** Behaviours with the protocols that have them; none where all have the same. */
function byProtocol(key: "mapping" | "filtering", given: Behaviours): OfProtocols[] {
  if (typeof given === "string") return [{ protocols: [], value: given }];
  const groups = new Map<Behaviour, string[]>();
  for (const protocol of BEHAVING_PROTOCOLS) {
    const value = behaviourOf(key, given, protocol);
    groups.set(value, [...(groups.get(value) ?? []), protocol]);
  }
  if (groups.size === 1) return [{ protocols: [], value: [...groups.keys()][0]! }];
  return Array.from(groups, ([value, protocols]) => ({ protocols, value }));
}

function behaviourRow(
  topic: string,
  key: string,
  { protocols, value }: OfProtocols,
  meanings: Readonly<Record<Behaviour, string>>,
): BehaviourInWords {
  const of = protocols.length === 0 ? "" : ` (${protocols.join(", ")})`;
  return { topic: topic + of, key, value, meaning: meanings[value] };
}

function portsInWords(
  assignment: ResolvedNatConfig["portAssignment"],
): Pick<BehaviourInWords, "value" | "meaning"> {
  const { order, preserve, parity, blockSize, overloading, contiguity, holdDown, deterministic } = assignment;
  const sentences = [
    deterministic !== undefined &&
      "Each host has a fixed range of ports, which its address tells (RFC 7422).",
    blockSize > 0 && `Hosts are given ${blockSize} ports at a time.`,
    preserve && "A public port is the inside port while that is free.",
    parity && "Even ports stay even, odd ones odd.",
    contiguity && "Neighbouring inside ports get neighbouring public ones.",
    overloading && "A public port serves several hosts, towards different remotes.",
    holdDown > 0 && `A port that came free rests for ${duration(holdDown)}; of TCP, it need not.`,
  ];
  return {
    value: preserve ? "preserving" : order,
    meaning:
      sentences.filter((one) => one !== false).join(" ") ||
      (order === "random" ? "Ports are drawn at random." : "Ports are handed out in order."),
  };
}

function timeoutRow(topic: string, key: string, seconds: number, what: string): BehaviourInWords {
  return { topic, key, value: duration(seconds), meaning: `After that time ${what}.` };
}

function limitRow(limits: ResolvedNatConfig["limits"]): BehaviourInWords {
  const { sessions, sessionsPerHost, whenFull } = limits;
  const perHost = sessionsPerHost === 0 ? "" : ` A host may have ${sessionsPerHost.toLocaleString("en")}.`;
  const beyond = whenFull === "evict" ? "an unanswered one makes room" : "new ones are refused";
  return sessions === 0
    ? {
        topic: "Sessions",
        key: "limits.sessions",
        value: "no limit",
        meaning: `There may be any number.${perHost}`,
      }
    : {
        topic: "Sessions",
        key: "limits.sessions",
        value: `${sessions.toLocaleString("en")} at most`,
        meaning: `Beyond that ${beyond}.${perHost}`,
      };
}

const UNITS = [
  [86_400, "d"],
  [3600, "h"],
  [60, "min"],
] as const;

/** "2 h 4 min", "30 s" */
function duration(seconds: number): string {
  let rest = seconds;
  const parts: string[] = [];
  for (const [size, unit] of UNITS) {
    const count = Math.floor(rest / size);
    if (count > 0) parts.push(`${count} ${unit}`);
    rest -= count * size;
  }
  if (rest > 0 || parts.length === 0) parts.push(`${Math.round(rest * 1000) / 1000} s`);
  return parts.join(" ");
}
