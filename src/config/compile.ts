// From a resolved config to the numbers that the core runs by.
import type { CompiledConfig, CompiledPolicy } from "../native.js";
import { BEHAVING_PROTOCOLS, BEHAVIOURS, behaviourOf } from "./behaviour.js";
import { type Cidr, parseCidr, parseIpv4 } from "./cidr.js";
import { hostsOf, parametersOf, splitOf } from "./deterministic.js";
import { parseEndpoint, parsePorts } from "./endpoint.js";
import { distinctPortRules, profileKey } from "./profiles.js";
import { PROTOCOLS } from "./protocols.js";
import type { ResolvedNatConfig, ResolvedPolicy } from "./schema.js";

const NS_PER_SECOND = 1e9;
const ANY_PORT = { lo: 0, hi: 65535 };

// In the core's order; a switch's place is its bit.
const POOLINGS = ["paired", "soft-paired", "arbitrary"] as const;
const TRANSPORTS = ["udplite", "dccp", "sctp", "gre", "esp", "other"] as const;
const GATEWAYS = ["ftp", "pptp"] as const;

/** The keys that the top level and policies have in common. */
type PolicyKeys = Omit<ResolvedPolicy, "inside">;

/** Compiles a config that `parseConfig` has checked. */
export function compileConfig(config: ResolvedNatConfig): CompiledConfig {
  const { portAssignment, timeouts, limits, mtu } = config;
  const policies: readonly PolicyKeys[] = [config, ...config.policies];
  return {
    inside: Uint32Array.from([
      ...config.policies.flatMap(({ inside }, index) => insideRows(inside, index + 1)),
      ...insideRows(config.inside, 0),
    ]),
    outside: rows(config.outside, ({ address, ports }) => {
      const { lo, hi } = parsePorts(ports)!;
      return [parseIpv4(address)!, lo, hi];
    }),
    forwards: rows(config.forwards, ({ protocol, outside, inside }) => {
      const from = parseEndpoint(outside)!;
      const to = parseEndpoint(inside)!;
      return [PROTOCOLS[protocol], from.address, from.port, to.address, to.port];
    }),
    statics: rows(config.static, ({ outside, inside }) => [parseIpv4(outside)!, parseIpv4(inside)!]),
    exempt: rows(config.exempt, (exemption) => {
      const { lo, hi } = exemption.ports === undefined ? ANY_PORT : parsePorts(exemption.ports)!;
      const protocol = exemption.protocol === undefined ? 0 : PROTOCOLS[exemption.protocol];
      return [...prefixWords(exemption.destination), protocol, lo, hi];
    }),
    siblings: new Uint32Array(0),
    shard: 0,
    shards: 1,
    policies: policies.map(compilePolicy),
    ...compileTimeouts(policies),
    fragmentTimeout: nanoseconds(timeouts.fragment),
    blockSize: blockSizeOf(config),
    blocksPerHost: portAssignment.blocksPerHost,
    blockHold: nanoseconds(portAssignment.blockHold),
    holdDown: nanoseconds(portAssignment.holdDown),
    holdDownPorts: portAssignment.holdDownPorts,
    ...compileDeterministic(config),
    protocols: bits(TRANSPORTS, config.protocols),
    algs: bits(GATEWAYS, config.alg),
    sessionLimit: limits.sessions,
    fragmentLimit: limits.fragments,
    sessionRate: limits.sessionRate,
    icmpErrorRate: limits.icmpErrorRate,
    evict: limits.whenFull === "evict",
    insideMtu: mtu.inside,
    outsideMtu: mtu.outside,
    clampMss: config.clampMss,
    insideAddress: config.insideAddress === undefined ? 0 : parseIpv4(config.insideAddress)!,
    decrementTtl: config.ttl === "decrement",
    icmpErrors: config.icmpErrors,
    verifyHeaderChecksum: config.verifyHeaderChecksum,
    passUnmatched: config.unmatched === "pass",
    expiringBefore: nanoseconds(config.events.expiring),
    poolThreshold: Math.round(config.events.poolThreshold * 1000),
  };
}

