// From one config to the configs of its shards, and to what steers packets to them.
import { parseCidr, parseIpv4 } from "../config/cidr.js";
import { compileConfig } from "../config/compile.js";
import { parseEndpoint, parsePorts } from "../config/endpoint.js";
import { PROTOCOLS } from "../config/protocols.js";
import type { ResolvedNatConfig, ResolvedPolicy } from "../config/schema.js";
import { ConfigError, type ConfigIssue } from "../errors.js";
import type { CompiledConfig } from "../native.js";
import { cutOf, portsOf, shardOfHost, shareOf, unitOf } from "./parts.js";

/** What a {@link Steering} is made from: plain data, for any thread. Addresses are numbers in host order. */
export interface SteeringPlan {
  readonly shards: number;
  /** Pairs of first and last address, ascending. */
  readonly inside: Float64Array;
  /** Rows of address, base, unit, units; one row of address 0 when all are cut alike. */
  readonly cuts: Uint32Array;
  /** The public addresses that ports belong to: the pool's, and those of forwards. */
  readonly own: Uint32Array;
  /** Protocols that are told apart by ports of the NAT's choosing, or ICMP identifiers. */
  readonly withPorts: readonly number[];
  readonly verifyHeaderChecksum: boolean;
  /** Rows of outside address, inside address: 1:1 mappings. */
  readonly statics: Uint32Array;
  /** Rows of protocol, outside address, port, inside address. */
  readonly forwards: Uint32Array;
  /** Whether packets to inside addresses may come from outside untranslated. */
  readonly exempts: boolean;
  /** ms that the fragments of a datagram are remembered. */
  readonly fragmentTimeout: number;
  /** Fragments that may wait for their first one before it is known where they go. */
  readonly fragmentLimit: number;
}

export interface ShardPlan {
  readonly steering: SteeringPlan;
  /** The config of each shard. */
  readonly configs: CompiledConfig[];
}

/** Transports that are told apart by their remote only. */
const PORTLESS = ["sctp", "gre", "esp", "other"] as const;

/**
 * Divides a config among shards.
 * @throws ConfigError for what can't be divided
 */
export function planShards(config: ResolvedNatConfig, shards: number): ShardPlan {
  if (shards > 1) {
    const issues = [...undividable(config, shards)];
    if (issues.length > 0) throw new ConfigError(issues);
  }
  return {
    steering: steeringPlan(config, shards),
    configs: Array.from({ length: shards }, (_, shard) => shardConfig(config, shard, shards)),
  };
}

function* undividable(config: ResolvedNatConfig, shards: number): Iterable<ConfigIssue> {
  const { portAssignment, limits } = config;
  const alternatively = "or use one shard";
  if (portAssignment.deterministic !== undefined) {
    yield {
      path: "portAssignment.deterministic",
      message: `a host's ports follow from its place among all hosts, and can't follow its shard; leave it out, ${alternatively}`,
    };
  }
  if (config.alg.pptp) {
    yield {
      path: "alg.pptp",
      message: `ICMP errors about its calls don't tell the shard that has them; switch it off, ${alternatively}`,
    };
  }
  for (const [index, { protocol }] of config.forwards.entries()) {
    if (protocol !== "sctp") continue;
    const message = `SCTP goes to shards by its remote, so no shard can have this port; leave it out, ${alternatively}`;
    yield { path: `forwards[${index}].protocol`, message };
  }
  yield* portlessFaults(config, alternatively);
  const unit = unitOf(portAssignment.blockSize);
  for (const { address, ports } of config.outside) {
    const { lo, hi } = parsePorts(ports)!;
    const { units } = cutOf(lo, hi, unit);
    if (units >= shards) continue;
    const parts = `${shards} shards need parts of ${unit} ports each that begin on even ones`;
    const path = portAssignment.blockSize === 0 ? "outside" : "portAssignment.blockSize";
    yield { path, message: `${address} has the ports ${ports}, enough for ${units} shards; ${parts}` };
    break; // one message, however many addresses are as small
  }
  const divided: [path: string, value: number, least: number][] = [
    ["limits.sessions", limits.sessions || Infinity, shards],
    ["limits.sessionRate", limits.sessionRate || Infinity, shards],
    ["limits.icmpErrorRate", limits.icmpErrorRate, shards],
    ["limits.fragments", limits.fragments, shards + 1],
  ];
  for (const [path, value, least] of divided) {
    if (value < least) {
      yield { path, message: `${value} can't be divided among ${shards} shards; give at least ${least}` };
    }
  }
}

/** A host's GRE, say, may be another shard's than the host: what counts by host can't count there. */
function* portlessFaults(config: ResolvedNatConfig, alternatively: string): Iterable<ConfigIssue> {
  const on = PORTLESS.filter((name) => config.protocols[name]);
  if (on.length === 0) return;
  const policies: readonly Pick<ResolvedPolicy, "pooling" | "limits">[] = [config, ...config.policies];
  const paths = on.map((name) => `protocols.${name}`);
  const why = "it goes to shards by its remote, not by its host";
  if (config.outside.length > 1 && policies.some(({ pooling }) => pooling === "paired")) {
    const message = `${why}, which "pooling": "paired" can't hold for; give one outside address, another pooling, ${alternatively}`;
    for (const path of paths) yield { path, message };
  }
  for (const key of ["sessionsPerHost", "sessionRatePerHost"] as const) {
    if (!policies.some(({ limits }) => limits[key] !== 0)) continue;
    const message = `${why}, so limits.${key} can't count it; leave that out, ${alternatively}`;
    for (const path of paths) yield { path, message };
  }
}

