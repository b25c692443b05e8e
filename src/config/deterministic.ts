// Deterministic NAT (RFC 7422): an inside host's address tells its public address and ports, and these tell the
// host; so nothing has to be logged but the parameters. Hosts are numbered in the order of the inside prefixes.
// Of each public address's ports, its C hosts have M each from the lowest on ("sequential", section 2.2); what
// is above is the dynamic pool.
import { type Cidr, cidrSize, parseCidr, parseIpv4 } from "./cidr.js";
import { type PortRange, parsePorts } from "./endpoint.js";

/** What decides who has which ports. */
export interface Parameters {
  readonly inside: readonly Cidr[];
  /** The public addresses, in the pool's order. */
  readonly outside: readonly number[];
  /** The ports that are handed out of each of them. */
  readonly ports: PortRange;
  /** D: shares that stay a dynamic pool. */
  readonly dynamic: number;
}

/** How the ports are split. */
export interface Split {
  readonly hosts: number;
  /** C, the compression ratio: hosts that share a public address. */
  readonly hostsPerAddress: number;
  /** M: ports of each host; 0 when there are too many hosts. */
  readonly portsPerHost: number;
  /** The ports of each address that no host has. */
  readonly pool: number;
}

/** The ports of one public address that belong to a host. */
export interface HostRange extends PortRange {
  readonly address: number;
}

/** Whose a public endpoint is. */
export type Owner =
  | { readonly kind: "host"; readonly host: number; readonly range: HostRange }
  /** Of the dynamic pool, or a port that the split leaves over: only a log could tell. */
  | { readonly kind: "dynamic" }
  /** A port of the range's host number that no host has, as there are fewer hosts than room. */
  | { readonly kind: "nobody" }
  /** A port that is not handed out. */
  | { readonly kind: "reserved" }
  | { readonly kind: "foreign" };

/** The hosts of a prefix: all its addresses, but its network's own and its broadcast address when it has them. */
export function hostsOf(prefix: Cidr): { readonly first: number; readonly count: number } {
  const size = cidrSize(prefix);
  return prefix.bits >= 31
    ? { first: prefix.network, count: size }
    : { first: prefix.network + 1, count: size - 2 };
}

export function splitOf({ inside, outside, ports, dynamic }: Parameters): Split {
  const hosts = inside.reduce((sum, prefix) => sum + hostsOf(prefix).count, 0);
  const hostsPerAddress = Math.ceil(hosts / outside.length);
  const range = ports.hi - ports.lo + 1;
  const portsPerHost = Math.floor(range / (hostsPerAddress + dynamic));
  return { hosts, hostsPerAddress, portsPerHost, pool: range - hostsPerAddress * portsPerHost };
}

/** The ports of an inside host; null when it is none. */
export function rangeOf(parameters: Parameters, host: number): HostRange | null {
  const { outside, ports } = parameters;
  const number = numberOf(parameters.inside, host);
  if (number === null) return null;
  const { hostsPerAddress, portsPerHost } = splitOf(parameters);
  const lo = ports.lo + (number % hostsPerAddress) * portsPerHost;
  return { address: outside[Math.floor(number / hostsPerAddress)]!, lo, hi: lo + portsPerHost - 1 };
}

/** Whose a public endpoint is: the inverse of `rangeOf`. */
export function ownerOf(parameters: Parameters, address: number, port: number): Owner {
  const { inside, outside, ports, dynamic } = parameters;
  const index = outside.indexOf(address);
  if (index === -1) return { kind: "foreign" };
  if (port < ports.lo || port > ports.hi) return { kind: "reserved" };
  const { hostsPerAddress, portsPerHost } = splitOf(parameters);
  const share = Math.floor((port - ports.lo) / portsPerHost);
  if (share >= hostsPerAddress) return { kind: dynamic > 0 ? "dynamic" : "nobody" };
  const host = hostAt(inside, index * hostsPerAddress + share);
  if (host === null) return { kind: "nobody" };
  const lo = ports.lo + share * portsPerHost;
  return { kind: "host", host, range: { address, lo, hi: lo + portsPerHost - 1 } };
}

interface DeterministicConfig {
  readonly inside: readonly string[];
  readonly outside: readonly { readonly address: string; readonly ports: string }[];
  readonly portAssignment: { readonly deterministic?: { readonly dynamic: number } | undefined };
}

/** The parameters of a resolved config; null when it is not deterministic. */
export function parametersOf({ inside, outside, portAssignment }: DeterministicConfig): Parameters | null {
  const { deterministic } = portAssignment;
  if (deterministic === undefined) return null;
  return {
    inside: inside.map((prefix) => parseCidr(prefix)!),
    outside: outside.map(({ address }) => parseIpv4(address)!),
    ports: parsePorts(outside[0]!.ports)!,
    dynamic: deterministic.dynamic,
  };
}

function numberOf(inside: readonly Cidr[], host: number): number | null {
  let before = 0;
  for (const prefix of inside) {
    const { first, count } = hostsOf(prefix);
    if (host >= first && host < first + count) return before + host - first;
    before += count;
  }
  return null;
}

function hostAt(inside: readonly Cidr[], number: number): number | null {
  let rest = number;
  for (const prefix of inside) {
    const { first, count } = hostsOf(prefix);
    if (rest < count) return first + rest;
    rest -= count;
  }
  return null;
}