function compilePolicy({ mapping, filtering, portAssignment, limits, ...keys }: PolicyKeys): CompiledPolicy {
  const { portsPerHost } = limits;
  const behaviours = (key: "mapping" | "filtering", given: typeof mapping) =>
    Uint32Array.from(BEHAVING_PROTOCOLS, (name) => BEHAVIOURS.indexOf(behaviourOf(key, given, name)));
  return {
    mapping: behaviours("mapping", mapping),
    filtering: behaviours("filtering", filtering),
    randomPorts: portAssignment.order === "random",
    preservePorts: portAssignment.preserve,
    parity: portAssignment.parity,
    overloading: portAssignment.overloading,
    contiguity: portAssignment.contiguity,
    pooling: POOLINGS.indexOf(keys.pooling),
    hairpinning: keys.hairpinning,
    inboundRefresh: keys.inboundRefresh,
    tcpPickup: keys.tcpPickup,
    tcpLiberal: keys.tcpLiberal,
    sessionLimit: limits.sessionsPerHost,
    sessionRate: limits.sessionRatePerHost,
    portLimits: Uint32Array.from(
      typeof portsPerHost === "number"
        ? [portsPerHost, 0, 0, 0]
        : [0, portsPerHost.tcp, portsPerHost.udp, portsPerHost.icmp],
    ),
  };
}

/** Every policy's profile, then those of the port rules, and the rules that lead to them. */
function compileTimeouts(policies: readonly PolicyKeys[]) {
  const profiles = policies.map(({ timeouts }, policy) => ({ policy, timeouts }));
  const portTimeouts: number[] = [];
  for (const [policy, { timeouts }] of policies.entries()) {
    const numbers = new Map<string, number>();
    for (const [key, { protocol, seconds }] of distinctPortRules(timeouts.ports)) {
      const changed = protocol === "udp" ? { udp: seconds } : { tcpEstablished: seconds };
      numbers.set(key, profiles.push({ policy, timeouts: { ...timeouts, ...changed } }) - 1);
    }
    for (const rule of timeouts.ports) {
      const { lo, hi } = parsePorts(rule.ports)!;
      portTimeouts.push(policy, PROTOCOLS[rule.protocol], lo, hi, numbers.get(profileKey(rule))!);
    }
  }
  return {
    timeouts: Float64Array.from(profiles.flatMap(({ timeouts }) => timeoutRow(timeouts))),
    profilePolicies: Uint32Array.from(profiles, ({ policy }) => policy),
    portTimeouts: Uint32Array.from(portTimeouts),
  };
}

/** In the order of native/nat/config.h, enum Timeout. */
function timeoutRow(timeouts: PolicyKeys["timeouts"]): number[] {
  return [
    timeouts.udp,
    timeouts.tcpEstablished,
    timeouts.tcpOpening,
    timeouts.tcpClosing,
    timeouts.tcpTransitory,
    timeouts.tcpTimeWait,
    timeouts.icmp,
    timeouts.dccpEstablished,
    timeouts.dccpTransitory,
    timeouts.sctpEstablished,
    timeouts.sctpTransitory,
    timeouts.gre,
    timeouts.esp,
    timeouts.other,
  ].map(nanoseconds);
}

/** Of deterministic NAT: what is given beyond a host's own range, which is nothing without a dynamic pool. */
function blockSizeOf(config: ResolvedNatConfig): number {
  const { blockSize, deterministic } = config.portAssignment;
  const parameters = parametersOf(config);
  if (deterministic === undefined || parameters === null) return blockSize;
  return deterministic.dynamic === 0 ? 0 : blockSize || splitOf(parameters).portsPerHost;
}

function compileDeterministic(config: ResolvedNatConfig) {
  const parameters = parametersOf(config);
  if (parameters === null) {
    return { deterministic: new Uint32Array(0), deterministicHosts: new Uint32Array(0) };
  }
  const { portsPerHost, hostsPerAddress } = splitOf(parameters);
  return {
    deterministic: Uint32Array.of(portsPerHost, hostsPerAddress),
    deterministicHosts: rows(parameters.inside, (prefix: Cidr) => {
      const { first, count } = hostsOf(prefix);
      return [first, count];
    }),
  };
}

function insideRows(prefixes: readonly string[], policy: number): number[] {
  return prefixes.flatMap((prefix) => [...prefixWords(prefix), policy]);
}

/** A prefix's network and mask. */
function prefixWords(text: string): [network: number, mask: number] {
  const { network, bits } = parseCidr(text)!;
  return [network, bits === 0 ? 0 : (0xffffffff << (32 - bits)) >>> 0];
}

function bits<Name extends string>(names: readonly Name[], on: Readonly<Record<Name, boolean>>): number {
  return names.reduce((sum, name, index) => sum + (on[name] ? 1 << index : 0), 0);
}

function rows<T>(list: readonly T[], row: (entry: T) => number[]): Uint32Array {
  return Uint32Array.from(list.flatMap(row));
}

function nanoseconds(seconds: number): number {
  return Math.round(seconds * NS_PER_SECOND);
}