/** What a shard runs by: its part of the ports, its hosts' forwards and 1:1 mappings, its share of the limits. */
function shardConfig(config: ResolvedNatConfig, shard: number, shards: number): CompiledConfig {
  if (shards === 1) return compileConfig(config);
  const { portAssignment, limits } = config;
  const unit = unitOf(portAssignment.blockSize);
  const siblings: number[] = [];
  const outside = config.outside.map(({ address, ports }) => {
    const range = parsePorts(ports)!;
    const cut = cutOf(range.lo, range.hi, unit);
    const { lo, hi } = portsOf(shard, cut, range.lo, range.hi, shards);
    const number = parseIpv4(address)!;
    if (shard > 0) siblings.push(0, number, 0, lo - 1);
    if (shard < shards - 1) siblings.push(0, number, hi + 1, 65535);
    return { address, ports: `${lo}-${hi}` };
  });
  const isMine = (inside: number) => shardOfHost(inside, shards) === shard;
  const oneToOne = config.static.filter(({ outside, inside }) => {
    const mine = isMine(parseIpv4(inside)!);
    if (!mine) siblings.push(0, parseIpv4(outside)!, 0, 65535);
    return mine;
  });
  const forwards = config.forwards.filter(({ protocol, outside, inside }) => {
    const mine = isMine(parseEndpoint(inside)!.address);
    const { address, port } = parseEndpoint(outside)!;
    if (!mine) siblings.push(PROTOCOLS[protocol], address, port, port);
    return mine;
  });
  const share = (total: number) => shareOf(total, shard, shards);
  const divided: ResolvedNatConfig = {
    ...config,
    outside,
    forwards,
    static: oneToOne,
    portAssignment: { ...portAssignment, holdDownPorts: Math.ceil(portAssignment.holdDownPorts / shards) },
    limits: {
      ...limits,
      sessions: share(limits.sessions),
      sessionRate: share(limits.sessionRate),
      icmpErrorRate: share(limits.icmpErrorRate),
      // The steering has one share of them.
      fragments: shareOf(limits.fragments, shard, shards + 1),
    },
  };
  return { ...compileConfig(divided), siblings: Uint32Array.from(siblings), shard, shards };
}

function steeringPlan(config: ResolvedNatConfig, shards: number): SteeringPlan {
  const unit = unitOf(config.portAssignment.blockSize);
  const alike = new Set(config.outside.map(({ ports }) => ports)).size === 1;
  return {
    shards,
    inside: insideRanges(config.inside),
    cuts: Uint32Array.from(
      (alike ? config.outside.slice(0, 1) : config.outside).flatMap(({ address, ports }) => {
        const { lo, hi } = parsePorts(ports)!;
        const { base, units } = cutOf(lo, hi, unit);
        return [alike ? 0 : parseIpv4(address)!, base, unit, units];
      }),
    ),
    own: Uint32Array.from([
      ...config.outside.map(({ address }) => parseIpv4(address)!),
      ...config.forwards.map(({ outside }) => parseEndpoint(outside)!.address),
    ]),
    withPorts: (["tcp", "udp", "icmp", "udplite", "dccp"] as const)
      .filter((name) => (name !== "udplite" && name !== "dccp") || config.protocols[name])
      .map((name) => PROTOCOLS[name]),
    verifyHeaderChecksum: config.verifyHeaderChecksum,
    statics: Uint32Array.from(
      config.static.flatMap(({ outside, inside }) => [parseIpv4(outside)!, parseIpv4(inside)!]),
    ),
    forwards: Uint32Array.from(
      config.forwards.flatMap(({ protocol, outside, inside }) => {
        const { address, port } = parseEndpoint(outside)!;
        return [PROTOCOLS[protocol], address, port, parseEndpoint(inside)!.address];
      }),
    ),
    exempts: config.exempt.length > 0,
    fragmentTimeout: config.timeouts.fragment * 1000,
    fragmentLimit: shareOf(config.limits.fragments, shards, shards + 1),
  };
}

/** Prefixes as ranges that don't overlap. */
function insideRanges(prefixes: readonly string[]): Float64Array {
  const ranges = prefixes
    .map((text) => parseCidr(text)!)
    .map(({ network, bits }) => [network, network + 2 ** (32 - bits) - 1] as const)
    .sort(([a], [b]) => a - b);
  const merged: number[] = [];
  for (const [first, last] of ranges) {
    if (merged.length > 0 && first <= merged.at(-1)! + 1)
      merged[merged.length - 1] = Math.max(last, merged.at(-1)!);
    else merged.push(first, last);
  }
  return Float64Array.from(merged);
}
